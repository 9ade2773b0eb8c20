package pgxseal_test

import (
	"bytes"
	"context"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/pgxseal"
)

// A connection uses the memory of cells and plaintexts again. These values differ in length, so that one which is written over shows.
const kept = 50

func keptText(i int) string {
	return fmt.Sprintf("%d:%s", i, bytes.Repeat([]byte{byte('a' + i%26)}, i*7%97))
}
func keptBytes(i int) []byte { return fmt.Appendf(nil, "bytes %s", keptText(i)) }
func keptJSON(i int) string  { return fmt.Sprintf(`{"n": "%s"}`, keptText(i)) }

// TestResultsOutliveTheirRow: what was scanned stays as it is while the connection reads on and seals and opens other values.
func TestResultsOutliveTheirRow(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		pool := keptRows(t, server)
		type row struct {
			ID int
			T  string
			B  []byte
			J  json.RawMessage
		}
		const query = "SELECT id, t, b, j FROM kinds WHERE id < $1 ORDER BY id"
		// Each way keeps all that it reads, and returns it when the connection was used for more.
		ways := map[string]func() []row{
			"Scan": func() (all []row) {
				rows, err := pool.Query(t.Context(), query, kept)
				must(t, err)
				for rows.Next() {
					var r row
					must(t, rows.Scan(&r.ID, &r.T, &r.B, &r.J))
					all = append(all, r)
				}
				must(t, rows.Err())
				return all
			},
			"pgtype": func() (all []row) {
				rows, err := pool.Query(t.Context(), query, kept)
				must(t, err)
				for rows.Next() {
					var text pgtype.Text
					var r row
					must(t, rows.Scan(&r.ID, &text, &r.B, (*[]byte)(&r.J)))
					r.T = text.String
					all = append(all, r)
				}
				must(t, rows.Err())
				return all
			},
			"Values": func() (all []row) {
				rows, err := pool.Query(t.Context(), query, kept)
				must(t, err)
				for rows.Next() {
					v, err := rows.Values()
					must(t, err)
					j, err := json.Marshal(v[3])
					must(t, err)
					all = append(all, row{int(v[0].(int64)), v[1].(string), v[2].([]byte), j})
				}
				must(t, rows.Err())
				return all
			},
			"CollectRows": func() []row {
				rows, err := pool.Query(t.Context(), query, kept)
				must(t, err)
				all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
				must(t, err)
				return all
			},
			"QueryRow": func() (all []row) {
				for i := range kept {
					var r row
					must(t, pool.QueryRow(t.Context(), "SELECT id, t, b, j FROM kinds WHERE id = $1", i).Scan(&r.ID, &r.T, &r.B, &r.J))
					all = append(all, r)
				}
				return all
			},
			"batch": func() (all []row) {
				var b pgx.Batch
				for i := range kept {
					b.Queue("SELECT id, t, b, j FROM kinds WHERE id = $1", i).QueryRow(func(rs pgx.Row) error {
						var r row
						err := rs.Scan(&r.ID, &r.T, &r.B, &r.J)
						all = append(all, r)
						return err
					})
				}
				must(t, pool.SendBatch(t.Context(), &b).Close())
				return all
			},
		}
		for name, way := range ways {
			all := way()
			for i := range 3 {
				_, err := pool.Exec(t.Context(), "UPDATE kinds SET t = $1, b = $2 WHERE id = $3", "something else, and longer than it was", []byte("else"), kept+i)
				must(t, err)
				var other string
				must(t, pool.QueryRow(t.Context(), "SELECT t FROM kinds WHERE id = $1", kept+i).Scan(&other))
			}
			if len(all) != kept {
				t.Errorf("%s: %d rows", name, len(all))
			}
			for i, r := range all {
				var j struct{ N string }
				must(t, json.Unmarshal(r.J, &j))
				if r.ID != i || r.T != keptText(i) || !bytes.Equal(r.B, keptBytes(i)) || j.N != keptText(i) {
					t.Fatalf("%s: row %d became %d %q %q %q", name, i, r.ID, r.T, r.B, r.J)
				}
			}
		}
	})
}

// keptRows returns a pool of one connection on rows to be read, which were written in every way that the memory of cells is used again.
func keptRows(t *testing.T, server *pgtest.DB) *pgxseal.Pool {
	t.Helper()
	exec(t, server.Admin, tables("bytea"))
	pool := newPool(t, server, sealConfig(t), func(c *pgxpool.Config) { c.MaxConns = 1 })
	n, err := pool.CopyFrom(t.Context(), pgx.Identifier{"kinds"}, []string{"id", "t", "b", "j"}, pgx.CopyFromSlice(kept/2, func(i int) ([]any, error) {
		return []any{i, keptText(i), keptBytes(i), keptJSON(i)}, nil
	}))
	if err != nil || n != kept/2 {
		t.Fatalf("%d rows, %v", n, err)
	}
	var b pgx.Batch
	for i := kept / 2; i < kept+10; i++ {
		b.Queue("INSERT INTO kinds (id, t, b, j) VALUES ($1, $2, $3, $4)", i, keptText(i), keptBytes(i), keptJSON(i))
	}
	must(t, pool.SendBatch(t.Context(), &b).Close())
	return pool
}

// TestArgumentsKeepTheirMemory: the memory of a statement's cells is not used by a statement that is executed while its arguments are
// collected, and what the program gave stays as it is.
func TestArgumentsKeepTheirMemory(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		pool := keptRows(t, server)
		c, err := pool.Acquire(t.Context())
		must(t, err)
		defer c.Release()
		const insert = "INSERT INTO kinds (id, t, b, n) VALUES ($1, $2, $3, $4)"
		given := []byte("what the program gave")
		inner := func() {
			_, err := c.Exec(t.Context(), insert, 1001, "inner text", []byte("inner bytes"), "2")
			must(t, err)
			var text string
			must(t, c.QueryRow(t.Context(), "SELECT t FROM kinds WHERE id = 1001").Scan(&text))
			_, err = c.Exec(t.Context(), "UPDATE kinds SET t = $1 WHERE id = 1001", text+", again")
			must(t, err)
		}
		for range 3 {
			_, err := c.Exec(t.Context(), insert, 1000, "outer text", given, comesBack{inner})
			must(t, err)
			for id, want := range map[int]string{1000: "outer text what the program gave 1", 1001: "inner text, again inner bytes 2"} {
				var text string
				var b []byte
				var number int
				must(t, c.QueryRow(t.Context(), "SELECT t, b, n FROM kinds WHERE id = $1", id).Scan(&text, &b, &number))
				if got := fmt.Sprintf("%s %s %d", text, b, number); got != want {
					t.Errorf("row %d holds %q, want %q", id, got, want)
				}
			}
			if string(given) != "what the program gave" {
				t.Errorf("the argument became %q", given)
			}
			_, err = c.Exec(t.Context(), "DELETE FROM kinds WHERE id >= 1000")
			must(t, err)
		}
	})
}

// comesBack is a value whose method uses the connection that it is an argument on.
type comesBack struct{ use func() }

// Value implements driver.Valuer.
func (v comesBack) Value() (sqldriver.Value, error) {
	v.use()
	return "1", nil
}

// TestCopyMemory: one COPY after another on a connection, of other columns and of rows that fail, stores what it was given.
func TestCopyMemory(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		pool := keptRows(t, server)
		next := 2000
		copied := func(columns []string, values ...any) error {
			_, err := pool.CopyFrom(context.Background(), pgx.Identifier{"kinds"}, append([]string{"id"}, columns...),
				pgx.CopyFromSlice(40, func(int) ([]any, error) { next++; return append([]any{next}, values...), nil }))
			return err
		}
		must(t, copied([]string{"t", "b"}, "first", []byte("1")))
		if err := copied([]string{"t", "i"}, "fails", "no number"); err == nil {
			t.Error("a value that does not fit is copied")
		}
		must(t, copied([]string{"b", "t", "i"}, []byte("2"), "second", 2))
		must(t, copied([]string{"t"}, nil))
		var got string
		rows, err := pool.Query(t.Context(), "SELECT t, b, i FROM kinds WHERE id > 2000 ORDER BY id")
		must(t, err)
		for rows.Next() {
			var text *string
			var b []byte
			var i *int
			must(t, rows.Scan(&text, &b, &i))
			switch {
			case text == nil && b == nil && i == nil:
				got += "0"
			case *text == "first" && string(b) == "1" && i == nil:
				got += "1"
			case *text == "second" && string(b) == "2" && *i == 2:
				got += "2"
			default:
				got += "?"
			}
		}
		must(t, rows.Err())
		if want := string(bytes.Repeat([]byte("1"), 40)) + string(bytes.Repeat([]byte("2"), 40)) + string(bytes.Repeat([]byte("0"), 40)); got != want {
			t.Errorf("rows are\n%s, want\n%s", got, want)
		}
	})
}

// A row that was scanned has no other row to give, whatever the connection reads next, and one that was given to a value of the program's
// stays as it is.
func TestRowsAreScannedOnce(t *testing.T) {
	ctx, pool := t.Context(), newPool(t, sealedTables(t), sealConfig(t))
	const query = "SELECT email FROM users WHERE id = $1"
	for id, email := range []string{"first@example.com", "second@example.com"} {
		_, err := pool.Exec(ctx, "INSERT INTO users (id, email) VALUES ($1, $2)", id, email)
		must(t, err)
	}
	var email string
	first, second := pool.QueryRow(ctx, query, 0), pool.QueryRow(ctx, query, 1)
	must(t, first.Scan(&email))
	must(t, second.Scan(&email))
	third := pool.QueryRow(ctx, query, 0)
	for _, row := range []pgx.Row{first, second} {
		if err := row.Scan(&email); !errors.Is(err, pgx.ErrNoRows) || email != "second@example.com" {
			t.Errorf("scanned again: %v", err)
		}
	}
	must(t, third.Scan(&email))

	var held heldRows
	must(t, pool.QueryRow(ctx, query, 1).Scan(&held))
	must(t, pool.QueryRow(ctx, query, 0).Scan(&email))
	if tag := held.rows.CommandTag(); tag.RowsAffected() != 1 || held.rows.Next() || held.rows.Err() != nil {
		t.Errorf("rows that the program kept: %v, %v", tag, held.rows.Err())
	}
}

// heldRows scans a row, and keeps what it is scanned from.
type heldRows struct{ rows pgx.Rows }

// ScanRow implements pgx.RowScanner.
func (k *heldRows) ScanRow(rows pgx.Rows) error {
	k.rows = rows
	return nil
}
