package pg

import (
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

// shapes are the statements that applications are known to send: each has to be
// lowered, whatever the analysis then says to it.
const shapes = `
INSERT INTO users(id,email,ssn) VALUES ($1,$2,$3)
INSERT INTO users(id,email,ssn) VALUES ($1,$2,NULL),($3,'x',$4)
INSERT INTO users VALUES ($1,$2,$3,$4,$5)
INSERT INTO users(email,note) VALUES ($1,$1)
INSERT INTO users(id,email) VALUES (1,'lit@x'),(2,E'a\'b'),(3,$$x$$),(4,U&'\0061')
INSERT INTO users(id,email) VALUES (1,$2::text),(1,CAST($2 AS varchar)),(1,'x'::text)
INSERT INTO users(id,email) VALUES (1,lower($2)),(1,$2||'x'),(1,now()),(1,(SELECT note FROM users LIMIT 1))
INSERT INTO users(id,email) VALUES (1,DEFAULT)
INSERT INTO users DEFAULT VALUES
INSERT INTO users(id,email) SELECT $1,$2
INSERT INTO users(id,email) SELECT v.a,v.b FROM (VALUES ($1,$2)) v(a,b)
INSERT INTO archive(email) SELECT email FROM users
INSERT INTO users(id,email) SELECT * FROM unnest($1::bigint[],$2::text[])
INSERT INTO users(id,ssn) VALUES (1,$1) ON CONFLICT (id) DO UPDATE SET ssn=EXCLUDED.ssn
INSERT INTO users(id,ssn) VALUES (1,$1) ON CONFLICT (email) DO UPDATE SET ssn=users.ssn, note=$4 RETURNING email AS e, id
INSERT INTO users(id,ssn) VALUES (1,$1) ON CONFLICT DO NOTHING RETURNING *
UPDATE users SET ssn=$1 WHERE id=$2
UPDATE users SET (email,ssn)=($1,$2)
UPDATE users SET (email,ssn)=(SELECT $1,$2)
UPDATE users SET ssn=COALESCE($1,ssn), email=CASE WHEN id=$1 THEN $2 ELSE email END, note=NULLIF($3,'')
UPDATE users SET ssn=email, email=note, note=email
UPDATE users SET email=v.e FROM (VALUES ($1::bigint,$2::text)) v(i,e) WHERE id=v.i
WITH i AS (INSERT INTO users(id,email) VALUES ($1,$2) RETURNING email) SELECT * FROM i
MERGE INTO users u USING (VALUES ($1::bigint)) s(id) ON u.id=s.id WHEN MATCHED THEN UPDATE SET ssn=$2 WHEN NOT MATCHED THEN INSERT VALUES ($3,$4)
COPY users FROM STDIN
COPY users TO STDOUT
DELETE FROM users WHERE email=$1 RETURNING email
SELECT id FROM users WHERE email=$1
SELECT id FROM users u WHERE $1=email OR email='lit' OR users.email=$1 OR u."email"=$1
SELECT id FROM users WHERE email IN ($1,$2,'x') OR email = ANY($1) OR email = ANY(ARRAY[$1,$2]) OR email = ANY('{}')
SELECT id FROM users WHERE email<>$1 AND email NOT IN ($1) AND email <> ALL($1) AND NOT (email=$1)
SELECT id FROM users WHERE email IS NULL AND ssn IS NOT NULL AND email IS DISTINCT FROM $1 AND email IS NOT DISTINCT FROM $1
SELECT id FROM users WHERE (email,note)=($1,$2) OR (email,id) IN (($1,$2),($3,$4))
SELECT id FROM users WHERE email LIKE $1 OR email ~ $1 OR email > $1 OR email BETWEEN $1 AND $2 OR email ILIKE $1 OR email SIMILAR TO $1
SELECT id FROM users WHERE lower(email)=$1 OR length(ssn)=1 OR email||'x'='y' OR email::text='z'
SELECT id FROM users WHERE ($1::text IS NULL OR email=$1)
SELECT a.id FROM users a JOIN users b ON a.email=b.email
SELECT * FROM users a JOIN users b USING (email)
SELECT * FROM users NATURAL JOIN archive
SELECT id FROM users WHERE email IN (SELECT email FROM archive) AND EXISTS (SELECT 1 FROM archive x WHERE x.email=users.email)
SELECT * FROM users u, LATERAL (SELECT * FROM archive a WHERE a.email=u.email) x
SELECT id FROM users WHERE org=$1 AND note LIKE $2 ORDER BY id LIMIT $3
SELECT * FROM users
SELECT u.*, email AS e FROM users u JOIN (SELECT email FROM users) s USING (email)
WITH RECURSIVE r AS (SELECT id, email FROM users WHERE id=1 UNION ALL SELECT u.id, u.email FROM users u JOIN r ON u.id=r.id+1) SELECT * FROM r
SELECT email, count(*) FROM users GROUP BY email
SELECT DISTINCT email FROM users
SELECT DISTINCT ON (email) id FROM users
SELECT row_number() OVER (PARTITION BY email) FROM users
SELECT email FROM users GROUP BY 1
SELECT COUNT(DISTINCT email), COUNT(ssn), COUNT(*) FROM users
SELECT email FROM users UNION SELECT email FROM archive EXCEPT SELECT email FROM x INTERSECT SELECT email FROM y
SELECT email FROM users UNION ALL SELECT email FROM archive
SELECT email FROM users ORDER BY email
SELECT min(email), max(ssn) FROM users ORDER BY 1
SELECT CASE WHEN true THEN email END, COALESCE(email,ssn), (SELECT email FROM users LIMIT 1), array_agg(email), first_value(email) OVER (ORDER BY id) FROM users
SELECT to_jsonb(u), row(u.*), u::text, u FROM users u
SELECT $1::text, email FROM users
INSERT INTO users(id) VALUES (1); UPDATE users SET ssn=NULL
PREPARE p AS SELECT * FROM users WHERE email=$1
EXECUTE p('x')
DO $$ BEGIN DELETE FROM users; END $$
DECLARE c CURSOR FOR SELECT * FROM users
CREATE TABLE t AS SELECT * FROM users
SELECT * INTO t FROM users
CREATE VIEW v AS SELECT * FROM users
EXPLAIN SELECT * FROM users WHERE email=$1
EXPLAIN (ANALYZE, BUFFERS) INSERT INTO users(id,email) VALUES ($1,$2)
SELECT "Email" FROM "Users"
SELECT u.id FROM app.users u, other.users o
SET search_path TO app, public
CREATE TEMP TABLE users (id bigint)
ALTER TABLE users RENAME TO people
-- name: Foo :one
/* a */ SELECT /* b */ id -- c
`

func TestShapes(t *testing.T) {
	n := 0
	for text := range strings.SplitSeq(strings.TrimSpace(shapes), "\n") {
		f, err := Parse(text, sqlparse.Limits{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, s := range f.Statements {
			n++
			if s.Start < 0 || s.End > len(text) || s.Start >= s.End {
				t.Errorf("%s: a statement from %d to %d", text, s.Start, s.End)
			}
			checkPositions(t, text, s)
		}
	}
	if n < 70 {
		t.Errorf("only %d statements", n)
	}
	if _, err := Parse(shapesAsOne(), sqlparse.Limits{}); err != nil {
		t.Errorf("all in one text: %v", err)
	}
}

func shapesAsOne() string {
	return strings.ReplaceAll(strings.TrimSpace(strings.ReplaceAll(shapes, "-- name: Foo :one\n", "")), "\n", ";\n")
}
