SELECT * FROM users
SELECT u.*, o.* FROM users u JOIN orgs o ON o.id = u.id
SELECT * FROM users u JOIN orgs o USING (id)
SELECT * FROM users u JOIN begun USING (email)
SELECT * FROM users NATURAL JOIN begun
SELECT email, (u.email), u."email" AS mail, email::text FROM users u WHERE email = $1 OR u.email IN ($2, 'x@y')
SELECT e FROM (SELECT email AS e, ssn FROM users) s WHERE e = $1
SELECT email FROM (SELECT * FROM users) s WHERE email = $1
WITH w AS (SELECT email FROM users) SELECT w.email FROM w WHERE email = $1
SELECT u.id, count(*) FROM users u GROUP BY u.id, email ORDER BY u.id
SELECT email FROM users WHERE email LIKE $1
SELECT email FROM users ORDER BY email
SELECT u.email FROM users u JOIN ended e ON e.email = u.email
SELECT a, b, c FROM users AS u(a, b, c)
SELECT row_to_json(u) FROM users u
SELECT CASE WHEN id = 1 THEN NULL ELSE email END FROM users
INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3) RETURNING *
INSERT INTO users VALUES ($1, $2, $3, $4)
INSERT INTO users (id, email) VALUES (1, 'a@b'), ($1, NULL), (3, DEFAULT), (4, ($2))
INSERT INTO users (id, email) VALUES ($1, lower($2))
INSERT INTO users (id, email) SELECT id, note FROM orgs
INSERT INTO users (id, email) SELECT $1, $2
INSERT INTO users (id, email) SELECT id, email FROM ended WHERE email = $1
INSERT INTO users (id, email) SELECT DISTINCT id, email FROM users
INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET email = excluded.email, ssn = $3 WHERE users.email <> $2
INSERT INTO ended (id, email) VALUES ($1, $2)
INSERT INTO ended VALUES ($1, $2, $3)
INSERT INTO begun VALUES ($1, $2, $3)
INSERT INTO users DEFAULT VALUES
UPDATE users SET email = $1 WHERE email = $2
UPDATE users SET email = $1, note = $1 WHERE id = $2
UPDATE users SET email = COALESCE($1, email), ssn = DEFAULT WHERE id = $2
UPDATE users SET email = COALESCE(email, $1), ssn = COALESCE(NULLIF($2, ''), users.ssn, $3)
UPDATE users SET ssn = CASE WHEN email = $1 OR ssn IS NULL THEN $2 ELSE ssn END
UPDATE users SET email = CASE email WHEN $1 THEN $2 ELSE (SELECT u.email FROM users u WHERE u.ssn IS NULL) END
UPDATE users SET email = COALESCE((SELECT u.email FROM users u WHERE u.id = $1), 'x')
UPDATE users SET email = NULLIF($1, email)
UPDATE users SET email = CASE WHEN $1 <> '' THEN $1 ELSE email END
UPDATE users SET email = NULLIF($1, '')
UPDATE users SET email = lower(email)
UPDATE users SET email = email || 'x', note = 'y'
UPDATE users SET (email, note) = ($1, $2)
UPDATE users SET (email, ssn) = (SELECT e.email, NULL FROM ended e WHERE e.id = $1)
UPDATE users SET email = (SELECT e.email FROM ended e WHERE e.id = $1)
UPDATE users u SET email = e.email FROM ended e WHERE e.email = u.email RETURNING u.email
UPDATE users SET email = CASE WHEN random() < 0.5 THEN $1 ELSE $2 END
DELETE FROM users WHERE email = $1 RETURNING users.*
MERGE INTO users u USING (VALUES ($1::bigint, $2::text)) v(id, email) ON u.id = v.id WHEN MATCHED THEN UPDATE SET email = v.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (v.id, v.email)
MERGE INTO users u USING orgs o ON u.id = o.id WHEN MATCHED THEN UPDATE SET email = $1 WHEN NOT MATCHED THEN INSERT (id, email) VALUES (o.id, $1)
COPY users (id, email) FROM STDIN
CREATE TABLE t AS SELECT * FROM users
SELECT nonsense(FROM users
SELECT * FROM begun WHERE email = $1
UPDATE begun SET email = $1
UPDATE users SET (email) = ROW($1), note = $2 WHERE id = $3
INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT ("email") DO UPDATE SET (email) = ROW(excluded.email)
INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (id, EMAIL COLLATE "email") DO NOTHING
TABLE users
SELECT u FROM users u
SELECT to_jsonb(u.*) FROM users AS u
UPDATE users SET email = (SELECT u.email FROM users u ORDER BY u.id LIMIT 1)
SELECT email FROM users ORDER BY lower(email), id LIMIT 5
UPDATE users SET email = CASE WHEN '' = $1::text OR $1 IS NULL THEN email ELSE $1 END WHERE id = $2
SELECT o.id, row_to_json(u) AS r, count(u.*) FROM orgs o LEFT JOIN users u ON u.id = o.id GROUP BY u.id, u.*, o.id
SELECT id FROM users WHERE users IS NOT NULL AND users::text <> $1
SELECT ROW(u.*), ROW(u.*) IS NULL FROM users u
UPDATE users u SET email = $1 WHERE id = $2 RETURNING to_jsonb(u)
INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET note = row_to_json(excluded)::text RETURNING users
SELECT mine(u), (u).email, u::users FROM users u
SELECT (u).* FROM users u
SELECT (x.u).email = 'e' FROM json_to_record($1) AS x(u users)
SELECT query_to_xml('SELECT id FROM users WHERE email = ''e''', true, true, '')
COPY (SELECT query_to_xml('SELECT id FROM users WHERE email = ''e''', true, true, '')) TO STDOUT
SELECT o.id, count(u), count(u.*) FROM orgs o LEFT JOIN users u ON u.id = o.id WHERE u IS NULL OR u.* IS NOT NULL GROUP BY o.id
SELECT e IS NULL FROM ended AS e(x, y, z)
SELECT b IS NOT NULL FROM begun b
