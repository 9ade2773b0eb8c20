package pgxseal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/pgxseal"
)

// newPool opens a pool on the sealed tables of a database.
func newPool(t *testing.T, server *pgtest.DB, cfg driver.Config, change ...func(*pgxpool.Config)) *pgxseal.Pool {
	t.Helper()
	pool, err := pgxseal.New(t.Context(), poolConfig(t, server, change...), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func sealedTables(t *testing.T) *pgtest.DB {
	t.Helper()
	server := pgtest.New(t)
	exec(t, server.Admin, tables("bytea"))
	return server
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	var q *driver.QueryError
	if !errors.Is(err, driver.ErrRefused) || !errors.As(err, &q) || q.Hint == "" {
		t.Errorf("%s: %v, want a refusal with a hint", what, err)
	}
}

func count(t *testing.T, server *pgtest.DB, query string) (n int) {
	t.Helper()
	must(t, server.Admin.QueryRow(query).Scan(&n))
	return n
}

// TestBatchIsRefusedAsAWhole: nothing of a batch is sent if one of its statements is refused.
func TestBatchIsRefusedAsAWhole(t *testing.T) {
	server, cfg := sealedTables(t), sealConfig(t)
	for _, mode := range modes {
		pool := newPool(t, server, cfg, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
		for name, second := range map[string]string{
			"an operation":    "SELECT id FROM users WHERE ssn LIKE 'x%'",
			"DDL before":      "CREATE TABLE more (id int); SELECT 1",
			"a path before":   "SET search_path = public",
			"set_config":      "SELECT set_config('search_path', 'public', false)",
			"a rollback":      "ROLLBACK",
			"several at once": "SELECT email FROM users; SELECT 1",
		} {
			b := &pgx.Batch{}
			b.Queue("INSERT INTO plain VALUES (1)")
			called := false
			b.Queue(second).Query(func(pgx.Rows) error { called = true; return nil })
			b.Queue("INSERT INTO users (id, email) VALUES (1, $1)", secret)
			if name == "a rollback" { // undoes nothing here
				b.QueuedQueries = b.QueuedQueries[:2]
				must(t, pool.SendBatch(t.Context(), b).Close())
				exec(t, server.Admin, "DELETE FROM plain")
				continue
			}
			br := pool.SendBatch(t.Context(), b)
			_, err := br.Exec()
			wantRefused(t, mode.String()+", "+name, err)
			wantRefused(t, mode.String()+", "+name, br.Close())
			if n := count(t, server, "SELECT count(*) FROM plain"); n != 0 || called {
				t.Errorf("%v, %s: %d rows were inserted, called %v", mode, name, n, called)
			}
		}
		_, err := pool.Query(t.Context(), "SELECT email FROM users; SELECT 1", pgx.QueryExecModeSimpleProtocol)
		wantRefused(t, "several statements queried", err)
		if n := pool.Stat().AcquiredConns(); n != 0 {
			t.Errorf("%d connections were not released", n)
		}
	}
}

// TestTransactionOfABatch: what a batch begins is a transaction with sealed columns.
func TestTransactionOfABatch(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	b := &pgx.Batch{}
	b.BeginTx(pgx.TxOptions{})
	b.Queue("INSERT INTO users (id, email) VALUES (1, $1)", secret)
	br := pool.SendBatch(t.Context(), b)
	tx := br.Tx()
	must(t, br.Close())
	var email string
	must(t, tx.QueryRow(t.Context(), "SELECT email FROM users WHERE email = $1", secret).Scan(&email))
	must(t, tx.Commit(t.Context()))
	if n := pool.Stat().AcquiredConns(); n != 0 || email != secret {
		t.Errorf("read %q, %d connections were not released", email, n)
	}
	for what, o := range map[string]pgx.TxOptions{
		"begins":  {BeginQuery: "BEGIN; INSERT INTO users (id, email) VALUES (2, 'zqcanary')"},
		"commits": {CommitQuery: "INSERT INTO users (id, email) VALUES (2, 'zqcanary'); COMMIT"},
	} {
		b := &pgx.Batch{}
		b.BeginTx(o)
		br := pool.SendBatch(t.Context(), b)
		wantRefused(t, "a batch that "+what, br.Close())
		_, err := pool.BeginTx(t.Context(), o)
		wantRefused(t, "what "+what, err)
	}
	if n := count(t, server, "SELECT count(*) FROM users"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// TestPreparedPastUs: a statement that a hook prepared on pgx's own connection is not executed if it touches a sealed table.
func TestPreparedPastUs(t *testing.T) {
	server := sealedTables(t)
	const insert = "INSERT INTO users (id, email) VALUES ($1, $2)"
	pool := newPool(t, server, sealConfig(t), func(c *pgxpool.Config) {
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			for name, query := range map[string]string{"insert user": insert, "note": "INSERT INTO plain (id) VALUES ($1)", "SELECT 1": insert} {
				if _, err := conn.Prepare(ctx, name, query); err != nil {
					return err
				}
			}
			_, err := conn.Prepare(ctx, insert, insert)
			return err
		}
	})
	ctx := t.Context()
	_, err := pool.Exec(ctx, "insert user", 1, []byte(secret))
	wantRefused(t, "Exec", err)
	rows, err := pool.Query(ctx, "insert user", 1, []byte(secret))
	wantRefused(t, "Query", err)
	rows.Close() // those of a program that went past the refusal would hold the connection
	_, err = pool.Exec(ctx, "SELECT 1", 1, []byte(secret))
	wantRefused(t, "a name that is SQL", err)
	b := &pgx.Batch{}
	b.Queue("insert user", 1, []byte(secret))
	wantRefused(t, "SendBatch", pool.SendBatch(ctx, b).Close())
	_, err = pool.Exec(ctx, "note", 1)
	must(t, err)
	_, err = pool.Exec(ctx, insert, 1, secret)
	must(t, err)
	if n := count(t, server, "SELECT count(*) FROM users WHERE get_byte(email, 0) = 1"); n != 1 {
		t.Errorf("%d rows with a cell", n)
	}

	// Nor is what pgx itself prepared, which holds the text that was sent.
	must(t, pool.AcquireFunc(ctx, func(c *pgxseal.Conn) error {
		rows, err := c.Query(ctx, "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'INSERT%users%' AND name LIKE 'stmtcache%'")
		must(t, err)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(names) == 0 {
			t.Errorf("cached statements: %v, %v", names, err)
		}
		for _, name := range names {
			_, err := c.Exec(ctx, name, 2, []byte(secret))
			wantRefused(t, name, err)
		}
		return nil
	}))
}

// TestPrepare: a statement is prepared by name as the plain one, and again when its plan does not hold any more.
func TestPrepare(t *testing.T) {
	server := sealedTables(t)
	ctx := t.Context()
	c, err := pgxseal.Connect(ctx, server.DSN(), sealConfig(t))
	must(t, err)
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	sd, err := c.Prepare(ctx, "insert", "INSERT INTO users (id, email, ssn) VALUES ($1, $2, 'literal') RETURNING id, email, ssn")
	must(t, err)
	if got := fmt.Sprint(sd.ParamOIDs, sd.Fields[1].DataTypeOID, sd.Name); got != fmt.Sprint([]uint32{pgtype.Int8OID, pgtype.TextOID}, pgtype.TextOID, "insert") {
		t.Errorf("described as %s", got)
	}
	insert := func(id int) {
		t.Helper()
		var email, ssn string
		must(t, c.QueryRow(ctx, "insert", id, fmt.Sprint(secret, id)).Scan(nil, &email, &ssn))
		if email != fmt.Sprint(secret, id) || ssn != "literal" {
			t.Errorf("%d: returned %q, %q", id, email, ssn)
		}
	}
	insert(1)
	insert(2)
	again, err := c.Prepare(ctx, "insert", "INSERT INTO users (id, email, ssn) VALUES ($1, $2, 'literal') RETURNING id, email, ssn")
	if err != nil || again != sd {
		t.Errorf("prepared again: %v, %v", again, err)
	}
	_, err = c.Exec(ctx, "CREATE SCHEMA other; CREATE TABLE other.users (id bigint, ssn bytea, email bytea); SET search_path = other, public")
	must(t, err)
	insert(3)
	if n := count(t, server, "SELECT count(*) FROM other.users"); n != 1 {
		t.Errorf("%d rows in the table of another search path", n)
	}
	_, err = c.Exec(ctx, "RESET search_path")
	must(t, err)
	insert(4)
	if n := count(t, server, "SELECT count(*) FROM public.users"); n != 3 {
		t.Errorf("%d rows in the table of the first search path", n)
	}
	_, err = c.Prepare(ctx, "refused", "SELECT id FROM users WHERE ssn = $1")
	wantRefused(t, "Prepare", err)
	const byText = "SELECT email FROM users WHERE id = $1"
	if sd, err = c.Prepare(ctx, byText, byText); err != nil || sd.SQL != byText {
		t.Errorf("prepared under its text: %+v, %v", sd, err)
	}
	var email string
	must(t, c.QueryRow(ctx, byText, 1).Scan(&email))
	must(t, c.Deallocate(ctx, byText))
	must(t, c.Deallocate(ctx, "insert"))
	if n := 0; c.QueryRow(ctx, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'insert'").Scan(&n) != nil || n != 0 {
		t.Errorf("%d statements are left", n)
	}
	must(t, c.DeallocateAll(ctx))
}

// TestNamesOfCopy: pgx leaves out NULs of a table's name, and the server cuts it, so that another text is the same name.
func TestNamesOfCopy(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	for i, name := range []pgx.Identifier{{"users"}, {"public", "users"}, {"us\x00ers"}, {"pub\x00lic", "\x00users"}} {
		n, err := pool.CopyFrom(t.Context(), name, []string{"id", "email"}, pgx.CopyFromRows([][]any{{i, fmt.Sprint(secret, i)}}))
		if err != nil || n != 1 {
			t.Errorf("%q: %d, %v", name, n, err)
		}
	}
	for _, name := range []pgx.Identifier{{"colseal_keys"}, {"public", "colseal_keys"}} {
		_, err := pool.CopyFrom(t.Context(), name, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
		wantRefused(t, fmt.Sprint(name), err)
	}
	_, err := pool.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "email" + strings.Repeat("x", 64)}, pgx.CopyFromRows([][]any{{1, secret}}))
	wantRefused(t, "a long column", err)
	if n := count(t, server, "SELECT count(*) FROM users WHERE get_byte(email, 0) = 1"); n != 4 {
		t.Errorf("%d rows with a cell", n)
	}
}

// TestCopyUnderAnotherPath: a COPY reads the session again where somebody else has made a schema of its search path.
func TestCopyUnderAnotherPath(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	a, err := pool.Acquire(t.Context())
	must(t, err)
	defer a.Release()
	_, err = a.Exec(t.Context(), "SET search_path = tenant, public")
	must(t, err)
	_, err = a.Exec(t.Context(), "INSERT INTO users (id, email) VALUES (1, $1)", secret)
	must(t, err)
	_, err = pool.Exec(t.Context(), "CREATE SCHEMA tenant")
	must(t, err)
	n, err := a.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "email"}, pgx.CopyFromRows([][]any{{2, secret + "2"}}))
	if err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// TestErrorsHoldNoValue: neither what cannot be sealed nor what does not fit into a destination is in the text of an error.
func TestErrorsHoldNoValue(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	ctx := t.Context()
	_, err := pool.Exec(ctx, "INSERT INTO kinds (id, t) VALUES (1, $1)", "104046 "+secret)
	must(t, err)
	check := func(what string, err error) {
		t.Helper()
		for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err)} {
			if err == nil || strings.Contains(text, secret) || strings.Contains(text, "104046") {
				t.Errorf("%s: %s", what, text)
			}
		}
	}
	for _, k := range kinds {
		if k.name == "t" || k.name == "b" {
			continue
		}
		for _, arg := range []any{secret, []byte(secret), pgtype.Text{String: secret, Valid: true}, struct{ S string }{secret}} {
			if _, err := pool.Exec(ctx, fmt.Sprintf("INSERT INTO kinds (id, %s) VALUES (9, $1)", k.name), arg); err != nil {
				check(fmt.Sprintf("%s of %T", k.typ, arg), err)
			}
			exec(t, server.Admin, "DELETE FROM kinds WHERE id = 9")
			_, err := pool.CopyFrom(ctx, pgx.Identifier{"kinds"}, []string{"id", k.name}, pgx.CopyFromRows([][]any{{9, arg}}))
			if err != nil {
				check(fmt.Sprintf("COPY %s of %T", k.typ, arg), err)
			}
			exec(t, server.Admin, "DELETE FROM kinds WHERE id = 9")
		}
	}
	for _, dest := range []any{new(int), new(float64), new(bool), new(pgtype.Int8), new([]int), new(struct{ A int })} {
		err := pool.QueryRow(ctx, "SELECT t FROM kinds WHERE id = 1").Scan(dest)
		check(fmt.Sprintf("into %T", dest), err)
		var s pgx.ScanArgError
		if !errors.As(err, &s) || errors.Unwrap(s.Err) != nil {
			t.Errorf("into %T: %v, want a ScanArgError whose cause only errors.Is and errors.As find", dest, err)
		}
	}
}

// TestNullDoesNotFit: an error about NULL says that it is one, as pgx's does for a plain column.
func TestNullDoesNotFit(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	exec(t, server.Admin, "INSERT INTO kinds (id) VALUES (1)")
	// Where the types do not fit either, pgx tries other ones in an order by chance, and its error differs.
	dests := map[string]any{"text": new(string), "bigint": new(int64), "float8": new(float64), "boolean": new(bool), "date": new(time.Time), "timestamptz": new(time.Time)}
	for _, k := range kinds {
		dest := dests[k.typ]
		if dest == nil {
			continue
		}
		delete(dests, k.typ)
		plain := pool.Raw().QueryRow(t.Context(), "SELECT NULL::"+k.typ+" AS "+k.name).Scan(dest)
		err := pool.QueryRow(t.Context(), "SELECT "+k.name+" FROM kinds WHERE id = 1").Scan(dest)
		if err == nil || plain == nil || err.Error() != plain.Error() {
			t.Errorf("%s into %T: %v, want %v", k.typ, dest, err, plain)
		}
	}
	if len(dests) > 0 {
		t.Errorf("no column for %v", dests)
	}
}

// TestEmptyResultIsDescribed: the columns of a result without rows are known when it was read, and when it was closed unread.
func TestEmptyResultIsDescribed(t *testing.T) {
	server := sealedTables(t)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		pool := newPool(t, server, sealConfig(t), func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
		for i := range 2 { // without a shape that the connection keeps, and with it
			for _, read := range []bool{false, true} {
				rows, err := pool.Query(t.Context(), "SELECT id, email FROM users WHERE email = $1", "nobody")
				must(t, err)
				for read && rows.Next() {
					t.Error("a row")
				}
				rows.Close()
				must(t, rows.Err())
				got := rows.FieldDescriptions()
				if len(got) != 2 || got[0].Name != "id" || got[1].Name != "email" || got[1].DataTypeOID != pgtype.TextOID {
					t.Errorf("%s, %d, read %v: %+v", mode, i, read, got)
				}
			}
		}
	}
}

// TestFailedResultIsDescribed: the columns of a statement that failed are known as far as pgx knows those of the plain one.
func TestFailedResultIsDescribed(t *testing.T) {
	tw := newTwins(t, pgtest.New(t), "bytea")
	for _, on := range []db{tw.plain, tw.sealed} {
		_, err := on.Exec(t.Context(), "INSERT INTO users (id, email) VALUES (1, 'a@x'), (2, 'b@x')")
		must(t, err)
	}
	for _, mode := range modes {
		for _, query := range []string{"SELECT id, email, 1 / (id - 1) FROM users ORDER BY id DESC", "SELECT email FROM users WHERE 1 / (id - 1) > 5", "SELECT email, nothing FROM users"} {
			for _, read := range []bool{false, true} {
				described := func(on db) []string {
					rows, _ := on.Query(t.Context(), query, mode)
					for read && rows.Next() {
					}
					rows.Close()
					if rows.Err() == nil {
						t.Errorf("%s does not fail", query)
					}
					names := []string{}
					for _, f := range rows.FieldDescriptions() {
						names = append(names, fmt.Sprint(f.Name, " ", f.DataTypeOID))
					}
					return names
				}
				if got, want := described(tw.sealed), described(tw.plain); !slices.Equal(got, want) {
					t.Errorf("%s, %s, read %v: %v, plain %v", mode, query, read, got, want)
				}
			}
		}
	}
}

// tenantKey is where a context has the schema of a tenant.
type tenantKey struct{}

// TestHooks: the search path that a hook of the pool sets, or that is set past us, counts.
func TestHooks(t *testing.T) {
	server := sealedTables(t)
	exec(t, server.Admin, `CREATE SCHEMA one; CREATE SCHEMA two;
		CREATE TABLE one.users (id bigint, email bytea, ssn bytea, note text); CREATE TABLE two.users (note text, ssn bytea, email bytea, id bigint)`)
	cfg := sealConfig(t)
	pool := newPool(t, server, cfg, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			tenant, _ := ctx.Value(tenantKey{}).(string)
			_, err := conn.Exec(ctx, "SELECT set_config('search_path', $1, false)", tenant+",public")
			return err == nil, err
		}
	})
	for i := range 6 {
		tenant := []string{"one", "two"}[i%2]
		ctx := context.WithValue(t.Context(), tenantKey{}, tenant)
		_, err := pool.Exec(ctx, "INSERT INTO users (id, email) VALUES ($1, $2)", i, tenant)
		must(t, err)
		var n int
		must(t, pool.QueryRow(ctx, "SELECT count(*) FROM users WHERE email = $1", tenant).Scan(&n))
		if n != i/2+1 {
			t.Errorf("tenant %s has %d rows, want %d", tenant, n, i/2+1)
		}
		rows, err := pool.Query(ctx, "SELECT * FROM users")
		must(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[struct {
			ID         int64
			Email, SSN *string
			Note       *string
		}])
		if err != nil || *all[0].Email != tenant {
			t.Errorf("tenant %s: %v, %v", tenant, all, err)
		}
	}
	c, err := pgxseal.Connect(t.Context(), server.DSN(), cfg)
	must(t, err)
	defer func() { _ = c.Close(context.Background()) }()
	for i, path := range []string{"one", "two", "public", "one"} {
		_, err := c.Raw().Exec(t.Context(), "SET search_path = "+path)
		must(t, err)
		var table string
		must(t, c.QueryRow(t.Context(), "INSERT INTO users (id, ssn) VALUES ($1, 's') RETURNING tableoid::regclass::text", 100+i).Scan(&table))
		if table != "users" {
			t.Errorf("after SET search_path = %s past us: %s", path, table)
		}
	}
}

// TestNotifications: LISTEN and NOTIFY pass through.
func TestNotifications(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	must(t, pool.AcquireFunc(t.Context(), func(c *pgxseal.Conn) error {
		_, err := c.Exec(t.Context(), "LISTEN news")
		must(t, err)
		_, err = pool.Exec(t.Context(), "SELECT pg_notify('news', 'x')")
		must(t, err)
		n, err := c.WaitForNotification(t.Context())
		if err != nil || n.Payload != "x" {
			t.Errorf("%v, %v", n, err)
		}
		return nil
	}))
}

// TestSavepoint: a rollback to a savepoint gives names back what they meant before.
func TestSavepoint(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t))
	ctx := t.Context()
	must(t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		sub, err := tx.Begin(ctx)
		must(t, err)
		_, err = sub.Exec(ctx, "CREATE TEMP TABLE users (id bigint, email text)")
		must(t, err)
		_, err = sub.Exec(ctx, "INSERT INTO users (id, email) VALUES (1, 'plain')")
		must(t, err)
		must(t, sub.Rollback(ctx))
		_, err = tx.Exec(ctx, "INSERT INTO users (id, email) VALUES (1, $1)", secret)
		return err
	}))
	if n := count(t, server, "SELECT count(*) FROM users WHERE get_byte(email, 0) = 1"); n != 1 {
		t.Errorf("%d rows with a cell", n)
	}
}

// TestConcurrentUse of a pool; the race detector looks on.
func TestConcurrentUse(t *testing.T) {
	server := sealedTables(t)
	pool := newPool(t, server, sealConfig(t), func(c *pgxpool.Config) { c.MaxConns = 4 })
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 20 {
				id := g*100 + i
				if _, err := pool.Exec(t.Context(), "INSERT INTO kinds (id, t, tz, n) VALUES ($1, $2, $3, '1.5')", id, fmt.Sprint(secret, id), moment); err != nil {
					t.Error(err)
				}
				_, err := pool.CopyFrom(t.Context(), pgx.Identifier{"kinds"}, []string{"id", "tz"}, pgx.CopyFromRows([][]any{{10000 + id, "2024-02-29 12:00:00"}, {20000 + id, moment}}))
				if err != nil {
					t.Error(err)
				}
				b := &pgx.Batch{}
				b.Queue("SELECT t, n FROM kinds WHERE id = $1", id).QueryRow(func(row pgx.Row) error {
					var s string
					if err := row.Scan(&s, nil); err != nil || s != fmt.Sprint(secret, id) {
						t.Errorf("read %q, %v", s, err)
					}
					return nil
				})
				if err := pool.SendBatch(t.Context(), b).Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if s := pool.KeyStats(); s.Hits == 0 {
		t.Errorf("the cache of keys: %+v", s)
	}
}

// TestKeysDuringCopy: keys that are used up are made again while rows stream, over other connections than the one that copies.
func TestKeysDuringCopy(t *testing.T) {
	server := sealedTables(t)
	cfg := sealConfig(t)
	cfg.Keys.MaxSeals = 500
	pool := newPool(t, server, cfg, func(c *pgxpool.Config) { c.MaxConns = 1 })
	const rows = 5000
	n, err := pool.CopyFrom(t.Context(), pgx.Identifier{"kinds"}, []string{"id", "t", "tz"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) {
		return []any{i, fmt.Sprint(secret, i), "2024-02-29 12:00:00"}, nil
	}))
	if err != nil || n != rows {
		t.Fatalf("%d rows, %v", n, err)
	}
	if keys := count(t, server, "SELECT count(*) FROM colseal_keys WHERE purpose = 'data'"); keys < 3 {
		t.Errorf("%d keys were made", keys)
	}
	var texts int
	rs, err := pool.Query(t.Context(), "SELECT t FROM kinds")
	must(t, err)
	_, err = pgx.ForEachRow(rs, []any{new(string)}, func() error { texts++; return nil })
	if err != nil || texts != rows {
		t.Errorf("read %d, %v", texts, err)
	}
}

// TestNullEquals: where transform_null_equals makes IS NULL of = NULL, such a comparison is refused, and not answered otherwise.
func TestNullEquals(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		tw := newTwins(t, server, "bytea", func(c *pgxpool.Config) { c.MaxConns = 1 })
		sealed, err := tw.sealed.Acquire(t.Context())
		must(t, err)
		defer sealed.Release()
		plain, err := tw.plain.Acquire(t.Context())
		must(t, err)
		defer plain.Release()
		exec := func(query string) {
			t.Helper()
			for _, on := range []db{plain.Conn(), sealed} {
				_, err := on.Exec(t.Context(), query)
				must(t, err)
			}
		}
		exec("INSERT INTO users (id, email, note) VALUES (1, 'a@x', NULL), (2, NULL, 'n')")
		for _, set := range []string{"SELECT 1", "SET transform_null_equals = on", "RESET transform_null_equals", "SELECT set_config('transform_null_equals', 'on', false)"} {
			exec(set)
			on := strings.Contains(set, "on")
			for query, args := range map[string][]any{
				"SELECT id FROM users WHERE email = $1 OR NULL = $1":                                   {"a@x"},
				"UPDATE users SET ssn = CASE WHEN ((note) = ((NULL))) THEN $1 END WHERE email = 'a@x'": {"s"},
			} {
				_, err := sealed.Exec(t.Context(), query, args...)
				if on {
					wantRefused(t, query, err)
				} else if err != nil {
					t.Errorf("%s: %v", query, err)
				}
			}
			for _, query := range []string{"SELECT id FROM users WHERE email = NULL", "SELECT id FROM users WHERE email IS NOT NULL AND (SELECT NOT (note = NULL))",
				"SELECT id FROM users WHERE email IS NULL", "SELECT id FROM users WHERE email = ANY ('{a@x,NULL}') OR (id, email) = (2, NULL)", "SELECT id FROM users WHERE email <> NULL OR email IN (NULL)"} {
				ids := func(on db) []int64 {
					rows, err := on.Query(t.Context(), query)
					must(t, err)
					got, err := pgx.CollectRows(rows, pgx.RowTo[int64])
					must(t, err)
					return got
				}
				if got, want := ids(sealed), ids(plain.Conn()); !slices.Equal(got, want) {
					t.Errorf("%s: %s: %v, plain %v", set, query, got, want)
				}
			}
		}
	})
}

// TestHijackedOutlivesItsPool: the error of a connection whose pool is closed says what to do.
func TestHijackedOutlivesItsPool(t *testing.T) {
	pool := newPool(t, sealedTables(t), sealConfig(t))
	c, err := pool.Acquire(t.Context())
	must(t, err)
	c = c.Hijack()
	defer c.Close(t.Context())
	const insert = "INSERT INTO users (id, email) VALUES ($1, $2)"
	_, err = c.Exec(t.Context(), insert, 1, secret)
	must(t, err)
	pool.Close()
	if _, err = c.Exec(t.Context(), insert, 2, secret); !errors.Is(err, keycache.ErrClosed) || colseal.Hint(err) == "" {
		t.Errorf("%v", err)
	}
}
