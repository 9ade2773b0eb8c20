CREATE TABLE patients (
	id    bigserial PRIMARY KEY,
	name  text NOT NULL,
	email text NOT NULL UNIQUE,
	born  date NOT NULL,
	ward  text NOT NULL
);
