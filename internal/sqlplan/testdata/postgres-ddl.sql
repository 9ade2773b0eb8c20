# CHECK
ALTER TABLE users ADD CHECK (email <> 'secret')
ALTER TABLE users ADD CONSTRAINT c CHECK (note <> 'secret')
ALTER TABLE users ADD CHECK (email IS NOT NULL OR ssn IS NOT NULL)
ALTER TABLE users ADD CHECK (length(email) > 3)
ALTER TABLE users ADD CHECK (email = note)
ALTER TABLE users ADD CHECK (num_nonnulls(email, ssn) = 1)
ALTER TABLE users ADD CHECK (email = ssn)
ALTER TABLE users ADD CHECK (users IS NOT NULL)
ALTER TABLE users ADD CHECK ((email IS NULL) OR ((octet_length(email) >= 25) AND (substr(email, 1, 4) = decode('01025fe5', 'hex'))))
ALTER TABLE users ADD CHECK ("email" IS NULL OR (octet_length("email") >= 25 AND substr("email", 1, 4) = decode('73656372', 'hex')))
ALTER TABLE users DROP CONSTRAINT IF EXISTS c, ADD CONSTRAINT c CHECK ("email" IS NULL OR ("email" COLLATE "C" ~ '^cs1:AQJf5[Q-Za-f][A-Za-z0-9_-]{28,}$')) NOT VALID
ALTER TABLE users ADD COLUMN x int CHECK (email <> 'secret')
ALTER TABLE users ADD COLUMN x int CHECK (x > 0 AND note <> '')
ALTER TABLE other.acct ADD CHECK (mail <> 'plain')
ALTER TABLE acct ADD CHECK (mail <> 'secret')
ALTER TABLE users ADD CONSTRAINT c CHECK (note <> 'x') NOT VALID, VALIDATE CONSTRAINT c, DROP CONSTRAINT d
ALTER TABLE orders ADD CHECK (EXISTS (SELECT 1 FROM users WHERE email = 'secret'))
ALTER TABLE ONLY users ADD CONSTRAINT users_note CHECK (char_length(note) < 100)
CREATE TABLE IF NOT EXISTS users (id bigint, email bytea, CHECK (email <> 'secret'))
CREATE TABLE IF NOT EXISTS users (id bigint PRIMARY KEY, email bytea UNIQUE, ssn bytea, note text DEFAULT 'n' CHECK (note <> ''), org bigint REFERENCES orgs(id), CHECK (org > 0))
CREATE TABLE users (id bigserial, email bytea DEFAULT 'secret')
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY, email bytea DEFAULT NULL)
CREATE TABLE copy (LIKE users INCLUDING ALL, CHECK (email <> 'x'))
CREATE TABLE y (id bigint CHECK (id > 0)); SELECT id FROM users
CREATE SCHEMA s CREATE TABLE users (email bytea DEFAULT 'secret')
CREATE DOMAIN d AS text CHECK (VALUE <> 'x'); SELECT id FROM users
# DEFAULT, GENERATED, identity
ALTER TABLE users ALTER email SET DEFAULT 'secret'
ALTER TABLE users ALTER email SET DEFAULT NULL, ALTER ssn DROP DEFAULT, ALTER note SET DEFAULT 'n'
ALTER TABLE users ADD COLUMN x text DEFAULT 'x' NOT NULL
ALTER TABLE users ADD COLUMN x bytea GENERATED ALWAYS AS (email) STORED
ALTER TABLE users ADD COLUMN x text GENERATED ALWAYS AS (lower(note)) STORED
ALTER TABLE users ADD COLUMN x boolean GENERATED ALWAYS AS (email IS NOT NULL) STORED
ALTER TABLE users ADD COLUMN x boolean GENERATED ALWAYS AS (email = 'secret') STORED
ALTER TABLE users ADD COLUMN x text GENERATED ALWAYS AS (users.row_to_json) STORED
ALTER TABLE users ADD COLUMN x text GENERATED ALWAYS AS (row_to_json(users)::text) STORED
ALTER TABLE users ALTER note SET EXPRESSION AS (email::text)
ALTER TABLE users ALTER email ADD GENERATED ALWAYS AS IDENTITY
CREATE TABLE users (id bigint, email bytea GENERATED ALWAYS AS ('secret') STORED)
# ALTER COLUMN … TYPE
ALTER TABLE texts ALTER mail TYPE bytea USING 'secret'::bytea
ALTER TABLE texts ALTER mail TYPE bytea USING tag::bytea
ALTER TABLE texts ALTER tag TYPE text USING mail::text
ALTER TABLE users ALTER COLUMN email TYPE text USING email::text
ALTER TABLE users ALTER COLUMN email TYPE varchar(255)
ALTER TABLE users ALTER COLUMN email TYPE bytea
ALTER TABLE users ALTER COLUMN email SET DATA TYPE bytea USING email::bytea
ALTER TABLE users ALTER COLUMN email TYPE other.bytea
ALTER TABLE users ALTER COLUMN email TYPE bytea[]
ALTER TABLE users ALTER note TYPE varchar(100) USING note::varchar(100), ALTER org TYPE int
ALTER TABLE users ALTER note TYPE text USING COALESCE(note, 'none')
ALTER TABLE other.acct ALTER COLUMN mail TYPE text USING mail::text
ALTER TABLE acct ALTER COLUMN mail TYPE text
ALTER TABLE users ADD COLUMN x int, ALTER email TYPE text
# Indexes, statistics, exclusion constraints
CREATE INDEX ON users (email)
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON users (email) INCLUDE (note)
CREATE INDEX ON users (id) WHERE note = 'new'
CREATE INDEX ON users (id) WHERE email = 'secret'
CREATE INDEX ON users (id) WHERE email IS NOT NULL
CREATE INDEX ON users (lower(note))
CREATE INDEX ON users (lower(email))
CREATE INDEX ON users ((email::text))
CREATE INDEX ON users (COALESCE(email, 'secret'))
CREATE INDEX ON orders (id) WHERE total > 3; UPDATE users SET note = 'x'
CREATE STATISTICS s ON (lower(note)), org FROM users
CREATE STATISTICS s ON (lower(email)), org FROM users
ALTER TABLE users ADD EXCLUDE USING gist (org WITH =, note WITH <>) WHERE (note <> 'x')
ALTER TABLE users ADD EXCLUDE USING gist (email WITH =)
ALTER TABLE users ADD EXCLUDE USING gist (org WITH =) WHERE (email = 'secret')
# Policies, rules, triggers, publications
CREATE POLICY p ON users USING (id > 0)
CREATE POLICY p ON users FOR INSERT WITH CHECK (note = current_user)
CREATE POLICY p ON users USING (email = 'secret')
CREATE POLICY p ON users USING (email = current_user)
CREATE POLICY p ON orders USING (user_id IN (SELECT id FROM users WHERE email = 'secret'))
CREATE POLICY p ON orders USING (EXISTS (SELECT 1 FROM users u WHERE u.id = orders.user_id AND u.org = 7))
ALTER POLICY p ON users USING (ssn = 'secret')
CREATE RULE r AS ON INSERT TO users DO ALSO INSERT INTO log VALUES (NEW.email)
CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW WHEN (OLD.note IS DISTINCT FROM NEW.note) EXECUTE FUNCTION f()
CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW WHEN (NEW.email = 'secret') EXECUTE FUNCTION f()
CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION f()
CREATE TRIGGER t BEFORE UPDATE OF email ON users FOR EACH ROW EXECUTE FUNCTION f()
CREATE PUBLICATION p FOR TABLE users WHERE (email = 'secret')
CREATE PUBLICATION p FOR TABLE users (id, email) WHERE (id > 3)
# Partitions
CREATE TABLE users (id bigint, email bytea) PARTITION BY LIST (email)
CREATE TABLE users (id bigint, email bytea) PARTITION BY HASH (email)
CREATE TABLE users (id bigint, email bytea) PARTITION BY RANGE (id)
CREATE TABLE users (id bigint, email bytea) PARTITION BY LIST (lower(email))
CREATE TABLE users_1 PARTITION OF users FOR VALUES IN ('secret')
CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 4, REMAINDER 0)
CREATE TABLE users_1 PARTITION OF users DEFAULT
CREATE TABLE events_2 PARTITION OF events (CHECK (mail <> 'secret')) DEFAULT
CREATE TABLE events_2 PARTITION OF events (mail DEFAULT 'secret') DEFAULT
CREATE TABLE events_2 PARTITION OF events (at DEFAULT now(), CHECK (events_2.at IS NOT NULL), UNIQUE (at)) DEFAULT
CREATE TABLE kin (x bytea GENERATED ALWAYS AS (email) STORED) INHERITS (users)
CREATE TABLE kin (UNIQUE (ssn)) INHERITS (users)
CREATE TABLE kin (note text CHECK (kin.note <> 'n')) INHERITS (users); CREATE INDEX ON kin (note); CREATE INDEX ON kin (lower(email))
CREATE TABLE kin () INHERITS (users); INSERT INTO kin(id, email) VALUES (1, 'secret')
CREATE TABLE kin () INHERITS (users); CREATE TABLE kin_2 () INHERITS (kin); UPDATE kin_2 SET email = 'secret'
CREATE TABLE kin () INHERITS (users); INSERT INTO users(id, email) VALUES (1, 'secret')
ALTER TABLE kin INHERIT users; SELECT id FROM kin WHERE email = 'secret'
ALTER TABLE kin ADD COLUMN x int; ALTER TABLE events ATTACH PARTITION kin DEFAULT; INSERT INTO kin(mail) VALUES ('secret')
ALTER TABLE users INHERIT above; UPDATE above SET email = 'secret'
ALTER TABLE above ATTACH PARTITION users DEFAULT; INSERT INTO above(email) VALUES ('secret')
CREATE FOREIGN TABLE far (id bigint, email bytea) SERVER s OPTIONS (table_name 'users'); INSERT INTO far VALUES (1, 'secret')
ALTER FOREIGN TABLE far OPTIONS (SET table_name 'users'); INSERT INTO far VALUES (1, 'secret')
ALTER FOREIGN TABLE far ALTER COLUMN email OPTIONS (SET column_name 'mail'), OPTIONS (table_name 'users'); SELECT id FROM far WHERE email = 'secret'
ALTER FOREIGN TABLE far OPTIONS (DROP table_name); INSERT INTO far SELECT id FROM users
ALTER FOREIGN TABLE far OPTIONS (SET table_name 'orders'); INSERT INTO far SELECT id FROM users
CREATE TABLE a (x int); CREATE TABLE b () INHERITS (a); ALTER TABLE a INHERIT users; INSERT INTO b(email) VALUES ('secret')
CREATE TABLE a (email bytea); CREATE TABLE b () INHERITS (a); ALTER TABLE users INHERIT b; UPDATE a SET email = 'secret'
ALTER TABLE users INHERIT above, DROP COLUMN note CASCADE; UPDATE above SET email = 'secret'
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (1) TO (2)
ALTER TABLE users ATTACH PARTITION users_1 FOR VALUES FROM ('a') TO ('b')
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2025-02-01')
CREATE TABLE bad_1 PARTITION OF bad FOR VALUES IN ('secret')
ALTER TABLE other.acct ATTACH PARTITION acct_1 FOR VALUES FROM ('a') TO ('b')
# Schemas
ALTER SCHEMA app RENAME TO app2
ALTER SCHEMA other RENAME TO app
ALTER SCHEMA keys RENAME TO k2
DROP SCHEMA app CASCADE
DROP SCHEMA IF EXISTS app
DROP SCHEMA other CASCADE
DROP SCHEMA reports, scratch CASCADE
DROP SCHEMA reports, keys CASCADE
ALTER SCHEMA app OWNER TO x
ALTER TABLE app.acct SET SCHEMA other
ALTER TABLE users SET SCHEMA other
CREATE SCHEMA app; SELECT id FROM users
# The keyring
DROP TABLE keys.colseal_keys
DROP TABLE IF EXISTS "colseal_keys" CASCADE
DROP TABLE other.colseal_keys
TRUNCATE colseal_keys, orders
DELETE FROM colseal_keys WHERE key_id = 7
UPDATE keys.colseal_keys SET retired_at = NULL
INSERT INTO colseal_keys DEFAULT VALUES
WITH d AS (DELETE FROM colseal_keys RETURNING *) SELECT * FROM d
MERGE INTO colseal_keys k USING orders o ON k.key_id = o.id WHEN MATCHED THEN DELETE
COPY colseal_keys FROM STDIN
COPY colseal_keys TO STDOUT
COPY (DELETE FROM colseal_keys RETURNING *) TO STDOUT
SELECT * FROM colseal_keys
SELECT key_id FROM keys.colseal_keys FOR SHARE
ALTER TABLE colseal_keys ADD COLUMN x int
ALTER TABLE colseal_keys RENAME TO old_keys
ALTER TABLE keys.colseal_keys SET SCHEMA public
CREATE RULE r AS ON INSERT TO colseal_keys DO INSTEAD NOTHING
CREATE TRIGGER t BEFORE INSERT ON colseal_keys FOR EACH ROW EXECUTE FUNCTION f()
PREPARE p AS DELETE FROM colseal_keys
EXPLAIN ANALYZE DELETE FROM colseal_keys
DO $$ BEGIN DELETE FROM colseal_keys; END $$
DROP OWNED BY app
CREATE TABLE IF NOT EXISTS colseal_keys (key_id bigint PRIMARY KEY CHECK (key_id > 0))
CREATE INDEX ON colseal_keys (scope)
GRANT SELECT ON colseal_keys TO app
COMMENT ON TABLE colseal_keys IS 'keys'
CREATE VIEW v AS SELECT key_id, created_at FROM colseal_keys
# Several statements in one text
ALTER TABLE users ADD COLUMN x int; UPDATE users SET x = 1
ALTER TABLE users ADD COLUMN x int; UPDATE users SET x = 1 WHERE users.x IS NULL AND users.note <> ''
ALTER TABLE users ADD COLUMN x int; INSERT INTO orders(id) SELECT length(row_to_json(users)::text) FROM users
ALTER TABLE users ADD COLUMN x int; INSERT INTO orders(id) SELECT length(users.row_to_json::text) FROM users
ALTER TABLE users ADD COLUMN x int; SELECT email FROM users WHERE y = 3
ALTER TABLE users ADD COLUMN x int; UPDATE users SET x = 1, email = 'secret' WHERE email = 'secret-2'
ALTER TABLE users ADD COLUMN x int; INSERT INTO users VALUES (1, 'secret')
ALTER TABLE users ADD COLUMN x int; INSERT INTO users(id, email, x) VALUES (1, 'secret', 2)
ALTER TABLE users DROP COLUMN id; INSERT INTO archive SELECT * FROM users
ALTER TABLE users DROP COLUMN id; INSERT INTO orders SELECT * FROM users
ALTER TABLE users DROP COLUMN email; SELECT email FROM users
ALTER TABLE users RENAME note TO email; UPDATE users SET email = 'x'
ALTER TABLE users RENAME note TO remark; UPDATE users SET remark = 'x', ssn = 'secret'
ALTER TABLE users ALTER note SET DEFAULT 'n', ADD CHECK (note <> ''); CREATE INDEX ON users (note); UPDATE users SET note = 'x' WHERE email = 'secret'
CREATE TABLE y (id bigint, note text); INSERT INTO y SELECT id, note FROM users; DROP TABLE y; UPDATE users SET note = 'z'
ALTER TABLE orders DROP COLUMN total; SELECT id FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE email = 'secret')
CREATE TABLE users (id bigint); UPDATE users SET id = 1
DROP TABLE users; SELECT id FROM users
DROP TABLE orders CASCADE; SELECT id FROM users
SET lock_timeout = '5s'; SET statement_timeout TO 0; ALTER TABLE users ADD x int; UPDATE users SET x = 1
SET search_path = other; UPDATE users SET note = 'x'
SET ROLE admin; UPDATE users SET note = 'x'
BEGIN; ALTER TABLE users ADD COLUMN x int; UPDATE users SET x = 1; COMMIT
COMMIT; UPDATE users SET note = 'x'
GRANT SELECT ON users TO x; UPDATE users SET note = 'x'
GRANT USAGE ON SCHEMA other TO x; UPDATE users SET note = 'x'
CREATE EXTENSION pgcrypto; UPDATE users SET note = 'x'
CREATE TYPE mood AS ENUM ('a'); CREATE SEQUENCE s; COMMENT ON TABLE users IS 'u'; UPDATE users SET note = 'x'
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; UPDATE users SET note = 'x'
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()
ALTER TABLE orders ADD COLUMN x text DEFAULT set_config('search_path', 'other', false); UPDATE users SET email = 'secret'
ALTER TABLE orders ADD COLUMN x text DEFAULT f(); UPDATE users SET email = 'secret'
ALTER TABLE orders ADD COLUMN x timestamptz DEFAULT now(); UPDATE users SET email = 'secret'
ALTER TABLE users ADD FOREIGN KEY (org) REFERENCES orgs (id), ENABLE ROW LEVEL SECURITY, OWNER TO x; UPDATE users SET note = 'x'
SELECT email INTO archive FROM users; SELECT id FROM archive
# Names of a program's text
DO $$ BEGIN DELETE FROM U&"\0075sers"; END $$
DO $$ BEGIN DELETE FROM users; END $$
# Keys
CREATE UNIQUE INDEX ON users (ssn)
CREATE UNIQUE INDEX ON users (email, org)
ALTER TABLE users ADD UNIQUE (ssn)
ALTER TABLE users ADD CONSTRAINT u UNIQUE (email)
CREATE TABLE users (id bigint PRIMARY KEY, ssn bytea UNIQUE)
CREATE TABLE users (id bigint, ssn bytea, PRIMARY KEY (id, ssn))
ALTER TABLE users ADD UNIQUE USING INDEX i
ALTER TABLE users ADD FOREIGN KEY (email) REFERENCES archive (email)
ALTER TABLE users ADD FOREIGN KEY (email) REFERENCES leads (email)
ALTER TABLE users ADD FOREIGN KEY (email) REFERENCES orders
ALTER TABLE users ADD FOREIGN KEY (note) REFERENCES leads (email)
ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users
CREATE TABLE y (id bigint, mail bytea REFERENCES users (email))
CREATE FUNCTION f(u users) RETURNS bool LANGUAGE sql AS $$ SELECT u.email = 'secret' $$
CREATE FUNCTION f(u users[]) RETURNS bool LANGUAGE sql RETURN u[1].email = 'secret'
CREATE FUNCTION f(e users.email%TYPE) RETURNS bool LANGUAGE sql RETURN e = 'secret'
CREATE FUNCTION f() RETURNS public.users LANGUAGE sql AS $$ SELECT 1, 'secret' $$
CREATE FUNCTION f() RETURNS bool LANGUAGE sql RETURN (NULL::users).email = 'secret'
CREATE FUNCTION f(o orders, d date) RETURNS users_type LANGUAGE sql RETURN NULL
CREATE TABLE y AS SELECT (NULL::users).email = 'secret' AS hit
CREATE FUNCTION f(u _users) RETURNS bool LANGUAGE sql AS $$ SELECT u[1].email = 'secret' $$
CREATE FUNCTION f() RETURNS xml LANGUAGE sql RETURN query_to_xml('SELECT id FROM users WHERE email = ''secret''', true, true, '')
CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN 'of the users'
CREATE RULE r AS ON INSERT TO orders DO ALSO SELECT query_to_xml('SELECT id FROM users WHERE email = ''secret''', true, true, '')
CREATE VIEW v AS SELECT query_to_xml('SELECT id FROM users WHERE email = ''secret''', true, true, '') AS x
CREATE VIEW v AS SELECT query_to_xml('SELECT id FROM orders', true, true, '') AS "users"
ALTER TABLE orders ADD x xml DEFAULT query_to_xml('SELECT id FROM users WHERE email = ''secret''', true, true, '')
CREATE TABLE kin () INHERITS (users); SELECT (x.u).email = 'secret' FROM json_to_record($1) AS x(u kin)
ALTER INDEX users RENAME TO gone
ALTER INDEX users_pkey RENAME TO y; UPDATE users SET note = 'x', ssn = 'secret'
ALTER TYPE users RENAME ATTRIBUTE email TO mail CASCADE
ALTER TYPE users RENAME ATTRIBUTE note TO remark; UPDATE users SET remark = 'x', ssn = 'secret'
ALTER INDEX colseal_keys RENAME TO old_keys
ALTER TYPE colseal_keys RENAME ATTRIBUTE id TO n
ALTER SEQUENCE users RENAME TO gone
DO $$BEGIN EXECUTE $q$TABLE users$q$; END$$
DO $$BEGIN EXECUTE format('INSERT INTO %I (email) VALUES (''secret'')', $t$users$t$); END$$
DO $$BEGIN EXECUTE E'DELETE FROM\nusers'; END$$
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM users$$
SELECT query_to_xml($$TABLE users$$, true, true, '')
SELECT query_to_xml(E'SELECT ''secret'' = email\nFROM\tusers', true, true, '')
SELECT ts_stat($$SELECT v FROM orders$$)
