-- The keyring: one row per data key, wrapped by the key service.
CREATE TABLE IF NOT EXISTS "colseal_keys" (
	key_id         INTEGER NOT NULL PRIMARY KEY CHECK (key_id BETWEEN 0 AND 4294967295),
	purpose        TEXT    NOT NULL CHECK (purpose IN ('data', 'search', 'inbox', 'writer', 'keyring')),
	scope          TEXT    NOT NULL CHECK (length(CAST(scope AS BLOB)) <= 256),
	epoch          INTEGER NOT NULL CHECK (epoch > 0),
	kek_id         TEXT    NOT NULL CHECK (length(CAST(kek_id AS BLOB)) <= 8192),
	wrapped        BLOB    CHECK (length(CAST(wrapped AS BLOB)) BETWEEN 1 AND 131072),
	public         BLOB    CHECK (length(CAST(public AS BLOB)) BETWEEN 1 AND 4096),
	wrapped_to     INTEGER CHECK ((wrapped_to IS NOT NULL) = (purpose = 'writer')),
	seals_reserved INTEGER NOT NULL CHECK (seals_reserved BETWEEN 0 AND 4294967296),
	recovered      INTEGER NOT NULL DEFAULT 0,
	created_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
	seals_from     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
	retired_at     TEXT,
	revoked_at     TEXT    CHECK (revoked_at IS NULL OR retired_at IS NOT NULL OR purpose = 'search'),
	destroyed_at   TEXT,
	changed_by     TEXT    NOT NULL DEFAULT '',
	changed_why    TEXT    NOT NULL DEFAULT '',
	UNIQUE (purpose, scope, epoch),
	CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
	CHECK ((key_id = 0) = (purpose = 'keyring') AND (key_id > 0 OR wrapped IS NOT NULL AND length(CAST(wrapped AS BLOB)) = 16))
);

-- Table members

-- members.email: deterministic text, identity "members.email", tag c515
-- If the companion is not there: ALTER TABLE "members" ADD COLUMN "email_sealed" BLOB;
-- In a new table, write instead of the triggers: CONSTRAINT "colseal_email_sealed_check" CHECK ("email_sealed" IS NULL OR (typeof("email_sealed") = 'blob' AND length("email_sealed") >= 25 AND substr("email_sealed", 1, 4) = x'0102c515'))
DROP TRIGGER IF EXISTS "colseal_members_email_sealed_insert";
CREATE TRIGGER "colseal_members_email_sealed_insert" BEFORE INSERT ON "members"
WHEN NOT (NEW."email_sealed" IS NULL OR (typeof(NEW."email_sealed") = 'blob' AND length(NEW."email_sealed") >= 25 AND substr(NEW."email_sealed", 1, 4) = x'0102c515'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: members.email_sealed takes only sealed cells of this column');
END;
DROP TRIGGER IF EXISTS "colseal_members_email_sealed_update";
CREATE TRIGGER "colseal_members_email_sealed_update" BEFORE UPDATE OF "email_sealed" ON "members"
WHEN NOT (NEW."email_sealed" IS NULL OR (typeof(NEW."email_sealed") = 'blob' AND length(NEW."email_sealed") >= 25 AND substr(NEW."email_sealed", 1, 4) = x'0102c515'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: members.email_sealed takes only sealed cells of this column');
END;

-- members.age: ordered int, identity "members.age#ord:int:0:150:1", tag 1d1e
-- If the companion is not there: ALTER TABLE "members" ADD COLUMN "age_cells" BLOB;
-- In a new table, write instead of the triggers: CONSTRAINT "colseal_age_cells_check" CHECK ("age_cells" IS NULL OR (typeof("age_cells") = 'blob' AND length("age_cells") >= 33 AND substr("age_cells", 1, 4) = x'01031d1e'))
DROP TRIGGER IF EXISTS "colseal_members_age_cells_insert";
CREATE TRIGGER "colseal_members_age_cells_insert" BEFORE INSERT ON "members"
WHEN NOT (NEW."age_cells" IS NULL OR (typeof(NEW."age_cells") = 'blob' AND length(NEW."age_cells") >= 33 AND substr(NEW."age_cells", 1, 4) = x'01031d1e'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: members.age_cells takes only sealed cells of this column');
END;
DROP TRIGGER IF EXISTS "colseal_members_age_cells_update";
CREATE TRIGGER "colseal_members_age_cells_update" BEFORE UPDATE OF "age_cells" ON "members"
WHEN NOT (NEW."age_cells" IS NULL OR (typeof(NEW."age_cells") = 'blob' AND length(NEW."age_cells") >= 33 AND substr(NEW."age_cells", 1, 4) = x'01031d1e'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: members.age_cells takes only sealed cells of this column');
END;

-- Table users

-- users.email: deterministic text, identity "join:mail", tag 5fe5
-- In a new table, write instead of the triggers: CONSTRAINT "colseal_email_check" CHECK ("email" IS NULL OR (typeof("email") = 'blob' AND length("email") >= 25 AND substr("email", 1, 4) = x'01025fe5'))
DROP TRIGGER IF EXISTS "colseal_users_email_insert";
CREATE TRIGGER "colseal_users_email_insert" BEFORE INSERT ON "users"
WHEN NOT (NEW."email" IS NULL OR (typeof(NEW."email") = 'blob' AND length(NEW."email") >= 25 AND substr(NEW."email", 1, 4) = x'01025fe5'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.email takes only sealed cells of this column');
END;
DROP TRIGGER IF EXISTS "colseal_users_email_update";
CREATE TRIGGER "colseal_users_email_update" BEFORE UPDATE OF "email" ON "users"
WHEN NOT (NEW."email" IS NULL OR (typeof(NEW."email") = 'blob' AND length(NEW."email") >= 25 AND substr(NEW."email", 1, 4) = x'01025fe5'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.email takes only sealed cells of this column');
END;

-- users.ssn: random text, identity "users.ssn", tag d888
-- In a new table, write instead of the triggers: CONSTRAINT "colseal_ssn_check" CHECK ("ssn" IS NULL OR (typeof("ssn") = 'text' AND length("ssn") >= 54 AND substr("ssn", 1, 9) = 'cs1:AQHYi' AND substr("ssn", 10, 1) GLOB '[A-P]' AND substr("ssn", 5) NOT GLOB '*[^A-Za-z0-9_-]*'))
DROP TRIGGER IF EXISTS "colseal_users_ssn_insert";
CREATE TRIGGER "colseal_users_ssn_insert" BEFORE INSERT ON "users"
WHEN NOT (NEW."ssn" IS NULL OR (typeof(NEW."ssn") = 'text' AND length(NEW."ssn") >= 54 AND substr(NEW."ssn", 1, 9) = 'cs1:AQHYi' AND substr(NEW."ssn", 10, 1) GLOB '[A-P]' AND substr(NEW."ssn", 5) NOT GLOB '*[^A-Za-z0-9_-]*'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.ssn takes only sealed cells of this column');
END;
DROP TRIGGER IF EXISTS "colseal_users_ssn_update";
CREATE TRIGGER "colseal_users_ssn_update" BEFORE UPDATE OF "ssn" ON "users"
WHEN NOT (NEW."ssn" IS NULL OR (typeof(NEW."ssn") = 'text' AND length(NEW."ssn") >= 54 AND substr(NEW."ssn", 1, 9) = 'cs1:AQHYi' AND substr(NEW."ssn", 10, 1) GLOB '[A-P]' AND substr(NEW."ssn", 5) NOT GLOB '*[^A-Za-z0-9_-]*'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.ssn takes only sealed cells of this column');
END;

-- users.age: ordered int, identity "users.age#ord:int:0:150:1", tag 8a07
-- In a new table, write instead of the triggers: CONSTRAINT "colseal_age_check" CHECK ("age" IS NULL OR (typeof("age") = 'blob' AND length("age") >= 33 AND substr("age", 1, 4) = x'01038a07'))
DROP TRIGGER IF EXISTS "colseal_users_age_insert";
CREATE TRIGGER "colseal_users_age_insert" BEFORE INSERT ON "users"
WHEN NOT (NEW."age" IS NULL OR (typeof(NEW."age") = 'blob' AND length(NEW."age") >= 33 AND substr(NEW."age", 1, 4) = x'01038a07'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.age takes only sealed cells of this column');
END;
DROP TRIGGER IF EXISTS "colseal_users_age_update";
CREATE TRIGGER "colseal_users_age_update" BEFORE UPDATE OF "age" ON "users"
WHEN NOT (NEW."age" IS NULL OR (typeof(NEW."age") = 'blob' AND length(NEW."age") >= 33 AND substr(NEW."age", 1, 4) = x'01038a07'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.age takes only sealed cells of this column');
END;

-- users.name: random text, identity "users.name#fold,prefix=3-8", tag 6b1a
-- In a new table, write instead of the triggers: CONSTRAINT "colseal_name_check" CHECK ("name" IS NULL OR (typeof("name") = 'blob' AND length("name") >= 43 AND substr("name", 1, 4) = x'01056b1a'))
DROP TRIGGER IF EXISTS "colseal_users_name_insert";
CREATE TRIGGER "colseal_users_name_insert" BEFORE INSERT ON "users"
WHEN NOT (NEW."name" IS NULL OR (typeof(NEW."name") = 'blob' AND length(NEW."name") >= 43 AND substr(NEW."name", 1, 4) = x'01056b1a'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.name takes only sealed cells of this column');
END;
DROP TRIGGER IF EXISTS "colseal_users_name_update";
CREATE TRIGGER "colseal_users_name_update" BEFORE UPDATE OF "name" ON "users"
WHEN NOT (NEW."name" IS NULL OR (typeof(NEW."name") = 'blob' AND length(NEW."name") >= 43 AND substr(NEW."name", 1, 4) = x'01056b1a'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: users.name takes only sealed cells of this column');
END;

-- Table app."Order"

-- app."Order".it's 100%: random int, identity "orders.note", tag 0e07
-- In a new table, write instead of the triggers: CONSTRAINT "colseal_it's 100%_check" CHECK ("it's 100%" IS NULL OR (typeof("it's 100%") = 'blob' AND length("it's 100%") >= 37 AND substr("it's 100%", 1, 4) = x'01010e07'))
DROP TRIGGER IF EXISTS "app"."colseal_Order_it's 100%_insert";
CREATE TRIGGER "app"."colseal_Order_it's 100%_insert" BEFORE INSERT ON "Order"
WHEN NOT (NEW."it's 100%" IS NULL OR (typeof(NEW."it's 100%") = 'blob' AND length(NEW."it's 100%") >= 37 AND substr(NEW."it's 100%", 1, 4) = x'01010e07'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: app."Order".it''s 100% takes only sealed cells of this column');
END;
DROP TRIGGER IF EXISTS "app"."colseal_Order_it's 100%_update";
CREATE TRIGGER "app"."colseal_Order_it's 100%_update" BEFORE UPDATE OF "it's 100%" ON "Order"
WHEN NOT (NEW."it's 100%" IS NULL OR (typeof(NEW."it's 100%") = 'blob' AND length(NEW."it's 100%") >= 37 AND substr(NEW."it's 100%", 1, 4) = x'01010e07'))
BEGIN
	SELECT RAISE(ABORT, 'colseal: app."Order".it''s 100% takes only sealed cells of this column');
END;
