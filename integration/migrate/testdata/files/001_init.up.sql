-- A whole file in one text, as golang-migrate and most home-made tools send it.
SET LOCAL lock_timeout = '5s';
CREATE TYPE plan AS ENUM ('free', 'paid');
CREATE TABLE customers (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	email      bytea UNIQUE,
	ssn        bytea,
	note       text NOT NULL DEFAULT '',
	status     text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'old')),
	created_at timestamptz NOT NULL DEFAULT now(),
	CHECK (email IS NOT NULL OR ssn IS NOT NULL)
);
CREATE INDEX customers_new ON customers (id) WHERE status = 'new';
CREATE INDEX customers_note ON customers (lower(note));
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY customers_seen ON customers USING (id > 0);
CREATE TABLE orders (
	id          bigint PRIMARY KEY,
	customer_id bigint REFERENCES customers (id),
	total       numeric CHECK (total >= 0)
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.created_at = now(); RETURN NEW; END $$;
CREATE TRIGGER customers_touched BEFORE UPDATE ON customers FOR EACH ROW
	WHEN (OLD.note IS DISTINCT FROM NEW.note) EXECUTE FUNCTION touch();
GRANT SELECT ON customers TO PUBLIC;
COMMENT ON COLUMN customers.email IS 'sealed';
