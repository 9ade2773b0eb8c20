-- name: ByEmail :one
SELECT id FROM vet_people WHERE email = :email;

-- name: ByEmails :many
SELECT id, note FROM vet_people WHERE email IN (:email, :other) AND note IS NOT NULL ORDER BY id;

-- name: Search :many
SELECT id FROM vet_people WHERE email ILIKE '%' || :email || '%';

-- name: BySSN :many
SELECT id FROM vet_people WHERE ssn = :email;

-- name: Add :exec
INSERT INTO vet_people (id, email, ssn, note) VALUES (1, :email, :other, 'x');

-- name: Lower :exec
UPDATE vet_people SET email = lower(email) WHERE id = 1;

-- name: Copy :exec
UPDATE vet_people SET note = ssn;

-- name: All :many
SELECT * FROM vet_people;

-- name: Twins :many
SELECT a.id FROM vet_people a JOIN vet_people b ON a.email = b.email AND a.id < b.id;

-- name: Constraint
ALTER TABLE vet_people ADD CHECK (email <> 'x');

-- name: Index
CREATE INDEX ON vet_people (lower(email));

-- name: NoteIndex
CREATE INDEX ON vet_people (note);
