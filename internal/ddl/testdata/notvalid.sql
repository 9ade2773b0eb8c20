-- The keyring: one row per data key, wrapped by the key service.
CREATE TABLE IF NOT EXISTS "app"."keys" (
	key_id         bigint NOT NULL PRIMARY KEY CHECK (key_id BETWEEN 0 AND 4294967295),
	purpose        pg_catalog.text NOT NULL CHECK (purpose IN ('data', 'search', 'inbox', 'writer', 'keyring')),
	scope          pg_catalog.text NOT NULL CHECK (octet_length(scope) <= 256),
	epoch          bigint NOT NULL CHECK (epoch > 0),
	kek_id         pg_catalog.text NOT NULL CHECK (octet_length(kek_id) <= 8192),
	wrapped        pg_catalog.bytea CHECK (octet_length(wrapped) BETWEEN 1 AND 131072),
	public         pg_catalog.bytea CHECK (octet_length(public) BETWEEN 1 AND 4096),
	wrapped_to     bigint CHECK ((wrapped_to IS NOT NULL) = (purpose = 'writer')),
	seals_reserved bigint NOT NULL CHECK (seals_reserved BETWEEN 0 AND 4294967296),
	recovered      boolean NOT NULL DEFAULT false,
	created_at     pg_catalog.timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
	seals_from     pg_catalog.timestamptz NOT NULL DEFAULT now() CHECK (isfinite(seals_from)),
	retired_at     pg_catalog.timestamptz,
	revoked_at     pg_catalog.timestamptz CHECK (revoked_at IS NULL OR retired_at IS NOT NULL OR purpose = 'search'),
	destroyed_at   pg_catalog.timestamptz,
	changed_by     pg_catalog.text NOT NULL DEFAULT '',
	changed_why    pg_catalog.text NOT NULL DEFAULT '',
	UNIQUE (purpose, scope, epoch),
	CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
	CHECK ((key_id = 0) = (purpose = 'keyring') AND (key_id > 0 OR wrapped IS NOT NULL AND octet_length(wrapped) = 16))
);

-- What a program needs of it, a write-only program, an operator (colseal keys), and an auditor; name the roles:
-- GRANT SELECT, INSERT (key_id, purpose, scope, epoch, kek_id, wrapped, public, wrapped_to, seals_reserved, recovered), UPDATE (seals_reserved) ON "app"."keys" TO program;
-- GRANT SELECT, INSERT (key_id, purpose, scope, epoch, kek_id, wrapped, public, wrapped_to, seals_reserved, recovered) ON "app"."keys" TO writer;
-- GRANT SELECT, INSERT, UPDATE ON "app"."keys" TO operator;
-- GRANT SELECT ON "app"."keys" TO auditor;

-- What lower(...) of a sealed column is sent as.
DO $colseal$
BEGIN
	IF pg_catalog.to_regprocedure('colseal.fold1(pg_catalog.bytea)') IS NULL THEN
		CREATE SCHEMA IF NOT EXISTS colseal;
		CREATE FUNCTION colseal.fold1(cell bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
			RETURN pg_catalog.substring(cell, 1, 8) OPERATOR(pg_catalog.||) pg_catalog.substring(cell, 11, 11);
	END IF;
END
$colseal$;

-- What a search for beginnings, ends, members or equality is sent as.
DO $colseal$
BEGIN
	IF pg_catalog.to_regprocedure('colseal.terms1(pg_catalog.bytea)') IS NULL THEN
		CREATE SCHEMA IF NOT EXISTS colseal;
		CREATE FUNCTION colseal.terms1(cell bytea) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $terms$
		BEGIN
			RETURN CASE WHEN pg_catalog.length(cell) OPERATOR(pg_catalog.>) 9
				AND (pg_catalog.substring(cell, 1, 2) OPERATOR(pg_catalog.=) pg_catalog.decode('0104', 'hex')
					OR pg_catalog.substring(cell, 1, 2) OPERATOR(pg_catalog.=) pg_catalog.decode('0105', 'hex'))
			THEN pg_catalog.array_to_tsvector(pg_catalog.string_to_array(pg_catalog.encode(pg_catalog.substring(cell, 11,
				256 OPERATOR(pg_catalog.*) pg_catalog.get_byte(cell, 8) OPERATOR(pg_catalog.+) pg_catalog.get_byte(cell, 9)), 'escape'), ' ')) END;
		END
		$terms$;
	END IF;
END
$colseal$;
-- GRANT USAGE ON SCHEMA colseal TO program;

-- In which programs tell in which stage they have a column; each needs SELECT, INSERT, UPDATE and DELETE.
CREATE TABLE IF NOT EXISTS "app"."keys_stages" (
	process pg_catalog.text NOT NULL,
	place pg_catalog.text NOT NULL, -- the column
	stage pg_catalog.text NOT NULL,
	writes boolean NOT NULL, -- the companion
	seen_at pg_catalog.timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (process, place)
);

-- Table members

-- members.email: deterministic text, identity "members.email", tag c515
ALTER TABLE "members" ADD COLUMN IF NOT EXISTS "email_sealed" bytea;
ALTER TABLE "members"
	DROP CONSTRAINT IF EXISTS "colseal_email_sealed_check",
	ADD CONSTRAINT "colseal_email_sealed_check" CHECK ("email_sealed" IS NULL OR (octet_length("email_sealed") >= 25 AND substr("email_sealed", 1, 4) = decode('0102c515', 'hex'))) NOT VALID;

-- members.age: ordered int, identity "members.age#ord:int:0:150:1", tag 1d1e
ALTER TABLE "members" ADD COLUMN IF NOT EXISTS "age_cells" bytea;
ALTER TABLE "members"
	DROP CONSTRAINT IF EXISTS "colseal_age_cells_check",
	ADD CONSTRAINT "colseal_age_cells_check" CHECK ("age_cells" IS NULL OR (octet_length("age_cells") >= 33 AND substr("age_cells", 1, 4) = decode('01031d1e', 'hex'))) NOT VALID;
ALTER TABLE "members" ALTER COLUMN "age_cells" SET STATISTICS 200;

-- When every row is sealed; under load, in a transaction that ends with a lock (docs/migrating.md):
-- ALTER TABLE "members" VALIDATE CONSTRAINT "colseal_email_sealed_check", VALIDATE CONSTRAINT "colseal_age_cells_check";

-- Table users

-- users.email: deterministic text, identity "join:mail", tag 5fe5
-- WARNING: values that the column holds already must be sealed first: docs/migrating.md.
DO $colseal$
BEGIN
	IF (SELECT atttypid IN ('bytea'::regtype) FROM pg_attribute WHERE attrelid = '"users"'::regclass AND attname = 'email') THEN
		RETURN;
	END IF;
	SET LOCAL row_security = off; -- fail rather than miss a row
	LOCK TABLE "users" IN ACCESS EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM "users" WHERE "email" IS NOT NULL) THEN
		RAISE EXCEPTION 'users.email holds values that are not sealed' USING HINT = 'Make the column bytea with the values in it and seal them there, as docs/migrating.md says, or seal them into a new column that takes the place of this one.';
	END IF;
	ALTER TABLE "users" ALTER COLUMN "email" DROP DEFAULT, ALTER COLUMN "email" TYPE bytea USING NULL;
END
$colseal$;
ALTER TABLE "users"
	DROP CONSTRAINT IF EXISTS "colseal_email_check",
	ADD CONSTRAINT "colseal_email_check" CHECK ("email" IS NULL OR (octet_length("email") >= 25 AND substr("email", 1, 4) = decode('01025fe5', 'hex'))) NOT VALID;
-- An UPDATE of a row whose value is still plaintext is refused from now on.

-- users.ssn: random text, identity "users.ssn", tag d888
-- WARNING: values that the column holds already must be sealed first: docs/migrating.md.
DO $colseal$
BEGIN
	IF (SELECT atttypid IN ('bytea'::regtype) FROM pg_attribute WHERE attrelid = '"users"'::regclass AND attname = 'ssn') THEN
		RETURN;
	END IF;
	SET LOCAL row_security = off; -- fail rather than miss a row
	LOCK TABLE "users" IN ACCESS EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM "users" WHERE "ssn" IS NOT NULL) THEN
		RAISE EXCEPTION 'users.ssn holds values that are not sealed' USING HINT = 'Make the column bytea with the values in it and seal them there, as docs/migrating.md says, or seal them into a new column that takes the place of this one.';
	END IF;
	ALTER TABLE "users" ALTER COLUMN "ssn" DROP DEFAULT, ALTER COLUMN "ssn" TYPE bytea USING NULL;
END
$colseal$;
ALTER TABLE "users"
	DROP CONSTRAINT IF EXISTS "colseal_ssn_check",
	ADD CONSTRAINT "colseal_ssn_check" CHECK ("ssn" IS NULL OR (octet_length("ssn") >= 37 AND substr("ssn", 1, 4) = decode('0101d888', 'hex'))) NOT VALID;
-- An UPDATE of a row whose value is still plaintext is refused from now on.

-- users.age: ordered int, identity "users.age#ord:int:0:150:1", tag 8a07
-- WARNING: values that the column holds already must be sealed first: docs/migrating.md.
DO $colseal$
BEGIN
	IF (SELECT atttypid IN ('bytea'::regtype) FROM pg_attribute WHERE attrelid = '"users"'::regclass AND attname = 'age') THEN
		RETURN;
	END IF;
	SET LOCAL row_security = off; -- fail rather than miss a row
	LOCK TABLE "users" IN ACCESS EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM "users" WHERE "age" IS NOT NULL) THEN
		RAISE EXCEPTION 'users.age holds values that are not sealed' USING HINT = 'Make the column bytea with the values in it and seal them there, as docs/migrating.md says, or seal them into a new column that takes the place of this one.';
	END IF;
	ALTER TABLE "users" ALTER COLUMN "age" DROP DEFAULT, ALTER COLUMN "age" TYPE bytea USING NULL;
END
$colseal$;
ALTER TABLE "users"
	DROP CONSTRAINT IF EXISTS "colseal_age_check",
	ADD CONSTRAINT "colseal_age_check" CHECK ("age" IS NULL OR (octet_length("age") >= 33 AND substr("age", 1, 4) = decode('01038a07', 'hex'))) NOT VALID;
-- An UPDATE of a row whose value is still plaintext is refused from now on.
ALTER TABLE "users" ALTER COLUMN "age" SET STATISTICS 200;

-- users.name: random text, identity "users.name#fold,prefix=3-8", tag 6b1a
-- WARNING: values that the column holds already must be sealed first: docs/migrating.md.
DO $colseal$
BEGIN
	IF (SELECT atttypid IN ('bytea'::regtype) FROM pg_attribute WHERE attrelid = '"users"'::regclass AND attname = 'name') THEN
		RETURN;
	END IF;
	SET LOCAL row_security = off; -- fail rather than miss a row
	LOCK TABLE "users" IN ACCESS EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM "users" WHERE "name" IS NOT NULL) THEN
		RAISE EXCEPTION 'users.name holds values that are not sealed' USING HINT = 'Make the column bytea with the values in it and seal them there, as docs/migrating.md says, or seal them into a new column that takes the place of this one.';
	END IF;
	ALTER TABLE "users" ALTER COLUMN "name" DROP DEFAULT, ALTER COLUMN "name" TYPE bytea USING NULL;
END
$colseal$;
ALTER TABLE "users"
	DROP CONSTRAINT IF EXISTS "colseal_name_check",
	ADD CONSTRAINT "colseal_name_check" CHECK ("name" IS NULL OR (octet_length("name") >= 43 AND substr("name", 1, 4) = decode('01056b1a', 'hex'))) NOT VALID;
-- An UPDATE of a row whose value is still plaintext is refused from now on.
CREATE INDEX IF NOT EXISTS "colseal_users_name_terms" ON "users" USING gin (colseal.terms1("name"));
-- For lower("name") = lower($1). If values that differ in case only are one: CREATE UNIQUE INDEX CONCURRENTLY ON "users" (colseal.fold1("name"));
CREATE INDEX IF NOT EXISTS "colseal_users_name_fold" ON "users" (colseal.fold1("name"));

-- When every row is sealed; under load, in a transaction that ends with a lock (docs/migrating.md):
-- ALTER TABLE "users" VALIDATE CONSTRAINT "colseal_email_check", VALIDATE CONSTRAINT "colseal_ssn_check", VALIDATE CONSTRAINT "colseal_age_check", VALIDATE CONSTRAINT "colseal_name_check";

-- Table app."Order"

-- app."Order".it's 100%: random int, identity "orders.note", tag 0e07
-- WARNING: values that the column holds already must be sealed first: docs/migrating.md.
DO $colseal$
BEGIN
	IF (SELECT atttypid IN ('bytea'::regtype) FROM pg_attribute WHERE attrelid = '"app"."Order"'::regclass AND attname = 'it''s 100%') THEN
		RETURN;
	END IF;
	SET LOCAL row_security = off; -- fail rather than miss a row
	LOCK TABLE "app"."Order" IN ACCESS EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM "app"."Order" WHERE "it's 100%" IS NOT NULL) THEN
		RAISE EXCEPTION 'app."Order".it''s 100%% holds values that are not sealed' USING HINT = 'Make the column bytea with the values in it and seal them there, as docs/migrating.md says, or seal them into a new column that takes the place of this one.';
	END IF;
	ALTER TABLE "app"."Order" ALTER COLUMN "it's 100%" DROP DEFAULT, ALTER COLUMN "it's 100%" TYPE bytea USING NULL;
END
$colseal$;
ALTER TABLE "app"."Order"
	DROP CONSTRAINT IF EXISTS "colseal_it's 100%_check",
	ADD CONSTRAINT "colseal_it's 100%_check" CHECK ("it's 100%" IS NULL OR (octet_length("it's 100%") >= 37 AND substr("it's 100%", 1, 4) = decode('01010e07', 'hex'))) NOT VALID;
-- An UPDATE of a row whose value is still plaintext is refused from now on.

-- When every row is sealed; under load, in a transaction that ends with a lock (docs/migrating.md):
-- ALTER TABLE "app"."Order" VALIDATE CONSTRAINT "colseal_it's 100%_check";
