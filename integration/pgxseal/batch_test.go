package pgxseal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
)

// TestBatchEndsWithAFailedRow: a batch whose rows could not be read ends with that error where it does with pgx, though nobody looked at
// the error when it came.
func TestBatchEndsWithAFailedRow(t *testing.T) {
	pgtest.Newest(t, func(t *testing.T, server *pgtest.DB) {
		for i, mode := range modes {
			tw := newTwins(t, server, "bytea", func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			got := batchEnds(t, tw.sealed)
			if want := batchEnds(t, tw.plain); got != want {
				t.Errorf("%s: sealed and plain give\n%s\n%s", modeName(mode), got, want)
			}
			// What no plain column has: a value that cannot be opened.
			exec(t, server.Admin, `UPDATE users SET email = '\x00'`)
			b := &pgx.Batch{}
			b.Queue("SELECT email FROM users").Query(func(rows pgx.Rows) error {
				for rows.Next() {
					t.Errorf("a row that holds no cell")
				}
				return nil
			})
			b.Queue("SELECT 1")
			if err := tw.sealed.SendBatch(t.Context(), b).Close(); !errors.Is(err, driver.ErrNotSealed) {
				t.Errorf("%s: a value that is no cell: %v", modeName(mode), err)
			}
			br := tw.sealed.SendBatch(t.Context(), &pgx.Batch{QueuedQueries: b.QueuedQueries})
			rows, err := br.Query()
			must(t, err)
			rows.Next()
			if err := br.Close(); i < 3 && !errors.Is(err, driver.ErrNotSealed) {
				t.Errorf("%s: a value that is no cell, and a batch that is closed: %v", modeName(mode), err)
			}
			exec(t, server.Admin, "DROP TABLE kinds, users, plain, colseal_keys")
		}
	})
}

// batchEnds sends batches with rows that do not fit, and returns what they gave.
func batchEnds(t *testing.T, on db) string {
	var out []string
	say := func(what string, err error) {
		text := "ok"
		if err != nil {
			text, _, _ = strings.Cut(err.Error(), "):")
		}
		out = append(out, what+" "+text)
	}
	_, err := on.Exec(t.Context(), "INSERT INTO users (id, email, ssn) VALUES (1, 'a', 'b')")
	must(t, err)
	const query = "SELECT email, ssn FROM users"
	send := func() pgx.BatchResults {
		b := &pgx.Batch{}
		for range 3 {
			b.Queue(query)
		}
		return on.SendBatch(t.Context(), b)
	}
	var email, ssn string
	var number int
	for what, ways := range [][2]func(pgx.BatchResults) error{
		{func(br pgx.BatchResults) error { return br.QueryRow().Scan(&email, &number) }, func(br pgx.BatchResults) error { return br.QueryRow().Scan(&email, &ssn) }},
		{func(br pgx.BatchResults) error { return br.QueryRow().Scan(&email) }, func(br pgx.BatchResults) error { _, err := br.Exec(); return err }},
		{func(br pgx.BatchResults) error { rows, _ := br.Query(); rows.Next(); return rows.Scan(&number, &ssn) }, func(br pgx.BatchResults) error { _, err := br.Query(); return err }},
		{func(br pgx.BatchResults) error { return br.QueryRow().Scan(new(pgtype.DriverBytes)) }, func(br pgx.BatchResults) error { return br.QueryRow().Scan(&email, &ssn) }},
		{func(br pgx.BatchResults) error { return br.QueryRow().Scan(&email, &number) }, func(pgx.BatchResults) error { return nil }},
	} {
		br := send()
		say(fmt.Sprint(what), ways[0](br))
		say("then", ways[1](br))
		say("closed", br.Close())
		say("again", br.Close())
	}
	// A callback that keeps the error to itself.
	b := &pgx.Batch{}
	b.Queue(query).QueryRow(func(row pgx.Row) error { say("callback", row.Scan(&email, &number)); return nil })
	b.Queue(query).QueryRow(func(row pgx.Row) error { say("callback", row.Scan(&email, &ssn)); return nil })
	b.Queue("UPDATE users SET note = 'n'").Exec(func(tag pgconn.CommandTag) error { say("callback "+tag.String(), nil); return nil })
	b.Queue("UPDATE plain SET note = 'n'")
	say("callbacks", on.SendBatch(t.Context(), b).Close())
	b = &pgx.Batch{}
	b.Queue(query).QueryRow(func(row pgx.Row) error { say("the last callback", row.Scan(&email, &number)); return nil })
	say("after the last", on.SendBatch(t.Context(), b).Close())
	return strings.Join(out, "\n")
}
