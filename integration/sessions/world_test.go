package sessions

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// canary begins every value that is given for an e-mail address.
const canary = "canary-"

// layout are the tables: public.users is registered, other.users is a plain table, and setpath sets the search path unseen.
const layout = `CREATE SCHEMA other;
CREATE TABLE public.users (id bigint, email %s);
CREATE TABLE other.users (id bigint, email text);
CREATE FUNCTION public.setpath(p text, l boolean) RETURNS text LANGUAGE sql AS 'SELECT pg_catalog.set_config(''search_path'', p, l)'`

// world is a sealed database and its twin.
type world struct {
	sealed, twin *sql.DB
	tap          *tap
}

func newWorld(t *testing.T, sealed, twin *pgtest.DB) *world {
	t.Helper()
	for db, typ := range map[*pgtest.DB]string{sealed: "bytea", twin: "text"} {
		if _, err := db.Admin.Exec(fmt.Sprintf(layout, typ)); err != nil {
			t.Fatal(err)
		}
	}
	wrapper, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{tap: &tap{}}
	cfg, err := pgx.ParseConfig(sealed.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Tracer = w.tap
	cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{
		Schema:             schema.Must(schema.Columns("public.users", schema.Column{Name: "email", Mode: schema.Deterministic})),
		KMS:                wrapper,
		KeyTable:           "public.colseal_keys",
		AutoCreateKeyTable: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sealed = sql.OpenDB(cn)
	t.Cleanup(func() { _ = w.sealed.Close() })
	if w.twin, err = sql.Open("pgx", twin.DSN()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.twin.Close() })
	return w
}

// tap sees what is sent to the sealed database.
type tap struct {
	mu    sync.Mutex // guards leaks
	leaks []string
}

// plainUsers finds a table users that is named without a schema, or with public.
var plainUsers = regexp.MustCompile(`(?i)(^|[^."\w])("?public"?\.)?"?users"?\b`)

// TraceQueryStart implements pgx.QueryTracer. A canary beside a name that may mean public.users is a leak.
func (p *tap) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if !plainUsers.MatchString(d.SQL) {
		return ctx
	}
	if all := d.SQL + fmt.Sprint(d.Args...); strings.Contains(all, canary) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leaks = append(p.leaks, all)
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (p *tap) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (p *tap) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.leaks
	p.leaks = nil
	return out
}

// step is one statement of a sequence, on one of the connections. Rows are asked for if it is a query.
type step struct {
	conn  int
	text  string
	args  []any
	query bool
}

func (s step) String() string { return fmt.Sprintf("%c: %s %v", 'A'+s.conn, s.text, s.args) }

// run runs a step and returns what it yields.
func (s step) run(ctx context.Context, conn *sql.Conn) (string, error) {
	if !s.query {
		_, err := conn.ExecContext(ctx, s.text, s.args...)
		return "", err
	}
	rows, err := conn.QueryContext(ctx, s.text, s.args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id sql.NullInt64
		var email sql.NullString
		if err := rows.Scan(&id, &email); err != nil {
			return "", err
		}
		out = append(out, fmt.Sprint(id.Int64, email.String))
	}
	return strings.Join(out, "\n"), rows.Err()
}

// outcome counts what became of steps.
type outcome struct{ works, refused, fails int }

// play runs a sequence on both databases, with connections of its own, and returns what differs.
func (w *world) play(ctx context.Context, steps []step, n *outcome) error {
	var sealed, twin [2]*sql.Conn
	for i := range sealed {
		var err error
		if sealed[i], err = w.sealed.Conn(ctx); err != nil {
			return err
		}
		if twin[i], err = w.twin.Conn(ctx); err != nil {
			return err
		}
	}
	defer func() {
		for i := range sealed {
			discard(sealed[i])
			discard(twin[i])
		}
	}()
	for at, s := range steps {
		got, err := s.run(ctx, sealed[s.conn])
		if leaks := w.tap.take(); leaks != nil {
			return fmt.Errorf("step %d, %s: sent in plaintext: %q", at, s, leaks)
		}
		if errors.Is(err, driver.ErrRefused) {
			n.refused++
			continue // the twin does not run it either
		}
		want, twinErr := s.run(ctx, twin[s.conn])
		switch {
		case (err == nil) != (twinErr == nil):
			return fmt.Errorf("step %d, %s: %v; the twin: %v", at, s, err, twinErr)
		case err == nil && sorted(got) != sorted(want):
			return fmt.Errorf("step %d, %s:\n%s\nthe twin:\n%s", at, s, got, want)
		case err == nil:
			n.works++
		default:
			n.fails++
		}
	}
	return nil
}

// discard ends a connection for good: nothing of its session is left to the next sequence.
func discard(c *sql.Conn) {
	_ = c.Raw(func(any) error { return sqldriver.ErrBadConn })
	_ = c.Close()
}
