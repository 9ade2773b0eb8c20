-- name: GetUser :one
SELECT * FROM users WHERE email = $1;

-- name: ListUsers :many
SELECT id, email, ssn FROM users WHERE email = ANY(sqlc.arg(emails)::text[]) ORDER BY id;

-- name: CreateUser :one
INSERT INTO users (id, email, ssn, born, income, note) VALUES ($1, $2, $3, $4, $5, $6) RETURNING *;

-- name: SetSSN :execrows
UPDATE users SET ssn = $2 WHERE id = $1;

-- name: DeleteUser :exec
DELETE FROM users WHERE email = $1;

-- name: CreateUserBatch :batchexec
INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3);

-- name: SSNBatch :batchone
SELECT ssn FROM users WHERE email = $1;

-- name: NotesBatch :batchmany
SELECT id, email FROM users WHERE note = $1 ORDER BY id;

-- name: CopyUsers :copyfrom
INSERT INTO users (id, email, ssn, born, note) VALUES ($1, $2, $3, $4, $5);
