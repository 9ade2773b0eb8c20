package pgxseal_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

// What a program uses again, or changes after it gave it away.

// counter is another value each time when it is asked.
type counter struct{ n *int }

func (c counter) Value() (sqldriver.Value, error) {
	*c.n++
	return "value " + strconv.Itoa(*c.n), nil
}

// TestOneArgumentOneValue: an argument that goes to several columns, or to a plain column and its companion, is the same value in all.
func TestOneArgumentOneValue(t *testing.T) {
	server := pgtest.New(t)
	exec(t, server.Admin, "CREATE TABLE people (id bigint PRIMARY KEY, email text, email_sealed bytea, code bytea, name bytea, note text)")
	cfg := sealConfig(t)
	in := func(stage schema.Stage) driver.Config {
		cfg := cfg
		cfg.Schema = schema.Must(schema.Columns("people",
			schema.Column{Name: "email", Mode: schema.ModeDeterministic, Stage: stage},
			schema.Column{Name: "code", Mode: schema.ModeDeterministic},
			schema.Column{Name: "name", Terms: codec.Terms{Fold: true}}))
		return cfg
	}
	pool, err := pgxseal.New(t.Context(), poolConfig(t, server), in(schema.StageCopy))
	must(t, err)
	t.Cleanup(pool.Close)
	later, err := pgxseal.New(t.Context(), poolConfig(t, server), in(schema.StageSealed))
	must(t, err)
	t.Cleanup(later.Close)
	cn, err := driver.NewConnector(stdlib.GetConnector(*poolConfig(t, server).ConnConfig), in(schema.StageCopy))
	must(t, err)
	std := sql.OpenDB(cn)
	t.Cleanup(func() { std.Close() })

	const insert = "INSERT INTO people (id, email, code, name, note) VALUES ($1, $2, $2, $2, $2)"
	columns := []string{"id", "email"}
	ways := []func(id int, c counter) error{
		func(id int, c counter) error { _, err := pool.Exec(t.Context(), insert, id, c); return err },
		func(id int, c counter) error { _, err := pool.Exec(t.Context(), insert, id, &c); return err },
		func(id int, c counter) error {
			_, err := pool.Exec(t.Context(), insert, pgx.QueryExecModeExec, id, c)
			return err
		},
		func(id int, c counter) error { _, err := std.ExecContext(t.Context(), insert, id, c); return err },
		func(id int, c counter) error {
			st, err := std.PrepareContext(t.Context(), insert)
			if err != nil {
				return err
			}
			defer st.Close()
			_, err = st.ExecContext(t.Context(), id, c)
			return err
		},
		func(id int, c counter) error {
			_, err := pool.CopyFrom(t.Context(), pgx.Identifier{"people"}, columns, pgx.CopyFromRows([][]any{{id, c}}))
			return err
		},
		func(id int, c counter) error {
			conn, err := std.Conn(t.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = driver.CopyFrom(t.Context(), conn, "people", columns, [][]any{{id, c}})
			return err
		},
	}
	for id, write := range ways {
		n := 0
		must(t, write(id, counter{&n}))
		var plain, sealed string
		var others [3]*string
		const read = "SELECT email, code, name, note FROM people WHERE id = $1"
		must(t, pool.QueryRow(t.Context(), read, id).Scan(&plain, &others[0], &others[1], &others[2]))
		must(t, later.QueryRow(t.Context(), read, id).Scan(&sealed, nil, nil, nil))
		if plain != sealed {
			t.Errorf("way %d: %q in the plain column, %q in its companion", id, plain, sealed)
		}
		for i, o := range others {
			if o != nil && *o != plain {
				t.Errorf("way %d: %q, and %q in column %d", id, plain, *o, i)
			}
		}
	}
	var none *counter
	_, err = pool.Exec(t.Context(), insert, 100, none)
	must(t, err)
	var email *string
	must(t, pool.QueryRow(t.Context(), "SELECT email FROM people WHERE id = 100").Scan(&email))
	if email != nil {
		t.Errorf("a nil pointer is %q", *email)
	}
}

// TestBatchSentTwice: a batch that is sent again does the same again, as it does on pgx.
func TestBatchSentTwice(t *testing.T) {
	tw := newTwins(t, pgtest.New(t), "bytea")
	for name, d := range map[string]db{"sealed": tw.sealed, "plain": tw.plain} {
		b := &pgx.Batch{}
		b.Queue("DELETE FROM users")
		b.Queue("INSERT INTO users (id, email, ssn, note) VALUES ($1, $2, 'literal', $3)", 1, "ana", "n")
		var got []string
		b.Queue("SELECT email, ssn FROM users").QueryRow(func(r pgx.Row) error {
			var email, ssn string
			err := r.Scan(&email, &ssn)
			got = append(got, email+" "+ssn)
			return err
		})
		for range 3 {
			must(t, d.SendBatch(t.Context(), b).Close())
		}
		if want := "[ana literal ana literal ana literal]"; fmt.Sprint(got) != want {
			t.Errorf("%s: %v, not %s", name, got, want)
		}
	}
}

// TestNameGivenAway: the name of a prepared statement that was released otherwise than by Deallocate stands for what was prepared under it
// last.
func TestNameGivenAway(t *testing.T) {
	tw := newTwins(t, pgtest.New(t), "bytea")
	cfg := sealConfig(t)
	const sealed, plain = "INSERT INTO users (id, email) VALUES ($1, $2)", "INSERT INTO plain (id, note) VALUES ($1, $2)"
	byText := func(text string) func(*pgxseal.Conn) error {
		return func(c *pgxseal.Conn) error { _, err := c.Exec(t.Context(), text); return err }
	}
	id := 0
	for how, release := range map[string]func(*pgxseal.Conn) error{
		"raw":        func(c *pgxseal.Conn) error { return c.Raw().DeallocateAll(t.Context()) },
		"DEALLOCATE": byText("DEALLOCATE ins"),
		"DISCARD":    byText("DISCARD ALL"),
	} {
		c, err := pgxseal.Connect(t.Context(), tw.server.DSN(), cfg)
		must(t, err)
		_, err = c.Prepare(t.Context(), "ins", sealed)
		must(t, err)
		must(t, release(c))
		_, err = c.Prepare(t.Context(), "ins", plain)
		must(t, err)
		id++
		_, err = c.Exec(t.Context(), "ins", id, how)
		must(t, err)
		var note string
		must(t, c.QueryRow(t.Context(), "SELECT note FROM plain WHERE id = $1", id).Scan(&note))
		if note != how {
			t.Errorf("%s: the row holds %q", how, note)
		}
		must(t, c.Close(t.Context()))
	}
}

// TestConfigChangedLater: a connection keeps to the database that it was made for.
func TestConfigChangedLater(t *testing.T) {
	server := pgtest.New(t)
	exec(t, server.Admin, tables("bytea"))
	config, err := pgx.ParseConfig(server.DSN())
	must(t, err)
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	c, err := pgxseal.ConnectConfig(t.Context(), config, sealConfig(t))
	must(t, err)
	t.Cleanup(func() { must(t, c.Close(t.Context())) })
	config.Database = "postgres"
	_, err = c.Exec(t.Context(), "INSERT INTO users (id, email) VALUES (1, $1)", "ana")
	must(t, err)
	const query = "SELECT * FROM users"
	rows, err := c.Query(t.Context(), query)
	must(t, err)
	rows.Close()
	// What the other columns are is asked over another connection.
	exec(t, server.Admin, "ALTER TABLE users ADD COLUMN more text")
	rows, err = c.Query(t.Context(), query)
	must(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToMap)
	must(t, err)
	if len(all) != 1 || all[0]["email"] != "ana" {
		t.Errorf("%v", all)
	}
}

// TestReleasedConn: a released connection does nothing more, as on pgx: it may be another goroutine's.
func TestReleasedConn(t *testing.T) {
	tw := newTwins(t, pgtest.New(t), "bytea")
	c, err := tw.sealed.Acquire(t.Context())
	must(t, err)
	c.Release()
	c.Release()
	defer func() {
		if recover() == nil {
			t.Error("it does not panic")
		}
	}()
	_, err = c.Exec(t.Context(), "SELECT 1")
	t.Errorf("it executes: %v", err)
}

// TestConnAfterTheEnd: who asks rows or a transaction for their connection when they have ended disturbs nobody who has it now.
func TestConnAfterTheEnd(t *testing.T) {
	tw := newTwins(t, pgtest.New(t), "bytea", func(c *pgxpool.Config) { c.MaxConns = 1 })
	tx, err := tw.sealed.Begin(t.Context())
	must(t, err)
	must(t, tx.Commit(t.Context()))
	rows, err := tw.sealed.Query(t.Context(), "SELECT email FROM users")
	must(t, err)
	rows.Close()
	var others sync.WaitGroup
	others.Go(func() {
		for i := range 20 {
			if _, err := tw.sealed.Exec(t.Context(), "INSERT INTO users (id, email) VALUES ($1, $2)", i, keptText(i)); err != nil {
				t.Error(err)
			}
		}
	})
	for range 1000 {
		if tx.Conn() != rows.Conn() {
			t.Error("another connection")
		}
	}
	others.Wait()
}
