SELECT id FROM users WHERE email=?
SELECT id FROM users WHERE email==:a OR email <> :a OR :a = email OR email='x'
SELECT id FROM users WHERE email IN (?,?,'x') AND email NOT IN (?1) AND email IS ? AND email IS NOT 'x'
SELECT id FROM users WHERE (email,note)=(?,?) AND org=?
SELECT id FROM leads WHERE (email,phone)=(?,7)
SELECT id FROM users WHERE email IN (SELECT ?) OR ifnull(email,?) = 'x'
SELECT id FROM users WHERE iif(id=?,email,NULL) = ?
INSERT INTO users(id,email) VALUES (?,?) ON CONFLICT(id) DO UPDATE SET email=excluded.email
INSERT OR REPLACE INTO users(id,email) VALUES (?,?)
INSERT OR IGNORE INTO users(id,email) VALUES (?,?)
UPDATE users SET email=? WHERE email=?
SELECT a.id FROM users a JOIN archive b USING (email)
SELECT DISTINCT email FROM users
SELECT NULLIF(email,?), CASE email WHEN ? THEN 1 WHEN ('x') THEN (2) ELSE 3 END AS c FROM users
UPDATE users SET email=nullif((email),(:a)) WHERE id=1
UPDATE OR REPLACE users SET email=? WHERE id=?
UPDATE OR IGNORE users SET note=?, email=? WHERE id=?
UPDATE OR IGNORE users SET note=? WHERE email=?
UPDATE OR ABORT users SET email=? WHERE id=?
SELECT email=?, (email IN (?,:b)) FROM users
SELECT (SELECT EXISTS(SELECT 1 FROM (SELECT email=? FROM users))) WHERE 1 IN (SELECT email=? FROM users)
