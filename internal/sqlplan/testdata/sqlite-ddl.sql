ALTER TABLE users ADD COLUMN x CHECK (email <> 'secret')
ALTER TABLE users ADD COLUMN x DEFAULT 'x' CHECK (note <> 'n')
ALTER TABLE users ADD COLUMN email DEFAULT 'secret'
ALTER TABLE users ADD COLUMN x AS (email)
ALTER TABLE users ADD COLUMN x AS (lower(note)) STORED
ALTER TABLE users ADD COLUMN x AS (email IS NULL)
ALTER TABLE users ADD CONSTRAINT c CHECK (email <> 'secret')
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB, CHECK (email <> 'secret'))
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB CHECK (email <> 'secret'))
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB DEFAULT 'secret')
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB AS ('secret'))
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB UNIQUE, note TEXT DEFAULT 'n' CHECK (note <> ''), up AS (upper(note)), CHECK (email IS NOT NULL))
CREATE TABLE users (id, email, CHECK ("email" IS NULL OR (typeof("email") = 'blob' AND length("email") >= 25 AND substr("email", 1, 4) = x'01025fe5')))
CREATE TABLE users (id, email, CHECK ("email" IS NULL OR (typeof("email") = 'blob' AND length("email") >= 25 AND substr("email", 1, 4) = x'73656372')))
CREATE INDEX i ON users(lower(note)) WHERE note = 'new'
CREATE INDEX i ON users(id) WHERE email = 'secret'
CREATE INDEX i ON users(id) WHERE email = "secret"
CREATE INDEX i ON users(lower(email))
CREATE UNIQUE INDEX i ON users(email COLLATE nocase)
CREATE TRIGGER t AFTER UPDATE ON users WHEN NEW.email = 'secret' BEGIN SELECT 1; END
ALTER TABLE users ADD COLUMN x; UPDATE users SET x = 1, email = 'secret'
CREATE TABLE y (id); INSERT INTO y SELECT id FROM users
CREATE TABLE users (id); UPDATE users SET id = 1
DROP TABLE y; UPDATE users SET note = 'x'
ALTER TABLE users DROP COLUMN email; UPDATE users SET email = 'secret'
BEGIN; ALTER TABLE users ADD COLUMN x; UPDATE users SET x = 1; COMMIT
DROP TABLE colseal_keys
DELETE FROM colseal_keys
REPLACE INTO main.colseal_keys(key_id) VALUES (1)
UPDATE colseal_keys SET retired_at = NULL
ALTER TABLE colseal_keys RENAME TO k
CREATE TRIGGER t AFTER INSERT ON colseal_keys BEGIN SELECT 1; END
CREATE TABLE colseal_keys (key_id INTEGER PRIMARY KEY)
SELECT * FROM colseal_keys
CREATE UNIQUE INDEX i ON users(ssn)
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB UNIQUE, ssn BLOB UNIQUE)
CREATE TABLE users (id INTEGER, ssn BLOB, UNIQUE (ssn, id))
CREATE TABLE y (id INTEGER, mail BLOB REFERENCES users(email))
CREATE TABLE y (id INTEGER REFERENCES users(id), FOREIGN KEY (id) REFERENCES users)
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB COLLATE nocase)
CREATE TABLE users (id INTEGER PRIMARY KEY, email BLOB COLLATE BINARY, note TEXT COLLATE nocase UNIQUE)
