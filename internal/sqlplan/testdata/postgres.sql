INSERT INTO users(id,email,ssn) VALUES ($1,$2,$3)
INSERT INTO users VALUES ($1,$2,$3,$4,$5)
INSERT INTO users(email,note) VALUES ($1,$1)
INSERT INTO users(id,email) VALUES (1,'lit@x'),(2,E'a\'b'),(3,$$q$$),(4,U&'d!0061t' UESCAPE '!')
INSERT INTO users(id,email) VALUES (1,$2::text),(2,CAST($2 AS varchar)),(3,'x'::text)
INSERT INTO users(id,email) VALUES (1,lower($2))
INSERT INTO users(id,email) VALUES (1,$2||'x')
INSERT INTO users(id,email) VALUES (1,now())
INSERT INTO users(id,email) VALUES (1,(SELECT note FROM users))
INSERT INTO users(id,email) VALUES (1,DEFAULT)
INSERT INTO users DEFAULT VALUES
INSERT INTO users(id,email) SELECT $1,$2
INSERT INTO users(id,email) SELECT v.a,v.b FROM (VALUES ($1::bigint,$2::text)) v(a,b)
INSERT INTO archive(email) SELECT email FROM users
INSERT INTO archive(ssn) SELECT ssn FROM users
INSERT INTO users(id,email) SELECT * FROM unnest($1::bigint[],$2::text[])
INSERT INTO users(id,email,ssn) VALUES ($1,$2,$3) ON CONFLICT (id) DO UPDATE SET ssn=EXCLUDED.ssn, email=users.email RETURNING *
INSERT INTO users(id,ssn) VALUES ($1,$2) ON CONFLICT (id) DO UPDATE SET ssn=$3
INSERT INTO users(id,email) VALUES ($1,$2) ON CONFLICT (email) DO NOTHING
INSERT INTO users(id,ssn) VALUES ($1,$2) ON CONFLICT (ssn) DO NOTHING
UPDATE users SET ssn=$1 WHERE id=$2
UPDATE users SET (email,ssn)=($1,$2)
UPDATE users SET (email,ssn)=(SELECT $1,$2)
UPDATE users SET ssn=COALESCE($1,ssn)
UPDATE users SET ssn=CASE WHEN id=$1 THEN $2 ELSE ssn END
UPDATE users SET ssn=email
UPDATE users SET email=note
UPDATE users SET note=email
UPDATE users SET email=v.e FROM (VALUES ($1::bigint,$2::text)) v(i,e) WHERE id=v.i
WITH i AS (INSERT INTO users(id,email) VALUES ($1,$2) RETURNING email) SELECT * FROM i
WITH users AS (SELECT 1 AS email) SELECT email FROM users WHERE email > 0
MERGE INTO users u USING (SELECT $1::bigint AS id) s ON u.id=s.id WHEN MATCHED THEN UPDATE SET ssn=$2 WHEN NOT MATCHED THEN INSERT VALUES ($3,$4)
COPY users FROM STDIN
DELETE FROM users WHERE email=$1 RETURNING email
SELECT id FROM users WHERE email=$1 OR $1=email OR email='lit' OR users.email=$1 OR ssn IS NULL
SELECT id FROM users u WHERE u."email"=$1
SELECT id FROM users WHERE email IN ($1,$2,'x')
SELECT id FROM users WHERE email = ANY($1)
SELECT id FROM users WHERE email = ANY($1::text[])
SELECT id FROM users WHERE email = ANY(ARRAY[$1,$2])
SELECT id FROM users WHERE email = ANY('{a,b}')
SELECT id FROM users WHERE email <> $1 AND email NOT IN ($1,$2) AND email <> ALL($3) AND NOT (email=$1)
SELECT id FROM users WHERE email IS NULL AND ssn IS NOT NULL AND email IS DISTINCT FROM $1
SELECT id FROM users WHERE (email,note)=($1,$2)
SELECT id FROM users WHERE (email,id) IN (($1,$2),($3,$4))
SELECT id FROM users WHERE email LIKE $1
SELECT id FROM users WHERE ssn > $1
SELECT id FROM users WHERE ssn = $1
SELECT id FROM users WHERE email BETWEEN $1 AND $2
SELECT id FROM users WHERE lower(email)=$1
SELECT email||'x' FROM users
SELECT email::text FROM users
SELECT id FROM users WHERE ($1::text IS NULL OR email=$1)
SELECT id FROM users WHERE ($1 IS NULL OR email=$1)
SELECT a.id FROM users a JOIN archive b ON a.email=b.email
SELECT a.id FROM users a JOIN archive b USING (email)
SELECT * FROM users a NATURAL JOIN archive b
SELECT a.id FROM users a JOIN leads b ON a.email=b.email
SELECT id FROM users WHERE email IN (SELECT email FROM archive)
SELECT id FROM users u WHERE EXISTS (SELECT 1 FROM archive a WHERE a.email=u.email)
SELECT u.id FROM users u, LATERAL (SELECT a.ssn FROM archive a WHERE a.email=u.email) x
SELECT id FROM users WHERE org=$1 AND note LIKE $2 ORDER BY id LIMIT $3
SELECT * FROM users
SELECT u.*, o.* FROM users u JOIN orders o ON o.user_id=u.id
SELECT e FROM (SELECT email AS e FROM users) s WHERE e=$1
WITH RECURSIVE r(a,n) AS (SELECT email, 1 FROM users UNION ALL SELECT a, n+1 FROM r WHERE n < 3) SELECT * FROM r
SELECT * FROM user_view
SELECT email, count(*) FROM users GROUP BY email
SELECT email FROM users GROUP BY 1
SELECT DISTINCT email FROM users
SELECT DISTINCT ssn FROM users
SELECT count(DISTINCT email), count(ssn), count(*) FROM users
SELECT email FROM users UNION SELECT email FROM archive
SELECT ssn FROM users UNION ALL SELECT ssn FROM archive
SELECT email FROM users ORDER BY email
SELECT email FROM users ORDER BY 1
SELECT min(email) FROM users
SELECT CASE WHEN id=1 THEN email END FROM users
SELECT COALESCE(email,ssn) FROM users
SELECT COALESCE(email,'none') FROM users
SELECT (SELECT email FROM users LIMIT 1), id FROM orders
SELECT array_agg(email), first_value(ssn) OVER (ORDER BY id) FROM users
SELECT to_jsonb(u) FROM users u
SELECT row(u.*) FROM users u
SELECT u::text FROM users u
SELECT u FROM users u
SELECT $1::text, email FROM users
INSERT INTO users(id,email) VALUES (1,'a'); UPDATE users SET ssn='b' WHERE email='c'
PREPARE q AS INSERT INTO users(email) VALUES ($1)
EXPLAIN SELECT * FROM users WHERE email=$1
CREATE TABLE x AS SELECT * FROM users
SELECT * INTO y FROM users
CREATE INDEX ON users(email)
ALTER TABLE users ALTER COLUMN email SET DEFAULT 'x'
ALTER TABLE users RENAME email TO mail
ALTER TABLE users RENAME note TO remark
ALTER TABLE app.users RENAME TO people
ALTER TABLE users RENAME TO archive
ALTER TABLE users SET SCHEMA other
ALTER TABLE orders RENAME TO users
SELECT * FROM broken
SELECT * FROM missing
SELECT mail FROM texts WHERE mail = $1::text
INSERT INTO leads(phone) VALUES (5),($1),('6')
INSERT INTO leads(email) VALUES (5)
SELECT * FROM orders WHERE note = 'users'
SELECT u.nosuch FROM users u
SELECT (u).email FROM users u
SELECT id, generate_series(1,3) FROM users
SELECT *  FROM users, json_to_recordset('[]') AS x(a int)
SELECT * FROM users, somefn() f
SELECT f.*, users.email FROM users, somefn() f
SELECT ssn = 'x' FROM users
SELECT (WITH c AS (SELECT u.email AS e) SELECT 1 FROM c WHERE e = $1) FROM users u
SELECT (SELECT email FROM orders LIMIT 1) FROM users
SELECT id FROM users WHERE email = $1 AND note = $1 AND org = $2
SELECT v.e FROM (VALUES ($1)) v(e) JOIN users u ON u.email = v.e WHERE lower(v.e) = 'x'
SELECT id FROM users WHERE CASE email WHEN $1 THEN true ELSE false END
UPDATE users SET email=NULLIF($1,'')
UPDATE users SET ssn=NULLIF($1,'')
SELECT lag(ssn, 1, 'none') OVER (PARTITION BY email ORDER BY id) FROM users
SELECT count(*) OVER (PARTITION BY ssn) FROM users
SELECT id FROM users WHERE email = $1::varchar(3)
SELECT id FROM users WHERE email = $1 COLLATE "C"
SELECT set_config('standard_conforming_strings','off',false)
SET standard_conforming_strings = off
INSERT INTO users(id,email) VALUES ($1,$2) RETURNING id, upper(note) AS n, email
INSERT INTO users(id, email) SELECT id, email FROM archive ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email WHERE users.email <> EXCLUDED.email
DELETE FROM users u USING archive a WHERE a.email = u.email AND u.email = 'x' RETURNING a.email, u.*
SELECT DISTINCT ON (email) email, id FROM users
SELECT id FROM users WHERE email = (SELECT email FROM archive WHERE id = $1)
SELECT id FROM users WHERE email = ANY (SELECT email FROM archive)
SELECT unnest(array_agg(email)) FROM users
SELECT id FROM users WHERE (email = $1) IS TRUE
SELECT id FROM users WHERE email IN (VALUES ($1),($2))
WITH w AS (SELECT id, email FROM users WHERE email = $1) UPDATE users u SET ssn = $2 FROM w WHERE w.id = u.id RETURNING u.ssn, w.email
DO $$ BEGIN DELETE FROM users; END $$
CREATE VIEW vv AS SELECT email FROM users
TRUNCATE users
LOCK TABLE users
ALTER TABLE users ADD COLUMN extra text
SELECT id FROM users WHERE email = $1 FOR UPDATE
TABLE users
VALUES ('users')
SELECT id FROM users WHERE "email" = $1 -- 'users'
/* c */ SELECT id FROM users WHERE email /* c */ = /* c */ $1 /* c */
SELECT id FROM users WHERE email = 'a'
SELECT * FROM users WHERE email = @name
SELECT email, FROM users
SELECT id FROM users WHERE email = ?
SELECT id FROM users WHERE id ! 1 AND email = $1
UPDATE users SET ssn = :ssn WHERE id = 1
SELECT id FROM users WHERE ($1::text[] IS NULL OR email = ANY($1::text[]))
SELECT id FROM users WHERE ($1 = '' OR email=$1)
SELECT id FROM users WHERE ($1 = $2 OR email=$1) AND COALESCE($2,'') <> ''
UPDATE users SET ssn=$1 WHERE $1 <> ''
SELECT $1::text AS q, id FROM users WHERE email=$1
SELECT id FROM users WHERE length($1)=0 OR email=$1
SELECT id FROM users WHERE cardinality($1::text[])=0 OR email = ANY($1)
SELECT id, unnest($1::text[]) FROM users WHERE email=$1
SELECT id, unnest($1::text[]) FROM users WHERE email = ANY($1)
SELECT id FROM users WHERE note = $1 OR email=$1
UPDATE users SET email = NULL::text
WITH RECURSIVE r(a,b,c) AS (SELECT email,email,ssn FROM users UNION ALL SELECT b,c,c FROM r) INSERT INTO archive(email) SELECT a FROM r
WITH RECURSIVE r(a,b,c) AS (SELECT u.email,u.ssn,a.ssn FROM users u, archive a UNION ALL SELECT b,c,a FROM r) SELECT * FROM r
SELECT 'x' AS email INTO users
SET search_path = other; INSERT INTO users(email) VALUES ('x')
SELECT 1 FROM (SELECT o.note AS email, u.email FROM users u, orders o) v WHERE v.email = 'x'
SELECT 1 FROM other.users, public.users WHERE users.email = 'x'
SELECT v.row_to_json FROM (SELECT email FROM users) v
SELECT to_json(v) FROM (VALUES ($1)) v(e) JOIN users u ON to_json(v) IS NOT NULL AND v.e = u.email
INSERT INTO users(email,id) VALUES ($1,1),($2,2) ORDER BY 1 LIMIT 1
INSERT INTO users(email,id) VALUES ($1,1),($2,2) ORDER BY 2 LIMIT 1
INSERT INTO users(id,email) SELECT (r).* FROM (SELECT json_populate_record(NULL::users,$1) r) q
INSERT INTO users(id,email) VALUES ((json_populate_record(NULL::users,$1)).*)
SELECT (r).*, email FROM users, somefn() r
INSERT INTO users(id,email) SELECT * FROM orders o, LATERAL (VALUES (o.*, $1)) v
SELECT v.b FROM (SELECT f.*, u.email FROM users u, somefn() f) v(a,b) WHERE v.b = 'x'
SELECT id FROM users WHERE COALESCE(email,'') = ANY($1) AND $2 = ANY($1)
UPDATE users SET email = v.e FROM (VALUES (1,NULL)) v(i,e) WHERE id = v.i
SELECT id FROM users WHERE email IN (SELECT null)
SELECT NULL UNION ALL SELECT email FROM users
CALL foo((SELECT email FROM users))
CALL foo((SELECT id FROM orders), $1)
UPDATE users SET email = COALESCE(NULL, NULLIF(NULL,NULL)), ssn = NULL
SELECT id FROM users WHERE email = ANY(ARRAY[NULL,NULL]) OR email = NULL OR email IN (NULL)
INSERT INTO users(id,email) VALUES (1,NULL)
INSERT INTO tagged(tags,nums) VALUES ($1::text[],'{1,2}'::bigint[])
INSERT INTO tagged(tags,nums) VALUES ($1,CAST($2 AS int8[]))
INSERT INTO tagged(tags) VALUES ($1::text)
INSERT INTO tagged(tags) VALUES (ARRAY[$1])
SELECT id FROM tagged WHERE nums = $1::bigint[] AND ($1::bigint[] IS NULL OR nums = $1)
SELECT id FROM tagged WHERE 1 = ANY(nums)
SELECT id FROM tagged WHERE nums = ANY($1)
SELECT array_agg(nums) FROM tagged
SELECT id FROM users WHERE email = $1::text[]
SELECT $1::text[], id FROM users WHERE email = ANY($1)
SELECT array_agg(email) = $1::text[] FROM users
SELECT 1 FROM orders x, (SELECT email FROM users) x WHERE x.email = 'x'
WITH c(e) AS (SELECT NULL) SELECT id FROM users u JOIN c ON c.e = u.email
SELECT id FROM users u JOIN (SELECT NULL) v(e) ON v.e = u.email
UPDATE users SET ssn='x'WHERE email='y'AND note='z'
INSERT INTO users SELECT FROM orders
MERGE INTO users USING archive s ON users.id=s.id WHEN NOT MATCHED AND email='x' THEN INSERT (id,email) VALUES (s.id,email)
CREATE VIEW v AS SELECT id, note FROM users WHERE org > 3
CREATE OR REPLACE VIEW v(a, b) AS SELECT u.id, o.total FROM users u JOIN orders o ON o.user_id=u.id WHERE u.email IS NOT NULL
CREATE VIEW v AS SELECT id, email FROM users
CREATE VIEW user_view AS SELECT id, email FROM users
CREATE OR REPLACE VIEW user_view(id, email) AS SELECT id, e FROM (SELECT id, email AS e FROM users) q
CREATE VIEW user_view AS SELECT id, note AS email FROM users
CREATE VIEW user_view AS SELECT id, ssn FROM users WHERE id=1
CREATE VIEW user_view AS SELECT id, email FROM leads
CREATE VIEW user_view AS SELECT * FROM unknown
CREATE VIEW v AS SELECT id FROM users WHERE email='x'
CREATE VIEW v AS SELECT u.id FROM users u JOIN archive a ON a.email=u.email
CREATE VIEW v AS SELECT count(DISTINCT email) FROM users
CREATE VIEW v AS SELECT u FROM users u
CREATE VIEW v AS SELECT lower(email) FROM users
CREATE RECURSIVE VIEW v(n) AS SELECT id FROM users UNION ALL SELECT n+1 FROM v
CREATE MATERIALIZED VIEW m AS SELECT org, count(*), count(ssn) FROM users GROUP BY org
CREATE MATERIALIZED VIEW m AS SELECT email FROM users
CREATE TABLE x AS SELECT id, note FROM users WHERE email='a'
CREATE TEMP TABLE x AS SELECT id, note FROM users WHERE email=$1
CREATE TABLE x AS SELECT id, email FROM users
CREATE TABLE archive AS SELECT id, email FROM users WHERE email IN ('a',$1)
CREATE TABLE archive(id, email, ssn) AS SELECT 1, 'a', NULL::text
CREATE TABLE archive AS SELECT id, ssn FROM users
CREATE TABLE archive AS SELECT id, note AS email FROM users
CREATE TABLE IF NOT EXISTS archive AS SELECT 'a' AS email WITH NO DATA
SELECT id, note INTO x FROM users WHERE email='a'
SELECT id, email INTO archive FROM users
DECLARE c CURSOR FOR SELECT id, note FROM users WHERE email=$1 AND ssn IS NOT NULL
DECLARE c CURSOR FOR SELECT id, email FROM users
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM users
PREPARE q AS SELECT id FROM users WHERE org=$1
PREPARE q(int) AS UPDATE users SET note='x' WHERE id=$1 AND ssn IS NULL; INSERT INTO users(id,email) VALUES ($1,'y')
PREPARE q AS SELECT id FROM users WHERE email=$1
PREPARE q AS SELECT id FROM users WHERE email='x'
PREPARE q AS INSERT INTO users(id,ssn) VALUES (1,'x')
PREPARE q AS SELECT email FROM users
EXPLAIN CREATE TABLE x AS SELECT id FROM users WHERE email=$1
EXPLAIN ANALYZE CREATE TABLE x AS SELECT email FROM users
EXPLAIN DECLARE c CURSOR FOR SELECT id FROM users WHERE email='x'
CREATE VIEW public.user_view AS SELECT id, email FROM public.users
CREATE VIEW v AS SELECT id FROM orders
SELECT NULL AS e INTO x UNION ALL SELECT email FROM users
SELECT 'a' AS email INTO archive UNION ALL SELECT email FROM users
SELECT 'a' AS email INTO archive UNION ALL SELECT note FROM users
CREATE TABLE x AS SELECT $1 AS e FROM users WHERE email=$1
DECLARE c CURSOR FOR SELECT $1 FROM users WHERE email=$1
CREATE TABLE archive AS SELECT (o).email FROM orders o
CREATE TABLE x AS SELECT 'a' AS e, id, NULL AS n FROM users WHERE email=$1
SELECT email, note, GROUPING(email), GROUPING(email, note) FROM users GROUP BY GROUPING SETS ((email), (note))
SELECT ssn, GROUPING(ssn) FROM users GROUP BY ssn
SELECT (array_agg(email))[1], (array_agg(email))[1:2], (ARRAY[email,'x'])[2] FROM users
SELECT (array_agg(email))[1] FROM users
SELECT (ARRAY[email,'x',$1])[$2] FROM users
SELECT id FROM users WHERE (ARRAY[email])[1] = $1
SELECT id FROM users WHERE email = ($1::text[])[2]
SELECT tags[1] FROM tagged
SELECT (array_agg(email))[email] FROM users
SELECT (array_agg(ssn))[1][1] FROM users
SELECT ($1::int[])[1], email FROM users
SELECT id FROM leads WHERE phone = +5 OR phone IN (+ 7, 8)
INSERT INTO leads(phone) VALUES (+5)
SELECT id FROM leads WHERE phone = 5 + 1
SELECT $1, 'x', ($1), $1::text, CAST('x' AS varchar), id FROM users WHERE email IN ($1)
SELECT $1 UNION ALL SELECT email FROM users
SELECT * FROM (SELECT 'x' UNION ALL SELECT email FROM users) q
SELECT $1 AS e, email FROM users WHERE email=$1
INSERT INTO users(id,email) VALUES (1,$1) RETURNING $1, email
SELECT (($1)::text) UNION ALL SELECT ssn FROM users
WITH users AS (SELECT id FROM users) SELECT 1 FROM users u WHERE u.email = 'x'
EXPLAIN SELECT id INTO x FROM users WHERE email=$1; SELECT email FROM users
INSERT INTO made VALUES (1,DEFAULT,'x','t')
INSERT INTO made VALUES ($1,$2,$3)
INSERT INTO made SELECT 1, 2, 'x'
MERGE INTO made m USING users u ON u.id=m.id WHEN NOT MATCHED THEN INSERT VALUES (1,DEFAULT,'x')
UPDATE kinds SET i = 100000::smallint
UPDATE kinds SET i = 69.6, f = 1, n = 1.50, b = TRUE
UPDATE kinds SET i = 70.5::float8
UPDATE kinds SET i = COALESCE(i, 69.6)
UPDATE kinds SET i = $1::int2 WHERE i = $2::int4 OR i = $1
UPDATE kinds SET i = $1::numeric, f = $2::real, n = $3::decimal
UPDATE kinds SET i = $1::float8
UPDATE kinds SET n = $1::numeric(10,2)
SELECT id FROM kinds WHERE i = 70.0 OR i = 7e1 OR i = '7000000000' OR i = 7000000000::numeric
SELECT id FROM kinds WHERE i = 69.6
SELECT id FROM kinds WHERE i = '7000000000'::int
SELECT id FROM kinds WHERE i = '70'::text
SELECT id FROM kinds WHERE i = 'seventy'
SELECT id FROM kinds WHERE i = ANY('{1,NULL,3}') OR i = ANY('{1,2}'::int2[]) OR i = ANY($1::int2[])
SELECT id FROM kinds WHERE i = ANY('{1,70000}'::int2[])
SELECT id FROM kinds WHERE i = ANY(ARRAY[1,2.0]::int4[]) OR i = ANY(ARRAY[$1,$2]::smallint[])
SELECT id FROM kinds WHERE f = 1e-400
SELECT id FROM kinds WHERE f = 9007199254740993 OR f = 1.5 OR f = '-Infinity' OR f = 0.1::real OR f = 'nan'
SELECT id FROM kinds WHERE n = 0.1::float8
SELECT id FROM kinds WHERE n = '1.50' OR n = 15e-1 OR n = 7
SELECT id FROM kinds WHERE b = 't' OR b = false OR b = 'off'::boolean
SELECT id FROM kinds WHERE b = 1
SELECT id FROM kinds WHERE t = 'now'
SELECT id FROM kinds WHERE t = 'infinity'::timestamptz
SELECT id FROM kinds WHERE t = '2020-01-01 10:00'
SELECT id FROM kinds WHERE t = '2020-01-01 10:00:00.1234567+00'
SELECT id FROM kinds WHERE t = '2020-01-01 10:00+02' OR t = TIMESTAMPTZ '2020-01-01T10:00:00.5Z'
SELECT id FROM kinds WHERE u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid
SELECT id FROM kinds WHERE u = 'A0EEBC99'
UPDATE kinds SET j = '{"a":1}'::jsonb
UPDATE kinds SET j = '{"a"'
SELECT id FROM kinds WHERE y = '\x0102' OR y = 'ab\\001'::bytea
SELECT id FROM kinds WHERE y = '\x012'
SELECT id FROM users WHERE email = 12.50::text OR email = TRUE::varchar OR email = 'x'::pg_catalog.text
SELECT id FROM users WHERE email = 'x'::public.text
SELECT id FROM users WHERE email = 'xyz'::char(2)
SELECT id FROM users WHERE email = ANY('{{a}}')
SELECT id FROM users WHERE email = ANY('[2:3]={a,b}')
SELECT id FROM users WHERE email = $1::name
SELECT id FROM users WHERE email = COALESCE($1::text, 7)::text
SELECT k.id FROM (VALUES ($1), ('3')) v(a) JOIN kinds k ON k.i = v.a::int2
SELECT id FROM kinds WHERE $1::int2 IS NULL OR i = $1::int2
UPDATE kinds SET i = NULL::int2
UPDATE users SET email = NULL::point
UPDATE users SET ssn = CASE WHEN $1 <> '' THEN $1 ELSE ssn END WHERE id = $2
UPDATE users SET ssn = COALESCE(NULLIF($1,''), ssn), email = COALESCE(NULLIF($2::text, ''::text), email)
UPDATE users SET ssn = $1 WHERE $1::text IN ('a', NULL, 'b') OR '' = $1 OR $1 IS DISTINCT FROM 'x' OR $1 IS NULL OR $1 IS NOT DISTINCT FROM NULL
UPDATE kinds SET i = $1, f = $2 WHERE $1 > 0 AND 10 >= $1 AND $2 < 1.5 AND $1::int4 NOT IN (7, 8)
UPDATE users SET ssn = $1 WHERE $1 < 'm'
UPDATE users SET ssn = $1 WHERE $1 = 5
UPDATE kinds SET j = $1 WHERE $1 <> '{}'
UPDATE kinds SET i = $1 WHERE $1 = 69.6
UPDATE users SET ssn = $1, note = $2 WHERE $2 <> '' AND $3 = 'x' AND $3 > 'a'
INSERT INTO kinds(i, f) VALUES ($1, $1) RETURNING $1 = 0
INSERT INTO users(ssn, note) VALUES ($1, $1) RETURNING $1 = '' AS empty, $1 = '', NULLIF($1, '')
SELECT id FROM users WHERE $1 = '{}' OR email = ANY($1)
SELECT id FROM users WHERE NULLIF($1, '') IS NULL OR email = $1
SELECT note FROM users WHERE note = NULLIF($1, '') AND email = $1
SELECT CASE WHEN '' = $1::varchar THEN 1 END FROM users WHERE email = $1
SELECT id FROM users WHERE email = $1 AND $1 = NULL::text
SELECT DISTINCT ON (id) id, ssn FROM users ORDER BY id
SELECT DISTINCT ON (ssn) id, ssn FROM users
SELECT DISTINCT ON (1) email, ssn FROM users
SELECT * FROM halves WHERE mail = $1
UPDATE halves SET mail = $1, note = $2 RETURNING *
INSERT INTO halves(id, mail) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET mail = EXCLUDED.mail RETURNING *
INSERT INTO halves VALUES ($1, $2)
SELECT ssn FROM halves
SELECT id FROM halves h WHERE h.phone = 'x'
UPDATE halves SET ssn = $1
UPDATE halves SET ssn = ssn WHERE phone IS NULL
SELECT id FROM users u WHERE EXISTS (SELECT 1 FROM halves WHERE ssn = 'x')
SELECT h.id FROM halves h JOIN users u ON h.phone = u.email
DELETE FROM halves WHERE id = $1
MERGE INTO halves h USING users u ON h.id = u.id WHEN NOT MATCHED THEN INSERT VALUES (1, 'x')
ALTER TABLE halves ADD COLUMN ssn bytea; UPDATE halves SET ssn = 'x'
INSERT INTO users(id, email) VALUES (1, $1) ON CONFLICT (email text_ops) DO NOTHING
INSERT INTO users(id, email) VALUES (1, $1) ON CONFLICT (id int8_ops) DO NOTHING
INSERT INTO users(id, email) VALUES (1, $1) ON CONFLICT (email COLLATE "C") DO NOTHING
CREATE INDEX ON users (email text_pattern_ops)
CREATE INDEX ON users (note text_pattern_ops, email)
CREATE INDEX ON users (email COLLATE "C")
SELECT s FROM renamed
UPDATE renamed SET s = $1 WHERE id = $2
SELECT r.s, u.ssn FROM renamed r JOIN users u USING (id)
UPDATE users SET ssn = r.s FROM renamed r WHERE r.id = users.id
CREATE VIEW renamed AS SELECT id, ssn AS s FROM users
SELECT id FROM renamed WHERE s = $1
SELECT email FROM users; SELECT 1
SELECT id FROM users; SELECT 1
INSERT INTO users(id,ssn) VALUES (1,$1),(2,$1),(3,$1::text)
INSERT INTO users(id,ssn) VALUES ($1,$2) ON CONFLICT (id) DO UPDATE SET ssn=$2
INSERT INTO users(id,email,ssn,note) VALUES (1,$1,$1,$1),(2,$1,$1,$1)
UPDATE users SET ssn=COALESCE($1,ssn) WHERE $1 IS NOT NULL OR $1 IS NULL
UPDATE users SET ssn=CASE WHEN id=1 THEN $1 ELSE COALESCE(NULLIF($1,''),NULLIF($1,'')) END
SELECT ($1::users).email
SELECT (NULL::users).email = 'secret'
SELECT ROW(1, 'secret')::public.users
SELECT x.email FROM unnest($1::users[]) x WHERE x.email = 'secret'
SELECT * FROM jsonb_populate_recordset(NULL::users, $1) x WHERE x.email = 'secret'
SELECT $1::users IS NULL
SELECT $1::users = '(1,secret)'
SELECT NULL::orders, '2025-01-01'::date FROM users
INSERT INTO orders SELECT (jsonb_populate_record(NULL::orders, $1)).* FROM users WHERE email = 'secret'
SELECT query_to_xml('SELECT id FROM users WHERE email = ''secret''', true, true, '')
SELECT * FROM public.dblink('dbname=x', E'DELETE FROM Users WHERE email = \'secret\'') AS d(x text)
SELECT query_to_xml('SELECT id FROM orders', true, true, ''), email FROM users
SELECT table_to_xml('users', true, true, '')
SELECT count('the users'), note FROM users
SELECT DISTINCT users.id, users.ssn FROM users JOIN (SELECT o.user_id FROM orders o WHERE o.id = $1) AS t1 ON users.id = t1.user_id
SELECT users.id, users.ssn FROM users JOIN (SELECT o.user_id FROM orders o WHERE o.id = $1) AS t1 ON users.id = t1.user_id
SELECT id, ssn FROM users WHERE id IN (SELECT DISTINCT o.user_id FROM orders o WHERE o.id = $1)
SELECT id, ssn FROM users GROUP BY id
SELECT schema_to_xml('public', true, true, ''), database_to_xml(true, true, '')
SELECT table_to_xml($1, true, true, '')
SELECT x.email FROM unnest(NULL::_users) x WHERE x.email = 'secret'
SELECT $1::_text, $1::_orders FROM users
SELECT (x.u).email = 'secret' FROM json_to_record($1) AS x(n text, u users)
SELECT (x.u).email = 'secret' FROM ROWS FROM (json_to_record($1) AS (u public._users)) x
SELECT x.a, u.email FROM users u, json_to_record($1) AS x(a text, d date, o orders, c citext)
SELECT (JSON_QUERY($1, '$' RETURNING users)).email = 'secret'
SELECT JSON_VALUE($1, '$' RETURNING int), JSON_QUERY($1, '$'), email FROM users
SELECT * FROM JSON_TABLE($1, '$' COLUMNS (NESTED PATH '$.a' COLUMNS (u users PATH '$'), n FOR ORDINALITY)) x WHERE (x.u).email = 'secret'
SELECT * FROM XMLTABLE('/a' PASSING $1 COLUMNS n FOR ORDINALITY, u users PATH '.') x WHERE (x.u).email = 'secret'
PREPARE p(users) AS SELECT ($1).email = 'secret'
PREPARE p(int, mytype, text[]) AS SELECT note FROM users WHERE id = $1
INSERT INTO orders VALUES ((somefn()).*, (NULL::users).email = 'secret')
INSERT INTO orders VALUES ((somefn()).*, (SELECT (x.u).email = 'secret' FROM json_to_record('{}') AS x(u users)))
INSERT INTO orders VALUES ((somefn()).*, query_to_xml('SELECT id FROM users WHERE email = ''secret''', true, true, ''))
INSERT INTO orders VALUES ((somefn()).*, (NULL::orders).id)
COPY (SELECT query_to_xml('SELECT id FROM users WHERE email = ''secret''', true, true, '')) TO STDOUT
SELECT ts_rewrite('a'::tsquery, 'SELECT t, s FROM users WHERE email = ''secret''')
SELECT GREATEST(email, $1) FROM users WHERE LEAST(ssn, 'a') IS NULL
SELECT LEAST(phone, 3) FROM leads
SELECT o.id, count(u), count(u.*) FROM orders o LEFT JOIN users u ON u.id = o.id WHERE u IS NULL OR u.* IS NOT NULL GROUP BY o.id
SELECT v IS NULL FROM (SELECT $1 AS e, ssn FROM users) v JOIN users u ON u.email = v.e
SELECT u.to_json IS NULL, (u).note IS NULL, ROW(u.*) IS NULL, count(DISTINCT u) FROM users u
SELECT v.to_json IS NULL FROM (SELECT email FROM users) v
CREATE TABLE users2 (CHECK (users2 IS NOT NULL)) INHERITS (users)
ALTER TABLE users ADD CHECK (users IS NOT NULL)
CREATE TABLE y (x users, z other.users)
