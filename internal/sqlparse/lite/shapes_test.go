package lite

import (
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

// shapes are texts as applications write them.
var shapes = []string{
	`INSERT INTO users(id,email,ssn) VALUES (?,?,?)`,
	`INSERT INTO users(id,email,ssn) VALUES (?,?,?), (?,'lit@x',NULL)`,
	`INSERT INTO users VALUES ($1,$2,$3,$4,$5)`,
	`INSERT INTO users(email,note) VALUES ($1,$1)`,
	`INSERT INTO users(email,note) VALUES (:e,:e)`,
	`INSERT INTO users(id,email) VALUES (1,CAST(? AS text))`,
	`INSERT INTO users(id,email) VALUES (1,lower(?)), (2,?||'x'), (3,CURRENT_TIMESTAMP), (4,(SELECT note FROM t))`,
	`INSERT INTO users DEFAULT VALUES`,
	`INSERT INTO users(id,email) SELECT ?,?`,
	`INSERT INTO users(id,email) SELECT v.column1,v.column2 FROM (VALUES (?,?)) v`,
	`INSERT INTO archive(email) SELECT email FROM users`,
	`INSERT INTO users(email) SELECT value FROM json_each(?)`,
	`INSERT INTO users(id,ssn) VALUES (?,?) ON CONFLICT (id) DO UPDATE SET ssn=excluded.ssn`,
	`INSERT INTO users(id,ssn) VALUES (?,?) ON CONFLICT (id) DO UPDATE SET ssn=users.ssn WHERE users.id > ?`,
	`INSERT INTO users(id,ssn) SELECT 1,? WHERE true ON CONFLICT (email) DO NOTHING RETURNING *`,
	`INSERT INTO users(email) VALUES (?) RETURNING email AS e, id`,
	`UPDATE users SET ssn=? WHERE id=?`,
	`UPDATE users SET (email,ssn)=(?,?)`,
	`UPDATE users SET (email,ssn)=(SELECT ?,?)`,
	`UPDATE users SET ssn=COALESCE(?,ssn), email=CASE WHEN id=? THEN ? ELSE email END, note=NULLIF(?,'')`,
	`UPDATE users SET email=v.e FROM (SELECT ? AS i, ? AS e) v WHERE id=v.i`,
	`WITH i AS (SELECT ? AS e) INSERT INTO users(email) SELECT e FROM i`,
	`DELETE FROM users WHERE email=? RETURNING email`,
	`SELECT * FROM users WHERE email=? OR ?=email OR users.email='lit' OR "users"."email"=$4`,
	`SELECT * FROM users WHERE email IN (?,?,'x') AND email NOT IN (?) AND email<>? AND NOT (email=?)`,
	`SELECT * FROM users WHERE email IS NULL AND ssn IS NOT NULL AND email IS NOT DISTINCT FROM ? AND email IS ?`,
	`SELECT * FROM users WHERE (email,note)=(?,?) AND (email,id) IN ((?,?),(?,?))`,
	`SELECT * FROM users WHERE (email,id) IN (VALUES (?,?),(?,?))`,
	`SELECT * FROM users WHERE email LIKE ? OR email > ? OR email BETWEEN ? AND ? OR email GLOB ? OR email MATCH ?`,
	`SELECT * FROM users WHERE (CAST(?1 AS text) IS NULL OR email=?1)`,
	`SELECT * FROM users a JOIN users b ON a.email=b.email JOIN c USING (email) NATURAL JOIN d`,
	`SELECT * FROM users WHERE email IN (SELECT email FROM b) AND EXISTS (SELECT 1 FROM b WHERE b.email=users.email)`,
	`SELECT id FROM users WHERE org=? AND note LIKE ? ORDER BY id LIMIT ?`,
	`SELECT u.*, email AS e FROM users u LEFT JOIN (SELECT * FROM orgs) o ON o.id=u.org`,
	`WITH RECURSIVE t(n, e) AS (SELECT 1, email FROM users UNION ALL SELECT n+1, e FROM t WHERE n < 3) SELECT * FROM t`,
	`SELECT email, count(*), count(DISTINCT email) FROM users GROUP BY email`,
	`SELECT DISTINCT email FROM users UNION SELECT email FROM b EXCEPT SELECT email FROM c`,
	`SELECT first_value(email) OVER (PARTITION BY org ORDER BY id), min(email), json_group_array(email) FROM users ORDER BY email`,
	`SELECT $1, email FROM users`,
	`INSERT INTO users(id) VALUES (?); UPDATE users SET id=?;`,
	`EXPLAIN SELECT * FROM users WHERE email=?`,
	"-- name: Foo :one\n/* before */ SELECT /* inside */ * FROM users WHERE email = ? -- after",
	`SELECT * FROM users WHERE email = @email AND note = $note AND org = :org`,
	`SELECT * FROM temp.users, main.users AS m, aux."Users"`,
	"SELECT `email` FROM [users] WHERE \"id\" = 1",
}

func TestShapes(t *testing.T) {
	for _, sql := range shapes {
		t.Run(sql, func(t *testing.T) { checkTree(t, mustParse(t, sql)) })
	}
}

func FuzzParse(f *testing.F) {
	if len(shapes) == 0 || len(queries) == 0 {
		f.Fatal("no seeds")
	}
	for _, sql := range shapes {
		f.Add(sql)
	}
	for _, set := range [][]lowering{queries, writes, utilities, refused} {
		for _, test := range set {
			f.Add(test.sql)
		}
	}
	f.Fuzz(func(t *testing.T, sql string) {
		file, err := Parse(sql, sqlparse.Limits{})
		if err != nil {
			e, ok := sqlparse.AsError(err)
			if !ok || e.Pos < 0 || e.Pos > len(sql) {
				t.Fatalf("an error of the wrong kind: %T at %d", err, e.Pos)
			}
			if e.Reason == "the SQL parser failed" {
				t.Fatal("the parser panicked")
			}
			return
		}
		checkTree(t, file)
		if _, err := file.Tokens(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, sql string }{
		{"point", `SELECT id, email, note FROM users WHERE email = ?`},
		{"upsert", `INSERT INTO users(id,email,ssn) VALUES (?,?,?),(?,?,?),(?,?,?),(?,?,?),(?,?,?) ON CONFLICT (id) DO UPDATE SET ssn=excluded.ssn RETURNING *`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bench.sql, sqlparse.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
