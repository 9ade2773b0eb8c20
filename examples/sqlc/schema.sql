-- The tables as the program means them: sqlc reads the types of columns here. In the database the columns that users.go seals are
-- bytea.
CREATE TABLE users (
    id     bigint PRIMARY KEY,
    email  text UNIQUE,
    ssn    text,
    born   date,
    income numeric,
    note   text NOT NULL DEFAULT ''
);
