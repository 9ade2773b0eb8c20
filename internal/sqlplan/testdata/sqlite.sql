INSERT INTO users(id,email,ssn) VALUES (?,?,?)
INSERT INTO users VALUES (?,?,?,?,?)
INSERT INTO users(email,note) VALUES (?1,?1)
INSERT INTO users(email,note) VALUES (:a,:a)
INSERT INTO Users(ID,Email) VALUES (1,'x')
INSERT OR REPLACE INTO users(id,email) VALUES (?, ?) RETURNING *
INSERT INTO users(id,email) VALUES ($1,$2) ON CONFLICT(id) DO UPDATE SET email=excluded.email
UPDATE users SET ssn=? WHERE email=?
SELECT * FROM users WHERE email = ? AND note = ?
SELECT * FROM users WHERE email IN (?,?) LIMIT ?
SELECT * FROM users WHERE email IS ? OR email IS NOT 'x'
SELECT * FROM users WHERE email LIKE ?
SELECT * FROM users WHERE email = "lit"
SELECT (SELECT u2.email AS note FROM archive u2 WHERE note = ?) FROM users
SELECT u.email, a.ssn FROM users u JOIN archive a ON a.email = u.email WHERE u.id = ?
SELECT rowid, email FROM users
SELECT CAST(? AS TEXT) = email FROM users
CREATE TABLE users(id, email BLOB)
CREATE TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END
PRAGMA table_info(users)
ATTACH ? AS x
SELECT'x'=email AS a,'x'FROM users WHERE email='y'AND note='z'
CREATE VIEW v AS SELECT id, note FROM users
CREATE VIEW v AS SELECT id FROM users WHERE email='x'
CREATE VIEW IF NOT EXISTS user_view(id, email) AS SELECT id, email FROM users
CREATE TABLE x AS SELECT id, note FROM users WHERE email=?
CREATE TABLE x AS SELECT id, email FROM users
CREATE TABLE archive AS SELECT id, email FROM users
ALTER TABLE users RENAME COLUMN Email TO mail
ALTER TABLE users RENAME TO people
ALTER TABLE users RENAME note TO remark
INSERT INTO made VALUES (1,'x','t')
INSERT INTO made VALUES (?,?,?)
INSERT INTO made VALUES (1,2,'x','t')
INSERT INTO made VALUES (1,'x')
INSERT INTO made SELECT id, 'x', note FROM users
INSERT INTO made SELECT id, 1, 'x', note FROM users
INSERT INTO users VALUES (1,'x')
INSERT INTO made (rowid, mail) VALUES (?,?)
SELECT *, rank FROM made m
SELECT * FROM made m WHERE m.rank = 1
SELECT email='x' FROM users
SELECT email=?, (email), ? AS a FROM users -- all
SELECT ( email = ? ) /* c */, id FROM users WHERE (SELECT email=?) LIMIT 1
SELECT * FROM (SELECT email="email", email=:e, id+1 FROM users) UNION SELECT email=?1, 1, 2 FROM users
SELECT max FROM (SELECT max(id) FROM users WHERE email=?)
SELECT note FROM (SELECT note COLLATE NOCASE FROM users WHERE email=?)
WITH w AS (SELECT email=? FROM users) SELECT * FROM w
UPDATE users SET ssn=? WHERE id=1 RETURNING email=?, id+1
CREATE TABLE x AS SELECT email=?, id FROM users
UPDATE users SET ssn='x' FROM archive a WHERE a.id=users.id RETURNING *
UPDATE users AS u SET ssn='x' FROM archive a WHERE a.id=u.id RETURNING users.email, rowid
UPDATE users AS u SET ssn='x' WHERE id=1 RETURNING u.email
UPDATE users SET ssn='x' FROM archive a WHERE a.id=users.id RETURNING a.email
INSERT INTO users AS u VALUES (1,'x','y','z',2) RETURNING users.email
DELETE FROM users AS u WHERE u.email='x' RETURNING *
SELECT email=? [] FROM users
SELECT id FROM kinds WHERE i = 'abc'
SELECT id FROM kinds WHERE i = 70.0 OR i = '70' OR i = CAST('7' AS INTEGER) OR i = CAST(? AS BIGINT)
SELECT id FROM kinds WHERE i = 69.6
SELECT id FROM kinds WHERE f = 1 OR f = 1.5 OR f = '0.1' OR f = CAST(? AS REAL)
SELECT id FROM kinds WHERE f = 1e400
SELECT id FROM kinds WHERE b = 1 OR b = FALSE
SELECT id FROM kinds WHERE b = 2
SELECT id FROM kinds WHERE n = CAST(? AS NUMERIC)
SELECT id FROM kinds WHERE t = CAST(? AS timestamptz)
SELECT id FROM users WHERE email = CAST(? AS VARCHAR(3))
SELECT id FROM users WHERE email = 5
UPDATE users SET ssn = CASE WHEN ?1 <> '' THEN ?1 ELSE ssn END WHERE id = ?2
UPDATE users SET ssn = COALESCE(NULLIF(:a,''), ssn) WHERE :a IS NOT 'x' AND CAST(:a AS TEXT) = 'y'
UPDATE kinds SET i = ?1 WHERE ?1 > 0
UPDATE kinds SET i = ?1 WHERE ?1 = '0'
INSERT INTO users(id,ssn) VALUES (1,?1),(2,?1)
UPDATE users SET ssn=CASE id WHEN 1 THEN :s ELSE :s END WHERE :s IS NOT NULL
