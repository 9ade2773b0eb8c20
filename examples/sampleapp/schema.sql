-- The tables of the sample application. `colseal ddl --models ./examples/sampleapp/models` adds
-- the keyring and the CHECKs.
CREATE TABLE customers (
	id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	email   bytea NOT NULL UNIQUE,
	ssn     bytea,
	born    bytea NOT NULL,
	country text  NOT NULL
);
CREATE TABLE subscribers (
	id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	email bytea NOT NULL
);
