SELECT id FROM users WHERE email=$1
SELECT id FROM users WHERE email=$1 OR $1=email OR email='lit' OR users.email=$1 OR ssn IS NULL
SELECT id FROM users WHERE (email) = ($1) AND NOT ((email) = (($2))) AND NOT email = $1
SELECT id FROM users u WHERE u."email"=$1::text AND u.email = CAST($2 AS varchar) AND email = 'x'::text
SELECT id FROM users WHERE email IN ($1,$2,'x')
SELECT id FROM users WHERE email IN ($1,NULL) OR email = NULL OR email IN (COALESCE($2,'x'), CASE WHEN id=$3 THEN $1 END)
SELECT id FROM users WHERE email = ANY($1) AND email = ANY($2::text[]) AND email = ANY('{a,b}')
SELECT id FROM users WHERE email = ANY(ARRAY[$1,$2]) OR email = ANY(ARRAY[$1,'x']::text[])
SELECT id FROM users WHERE email = ALL($1) OR email <> ANY($1)
SELECT id FROM users WHERE email <> $1 AND email NOT IN ($1,$2) AND email <> ALL($3) AND NOT (email=$1) AND email != 'x'
SELECT id FROM users WHERE email IS NULL AND ssn IS NOT NULL AND email IS DISTINCT FROM $1 OR email IS NOT DISTINCT FROM NULL::text
SELECT id FROM users WHERE (email,note)=($1,$2)
SELECT id FROM users WHERE (email,id) IN (($1,$2),($3,$4)) OR ROW(email,id) = ROW('x',4) OR (email,id) <> ($1,$2)
SELECT id FROM leads WHERE (email,phone,id) = ($1,$2,$3)
SELECT id FROM leads WHERE (email,phone) NOT IN (($1,$2),('x',7)) AND (email,(phone,id)) IS DISTINCT FROM ($1,($2,$3))
SELECT id FROM leads WHERE (email,phone) IN (SELECT $1,$2)
SELECT id FROM users WHERE ($1::text IS NULL OR email=$1)
SELECT id FROM users WHERE ($1 = '' OR email=$1)
SELECT id FROM users WHERE email = COALESCE($1, email)
SELECT id FROM users WHERE $1 IN (email, NULL) AND $2 NOT IN (email, $3)
SELECT id FROM users WHERE $1 IN (SELECT email FROM archive WHERE id=$2) AND $1 NOT IN (SELECT email FROM archive)
SELECT id FROM users WHERE email IN (VALUES ($1),('x')) AND email NOT IN (SELECT $2)
SELECT id FROM users WHERE email = (SELECT $1) AND email = NULLIF($2,'')
SELECT id FROM users WHERE email = ANY(SELECT $1 FROM orders)
SELECT email = $1, email IN ($1,'x') AS b, count(*) FILTER (WHERE email=$1) FROM users GROUP BY email = $1
SELECT CASE WHEN email=$1 THEN $2 ELSE email END, CASE WHEN email=$1 THEN 1 END FROM users
SELECT id FROM users WHERE CASE WHEN email=$1 THEN email ELSE $2 END = $3
SELECT id FROM users WHERE EXISTS (SELECT 1 FROM archive a WHERE a.email=$1 AND a.id=users.id)
SELECT e FROM (SELECT email AS e FROM users) s WHERE e=$1
SELECT u.id FROM users u JOIN orders o ON o.user_id=u.id AND u.email=$1
INSERT INTO users(id,email,ssn) VALUES ($1,$2,$3)
INSERT INTO users(id,email) SELECT $1,$2 WHERE NOT EXISTS (SELECT 1 FROM users WHERE email=$2)
INSERT INTO users(id,email,ssn) VALUES ($1,$2,$3) ON CONFLICT (id) DO UPDATE SET ssn=EXCLUDED.ssn WHERE users.email <> $2
INSERT INTO users(id,email) VALUES ($1,$2) ON CONFLICT (email) DO NOTHING
INSERT INTO users(id,email) VALUES ($1,$2) ON CONFLICT DO NOTHING
INSERT INTO users(id,email) VALUES ($1,$2) ON CONFLICT ON CONSTRAINT users_pkey DO NOTHING
INSERT INTO users(id,ssn) VALUES ($1,$2) ON CONFLICT DO NOTHING
UPDATE users SET email=$1 WHERE email=$2
UPDATE users SET email=$1 WHERE email=$1
UPDATE users SET email=CASE WHEN email=$1 THEN $2 ELSE email END
UPDATE users SET email=NULLIF($1,'') WHERE id=$2
DELETE FROM users WHERE email=$1 RETURNING email
MERGE INTO users u USING (SELECT $1::bigint AS id) s ON u.email=$2 WHEN MATCHED THEN UPDATE SET ssn=$3
SELECT id FROM texts WHERE mail=$1 OR mail IN ('a','b') OR mail = ANY($2)
SELECT id FROM leads WHERE phone=$1 OR phone=-7
SELECT id FROM tagged WHERE nums = $1 OR nums IN ($2, '{1,2}')
SELECT a.id FROM users a JOIN archive b ON a.email=b.email
SELECT a.id FROM users a JOIN archive b USING (email)
SELECT id FROM users WHERE email IN (SELECT email FROM archive)
SELECT u.id FROM users u JOIN unnest($1::text[]) x(e) ON u.email = x.e
SELECT id FROM users WHERE (SELECT email FROM archive LIMIT 1) = $1
SELECT id FROM users WHERE CASE WHEN random() < 0.5 THEN email END = $1
SELECT id FROM users WHERE email = CASE WHEN length(note) > 3 THEN $1 ELSE 'x' END
SELECT id FROM users WHERE $1 = ALL(ARRAY[email,email])
SELECT NULLIF(email,$1) FROM users
SELECT CASE email WHEN $1 THEN 1 END FROM users
SELECT email, count(*) FROM users GROUP BY email
SELECT DISTINCT email FROM users
SELECT count(DISTINCT email) FROM users
SELECT email FROM users UNION SELECT email FROM archive
SELECT email FROM users UNION ALL SELECT email FROM archive
SELECT id, email FROM users WHERE id=$1
SELECT count(*) OVER (PARTITION BY email) FROM users
SELECT NULLIF(email,$1), NULLIF((email), ('x')) FROM users
SELECT NULLIF(COALESCE(email,$1),$2) FROM users
SELECT NULLIF($1,email) FROM users
UPDATE users SET email=NULLIF(email,$1) WHERE NULLIF(email,$1) IS NULL
SELECT CASE email WHEN $1 THEN 'yes' WHEN ('x') THEN (note) ELSE 'no' END FROM users
UPDATE users SET email=CASE email WHEN $1 THEN $2 WHEN $2 THEN $1 ELSE email END
SELECT CASE email WHEN $1 THEN CASE email WHEN $2 THEN 1 END ELSE 2 END FROM users WHERE CASE (email) WHEN 'x' THEN email = $1 END
SELECT CASE $1 WHEN email THEN 1 END FROM users
SELECT CASE $1 WHEN 'x' THEN email END FROM users WHERE email=$1
SELECT CASE email WHEN lower(note) THEN 1 END FROM users
SELECT NULLIF(u.email,a.email) FROM users u, archive a
SELECT CASE email WHEN $1 THEN (SELECT nextval('s')) END FROM users
SELECT CASE email WHEN $1 THEN (SELECT count(*) FROM orders) END FROM users
SELECT id FROM users WHERE ($1 = '' OR email = $1) AND email IN ($2, CASE WHEN $2 <> 'x' THEN NULLIF($1, 'y') END)
SELECT DISTINCT ON (id) id, ssn, email FROM users ORDER BY id
CREATE UNIQUE INDEX ON users (email)
CREATE INDEX ON users (email)
CREATE TABLE users (id bigint PRIMARY KEY, email bytea UNIQUE)
