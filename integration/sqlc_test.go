package integration

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// queries is code as sqlc writes it from annotated SQL: the annotation stays in the text.
type queries struct {
	db interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
}

type sqlcAccount struct {
	ID     int64
	Email  string
	Secret sql.NullString
	Born   sql.NullTime
	Level  int64
	City   string
}

const createAccount = `-- name: CreateAccount :one
INSERT INTO accounts (
  id, email, secret, born, level, city
) VALUES (
  $1, $2, $3, $4, $5, $6
)
RETURNING id, email, secret, born, level, city
`

func (q *queries) createAccount(ctx context.Context, a sqlcAccount) (sqlcAccount, error) {
	row := q.db.QueryRowContext(ctx, createAccount, a.ID, a.Email, a.Secret, a.Born, a.Level, a.City)
	var i sqlcAccount
	err := row.Scan(&i.ID, &i.Email, &i.Secret, &i.Born, &i.Level, &i.City)
	return i, err
}

const createAccounts = `-- name: CreateAccounts :execrows
INSERT INTO accounts (id, email, secret, level, city)
SELECT unnest($1::bigint[]), unnest($2::text[]), unnest($3::text[]), unnest($4::bigint[]), unnest($5::text[])
`

const listAccounts = `-- name: ListAccounts :many
SELECT id, email, secret, born, level, city FROM accounts
WHERE email = ANY($1::text[]) OR ($2::bigint IS NOT NULL AND level = $2)
ORDER BY id
`

func (q *queries) listAccounts(ctx context.Context, emails []string, level sql.NullInt64) ([]sqlcAccount, error) {
	rows, err := q.db.QueryContext(ctx, listAccounts, emails, level)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var items []sqlcAccount
	for rows.Next() {
		var i sqlcAccount
		if err := rows.Scan(&i.ID, &i.Email, &i.Secret, &i.Born, &i.Level, &i.City); err != nil {
			return nil, err
		}
		i.Born.Time = i.Born.Time.UTC()
		items = append(items, i)
	}
	return items, errors.Join(rows.Close(), rows.Err())
}

const updateAccount = `-- name: UpdateAccount :one
UPDATE accounts
SET secret = COALESCE($1, secret),
    level = COALESCE($2, level)
WHERE email = $3
RETURNING id, secret, level
`

const deleteAccount = `-- name: DeleteAccount :execrows
DELETE FROM accounts
WHERE email = $1
`

// useSQLC does what an application does with code by sqlc.
func useSQLC(ctx context.Context, db *sql.DB, accounts []account, say func(...any)) error {
	q := &queries{db: db}
	for _, a := range accounts {
		given := sqlcAccount{ID: a.ID, Email: a.Email, Level: int64(a.Level), City: a.City}
		if a.Secret != nil {
			given.Secret = sql.NullString{String: *a.Secret, Valid: true}
		}
		if a.Born != nil {
			given.Born = sql.NullTime{Time: *a.Born, Valid: true}
		}
		got, err := q.createAccount(ctx, given)
		if err != nil {
			return err
		}
		got.Born.Time = got.Born.Time.UTC().Round(time.Microsecond)
		say(got)
	}
	res, err := q.db.ExecContext(ctx, createAccounts, []int64{21, 22}, []string{"21@x", "22@x"}, []*string{ptr("s21"), nil}, []int64{3, 8}, []string{"u", "v"})
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	say("created", n)
	list := func(emails []string, level sql.NullInt64) {
		all, e := q.listAccounts(ctx, emails, level)
		say(all)
		err = errors.Join(err, e)
	}
	list([]string{"a@x", "21@x", ""}, sql.NullInt64{})
	list(nil, sql.NullInt64{Int64: 3, Valid: true})
	tx, e := db.BeginTx(ctx, nil)
	if e != nil {
		return e
	}
	var id, level int64
	var secret sql.NullString
	e = (&queries{db: tx}).db.QueryRowContext(ctx, updateAccount, nil, 77, "22@x").Scan(&id, &secret, &level)
	say(id, secret, level)
	err = errors.Join(err, e, tx.Commit())
	st, e := q.db.PrepareContext(ctx, updateAccount)
	if e != nil {
		return e
	}
	e = st.QueryRowContext(ctx, "prepared", nil, "22@x").Scan(&id, &secret, &level)
	say(id, secret, level)
	err = errors.Join(err, e, st.Close())
	_, e = q.db.ExecContext(ctx, deleteAccount, "21@x")
	return errors.Join(err, e, everything(ctx, db, say))
}
