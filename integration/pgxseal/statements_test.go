package pgxseal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/tracelog"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
)

// secret is in values of sealed columns only, and twinSecret in its place on the other side, which is on the same server.
const (
	secret     = "zqcanary"
	twinSecret = "zqtwined"
)

type user struct {
	ID    int64
	Email *string
	SSN   *string
	Note  string
}

// script runs the same calls on a side and returns what they gave.
type script struct {
	on     db
	secret string
	out    []string
}

func (s *script) say(format string, args ...any) { s.out = append(s.out, fmt.Sprintf(format, args...)) }

// errText is an error as both sides give it.
func errText(err error) string {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, driver.ErrRefused): // of what the server would refuse here
		return "42703"
	case errors.As(err, &pg):
		return pg.Code
	case errors.Is(err, pgx.ErrNoRows):
		return "no rows"
	case errors.Is(err, pgx.ErrTooManyRows):
		return "too many rows"
	case errors.Is(err, pgx.ErrTxClosed):
		return "tx closed"
	}
	return "error"
}

func (s *script) exec(ctx context.Context, on db, query string, args ...any) {
	tag, err := on.Exec(ctx, query, args...)
	s.say("%s: %s %s", query, tag, errText(err))
}

func show[T any](s *script, what string, v T, err error) {
	s.say("%s: %s %s", what, plainText(v), errText(err))
}

// calls is what a program does with native pgx.
func (s *script) calls(t *testing.T, ctx context.Context) {
	const insert = "INSERT INTO users (id, email, ssn, note) VALUES ($1, $2, $3, $4)"
	s.exec(ctx, s.on, insert, 1, s.secret+"-1", "s1", "n")
	s.exec(ctx, s.on, insert, 2, nil, "s2", "n")
	s.exec(ctx, s.on, insert, 1, s.secret+"-x", "s1", "n") // the key is there
	s.exec(ctx, s.on, "INSERT INTO users VALUES (3, '"+s.secret+"-3', 'lit', 'n'); UPDATE users SET note = 'm' WHERE email = '"+s.secret+"-3'")
	s.exec(ctx, s.on, "INSERT INTO users (id, email, ssn, note) VALUES (@id, @email, @ssn, @note)", pgx.NamedArgs{"id": 4, "email": s.secret + "-4", "ssn": "s4", "note": "n"})
	s.exec(ctx, s.on, "INSERT INTO users (id, email, ssn, note) VALUES (@id, @email, 'literal', @note)", pgx.StrictNamedArgs{"id": 5, "email": s.secret + "-5", "note": "n"})
	s.exec(ctx, s.on, "INSERT INTO users (id) VALUES (@id)", pgx.StrictNamedArgs{"id": 5, "more": 1})
	s.exec(ctx, s.on, "INSERT INTO plain (id, note) VALUES ($1, $2)", 1, "p")

	rows, err := s.on.Query(ctx, "SELECT id, email, ssn, note FROM users ORDER BY id")
	users, err := collect(rows, err, pgx.RowToStructByPos[user])
	show(s, "by position", users, err)
	rows, err = s.on.Query(ctx, "SELECT note, ssn, email, id FROM users WHERE email = ANY($1) ORDER BY id", []string{s.secret + "-1", s.secret + "-3"})
	users, err = collect(rows, err, pgx.RowToStructByName[user])
	show(s, "by name", users, err)
	rows, err = s.on.Query(ctx, "SELECT ssn, id FROM users WHERE email = $1", pgtype.Text{String: s.secret + "-1", Valid: true})
	users, err = collect(rows, err, pgx.RowToStructByNameLax[user])
	show(s, "lax", users, err)
	rows, err = s.on.Query(ctx, "SELECT * FROM users ORDER BY id")
	maps, err := collect(rows, err, pgx.RowToMap)
	show(s, "maps", maps, err)
	rows, err = s.on.Query(ctx, "SELECT email FROM users ORDER BY id DESC")
	emails, err := collect(rows, err, pgx.RowTo[*string])
	show(s, "values", emails, err)
	rows, _ = s.on.Query(ctx, "SELECT email FROM users WHERE id = $1", 1)
	one, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOf[string])
	show(s, "one", one, err)
	rows, _ = s.on.Query(ctx, "SELECT email FROM users")
	_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[*string])
	show(s, "too many", "", err)
	rows, _ = s.on.Query(ctx, "SELECT id, email FROM users ORDER BY id")
	var id int64
	var email *string
	tag, err := pgx.ForEachRow(rows, []any{&id, &email}, func() error {
		show(s, "each", []any{id, email}, nil)
		return nil
	})
	show(s, "each", tag.String(), err)
	show(s, "no rows", "", s.on.QueryRow(ctx, "SELECT email FROM users WHERE email = $1", "nobody").Scan(&email))
	show(s, "driver bytes", "", s.on.QueryRow(ctx, "SELECT email FROM users WHERE id = 1").Scan(new(pgtype.DriverBytes)))
	show(s, "no such column", "", s.on.QueryRow(ctx, "SELECT email, nothing FROM users WHERE id = 1").Scan(&email, nil))
	show(s, "returning", email, s.on.QueryRow(ctx, "UPDATE users SET ssn = $1 WHERE id = 1 RETURNING email", "again").Scan(&email))
	var all []*string
	show(s, "array_agg", "", s.on.QueryRow(ctx, "SELECT array_agg(email ORDER BY id) FROM users").Scan(&all))
	show(s, "array_agg", all, nil)
	show(s, "into a number", "", s.on.QueryRow(ctx, "SELECT email FROM users WHERE id = 1").Scan(new(int)))
	show(s, "too few", "", s.on.QueryRow(ctx, "SELECT id, email FROM users WHERE id = 1").Scan(new(int)))

	n, err := s.on.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "email", "ssn", "note"}, pgx.CopyFromSlice(100, func(i int) ([]any, error) {
		return []any{1000 + i, fmt.Sprint(s.secret, i), ptr("copied"), nil}, nil
	}))
	show(s, "copy", n, err)
	n, err = s.on.CopyFrom(ctx, pgx.Identifier{"public", "users"}, []string{"email", "id"}, pgx.CopyFromRows([][]any{{nil, 2000}, {s.secret, 2001}}))
	show(s, "copy", n, err)
	n, err = s.on.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"email", "id"}, pgx.CopyFromRows([][]any{{"x", 3000}, {"y"}}))
	show(s, "copy of uneven rows", n, err)
	n, err = s.on.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id"}, pgx.CopyFromFunc(func() ([]any, error) { return nil, errors.New("source") }))
	show(s, "copy of a source that fails", n, err)
	n, err = s.on.CopyFrom(ctx, pgx.Identifier{"plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
	show(s, "plain copy", n, err)
	rows, err = s.on.Query(ctx, "SELECT id, email, ssn, coalesce(note, '') AS note FROM users ORDER BY id")
	users, err = collect(rows, err, pgx.RowToStructByPos[user])
	show(s, "copied", users, err)

	s.batches(ctx, s.on)
	tx, err := s.on.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.transaction(ctx, tx)
	for _, fail := range []error{nil, errors.New("x")} {
		err = pgx.BeginFunc(ctx, s.on, func(tx pgx.Tx) error {
			s.exec(ctx, tx, "UPDATE users SET email = $1 WHERE id = 2", fmt.Sprint(s.secret, fail))
			return fail
		})
		show(s, "begin func", "", err)
	}
	show(s, "after", email, s.on.QueryRow(ctx, "SELECT email FROM users WHERE id = 2").Scan(&email))
	show(s, "after", email, nil)
}

func collect[T any](rows pgx.Rows, err error, fn pgx.RowToFunc[T]) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, fn)
}

func (s *script) batches(ctx context.Context, on db) {
	b := &pgx.Batch{}
	b.Queue("INSERT INTO users (id, email, ssn, note) VALUES ($1, $2, $3, 'b')", 10, s.secret+"-10", "b").Exec(func(tag pgconn.CommandTag) error {
		s.say("batch exec %s", tag)
		return nil
	})
	b.Queue("SELECT id, email, ssn, note FROM users WHERE email = $1", s.secret+"-10").Query(func(rows pgx.Rows) error {
		users, err := pgx.CollectRows(rows, pgx.RowToStructByName[user])
		show(s, "batch query", users, err)
		return err
	})
	b.Queue("SELECT ssn FROM users WHERE id = @id", pgx.NamedArgs{"id": 10}).QueryRow(func(row pgx.Row) error {
		var ssn string
		err := row.Scan(&ssn)
		show(s, "batch row", ssn, err)
		return err
	})
	b.Queue("INSERT INTO users (id, ssn) VALUES (11, 'literal')")
	b.Queue("INSERT INTO plain (id) VALUES (5)")
	show(s, "batch", "", on.SendBatch(ctx, b).Close())

	b = &pgx.Batch{}
	for i := range 3 {
		b.Queue("SELECT email, ssn FROM users WHERE id = $1", 10+i)
	}
	b.Queue("UPDATE users SET ssn = $1 WHERE email = $2", "u", s.secret+"-10")
	br := on.SendBatch(ctx, b)
	var email, ssn *string
	show(s, "result 0", email, br.QueryRow().Scan(&email, &ssn))
	show(s, "result 0", []any{email, ssn}, nil)
	rows, err := br.Query()
	users, err := collect(rows, err, pgx.RowToMap)
	show(s, "result 1", users, err)
	show(s, "result 2", "", br.QueryRow().Scan(&email, &ssn))
	tag, err := br.Exec()
	show(s, "result 3", tag.String(), err)
	_, err = br.Exec()
	show(s, "result 4", "", err)
	show(s, "close", "", br.Close())
	show(s, "close", "", br.Close())

	b = &pgx.Batch{}
	b.Queue("INSERT INTO users (id, email) VALUES (12, $1)", s.secret+"-12")
	b.Queue("INSERT INTO users (id, email) VALUES (12, $1)", s.secret+"-12")
	b.Queue("SELECT email FROM users").Query(func(pgx.Rows) error { s.say("must not be called"); return nil })
	show(s, "batch that fails", "", on.SendBatch(ctx, b).Close())
	var n int
	show(s, "rolled back", n, on.QueryRow(ctx, "SELECT count(*) FROM users WHERE id = 12").Scan(&n))
	show(s, "rolled back", n, nil)
}

func (s *script) transaction(ctx context.Context, tx pgx.Tx) {
	s.exec(ctx, tx, "UPDATE users SET ssn = $1 WHERE id = 1", "in tx")
	sub, err := tx.Begin(ctx)
	show(s, "savepoint", "", err)
	s.exec(ctx, sub, "UPDATE users SET ssn = $1 WHERE id = 1", "in savepoint")
	var ssn string
	show(s, "in savepoint", ssn, sub.QueryRow(ctx, "SELECT ssn FROM users WHERE id = 1").Scan(&ssn))
	show(s, "in savepoint", ssn, nil)
	show(s, "rollback", "", sub.Rollback(ctx))
	show(s, "rollback", "", sub.Rollback(ctx))
	s.exec(ctx, sub, "SELECT 1")
	if _, err := tx.Prepare(ctx, "by id", "SELECT ssn FROM users WHERE id = $1"); err != nil {
		s.say("prepare %v", err)
	}
	show(s, "prepared", ssn, tx.QueryRow(ctx, "by id", 1).Scan(&ssn))
	show(s, "prepared", ssn, nil)
	b := &pgx.Batch{}
	b.Queue("by id", 1).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&ssn)
		show(s, "prepared in a batch", ssn, err)
		return nil
	})
	show(s, "batch in tx", "", tx.SendBatch(ctx, b).Close())
	lo := tx.LargeObjects()
	oid, err := lo.Create(ctx, 0)
	show(s, "large object", oid != 0, err)
	show(s, "commit", "", tx.Commit(ctx))
	show(s, "commit", "", tx.Commit(ctx))
	s.exec(ctx, tx, "SELECT 1")
	_, err = tx.Query(ctx, "SELECT ssn FROM users")
	show(s, "closed", "", err)
	show(s, "closed", "", tx.QueryRow(ctx, "SELECT ssn FROM users").Scan(&ssn))
	show(s, "closed", "", tx.SendBatch(ctx, b).Close())
}

// TestCalls: a program's calls give on sealed tables what they give on the plaintext twin, in every mode; the server, the tracers and
// the errors see no plaintext.
func TestCalls(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		for _, storage := range []string{"bytea", "text"} {
			for _, mode := range modesHere() {
				t.Run(storage+"_"+modeName(mode), func(t *testing.T) {
					exec(t, server.Admin, "DROP TABLE IF EXISTS kinds, users, plain, colseal_keys")
					var traced bytes.Buffer
					tw := newTwins(t, server, storage, func(c *pgxpool.Config) {
						c.ConnConfig.DefaultQueryExecMode = mode
						if c.ConnConfig.Database == server.Name {
							c.ConnConfig.Tracer = &tracelog.TraceLog{LogLevel: tracelog.LogLevelTrace, Logger: tracelog.LoggerFunc(
								func(_ context.Context, _ tracelog.LogLevel, msg string, data map[string]any) {
									fmt.Fprintf(&traced, "%s %+v %q\n", msg, data, data)
								})}
						}
					})
					var plain, sealed script
					plain.on, plain.secret, sealed.on, sealed.secret = tw.plain, twinSecret, tw.sealed, secret
					plain.calls(t, t.Context())
					sealed.calls(t, t.Context())
					for i := range min(len(plain.out), len(sealed.out)) {
						if strings.ReplaceAll(plain.out[i], twinSecret, secret) != sealed.out[i] {
							t.Errorf("%s\nplain %s", sealed.out[i], plain.out[i])
						}
					}
					if len(plain.out) != len(sealed.out) || len(plain.out) < 70 {
						t.Errorf("%d results, plain %d", len(sealed.out), len(plain.out))
					}
					if found := wiretap.InText("tracer", traced.Bytes(), wiretap.Text("secret", secret)); len(found) > 0 || traced.Len() < 1000 {
						t.Errorf("a tracer of %d bytes saw %v", traced.Len(), found)
					}
					if stat := tw.sealed.Stat(); stat.AcquiredConns() != 0 {
						t.Errorf("%d connections were not released", stat.AcquiredConns())
					}
				})
			}
			wiretap.Check(t, server.Admin, wiretap.Text("secret", secret))
		}
	}, pgtest.Logged())
}
