package sessions

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
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

// layout are the tables: public.users is registered, other.users is a plain table, and so is that of the schema that has the name of
// ROLE; setpath sets the search path unseen. Nothing that the server does by itself locks them.
const layout = `CREATE SCHEMA other; CREATE SCHEMA ROLE;
CREATE TABLE public.users (id bigint, email TYPE) WITH (autovacuum_enabled = off);
CREATE TABLE other.users (id bigint, email text) WITH (autovacuum_enabled = off);
CREATE TABLE ROLE.users (id bigint, email text) WITH (autovacuum_enabled = off);
CREATE FUNCTION public.setpath(p text, l boolean) RETURNS text LANGUAGE sql AS 'SELECT pg_catalog.set_config(''search_path'', p, l)';
GRANT ALL ON SCHEMA public, other, ROLE TO ROLE; GRANT ALL ON ALL TABLES IN SCHEMA public, other, ROLE TO ROLE`

// restore undoes what definitions did. The name is not in one piece, because DO with a registered table's name in it is refused.
const restore = `DO $$ DECLARE name text := 'u' || 'sers'; BEGIN
	DROP SCHEMA IF EXISTS other, tenant, tenant2 CASCADE;
	CREATE SCHEMA other;
	EXECUTE 'CREATE TABLE other.' || name || ' (id bigint, email text) WITH (autovacuum_enabled = off)';
	GRANT ALL ON SCHEMA other TO ROLE; GRANT ALL ON ALL TABLES IN SCHEMA other TO ROLE;
	EXECUTE 'ALTER TABLE public.' || name || ' DROP COLUMN IF EXISTS x';
	ALTER FUNCTION public.setpath RESET ALL;
END $$`

// world is a sealed database and its twin.
type world struct {
	sealed, twin *sql.DB
	tap          *tap
	role         string
}

func newWorld(t *testing.T, sealed, twin *pgtest.DB) *world {
	t.Helper()
	w := &world{tap: &tap{}, role: fmt.Sprintf("r%d", rand.Uint64())}
	for i, db := range []*pgtest.DB{sealed, twin} {
		text := strings.NewReplacer("ROLE", w.role, "TYPE", []string{"bytea", "text"}[i]).Replace(layout)
		if i == 0 {
			text = "CREATE ROLE " + w.role + ";" + text
		}
		if _, err := db.Admin.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for i, db := range []*pgtest.DB{twin, sealed} {
			text := "DROP OWNED BY " + w.role + " CASCADE"
			if i == 1 {
				text += "; DROP ROLE " + w.role
			}
			if _, err := db.Admin.Exec(text); err != nil {
				t.Error(err)
			}
		}
	})
	wrapper, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(sealed.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Tracer = w.tap
	cfg.RuntimeParams["lock_timeout"] = lockTimeout
	cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{
		Schema:             schema.Must(schema.Columns("public.users", schema.Column{Name: "email", Mode: schema.ModeDeterministic})),
		KMS:                wrapper,
		KeyTable:           "public.colseal_keys",
		AutoCreateKeyTable: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sealed = sql.OpenDB(cn)
	t.Cleanup(func() { _ = w.sealed.Close() })
	twinCfg, err := pgx.ParseConfig(twin.DSN())
	if err != nil {
		t.Fatal(err)
	}
	twinCfg.RuntimeParams["lock_timeout"] = lockTimeout
	// A statement that was prepared keeps its table when another one comes before that in the search path. Colseal prepares it again,
	// and the twin prepares nothing in advance: see conn.
	twinCfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	w.twin = stdlib.OpenDB(*twinCfg)
	t.Cleanup(func() { _ = w.twin.Close() })
	return w
}

// lockTimeout ends a statement that waits for the other connection of its sequence, which would never end.
const lockTimeout = "150ms"

// tap sees what is sent to the sealed database.
type tap struct {
	mu    sync.Mutex // guards leaks
	leaks []string
}

// plainUsers finds a table users that is named without a schema, or with public.
var plainUsers = regexp.MustCompile(`(?i)(^|[^."\w])("?public"?\.)?"?users"?\b`)

// TraceQueryStart implements pgx.QueryTracer. A canary beside a name that may mean public.users is a leak.
func (p *tap) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	for text := range strings.SplitSeq(d.SQL, ";") {
		if all := text + fmt.Sprint(d.Args...); plainUsers.MatchString(text) && strings.Contains(all, canary) {
			p.mu.Lock()
			p.leaks = append(p.leaks, all)
			p.mu.Unlock()
		}
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

// kind is what is done with a step's text.
type kind int

const (
	executes kind = iota
	queries       // rows are asked for
	prepares      // it is prepared by the protocol
	runs          // what was prepared is executed
	copies        // it is a table that COPY writes to
)

// step is one statement of a sequence, on one of the connections.
type step struct {
	conn int
	kind kind
	text string
	args []any
}

func (s step) String() string {
	return fmt.Sprintf("%c: %s%s %v", 'A'+s.conn, [...]string{"", "", "prepare ", "run what was prepared", "copy to "}[s.kind], s.text, s.args)
}

// conn is a connection, and what was prepared on it: by the twin, only the text.
type conn struct {
	*sql.Conn
	twin     bool
	gid      string // of the transaction that is prepared, one for each database: a server's are all in one place
	prepared *sql.Stmt
	text     string
}

var errNothingPrepared = errors.New("nothing is prepared")

// run runs a step and returns what it yields.
func (s step) run(ctx context.Context, c *conn) (out string, err error) {
	s.text = strings.ReplaceAll(s.text, "GID", c.gid)
	switch s.kind {
	case queries:
		return s.rows(ctx, c)
	case prepares:
		c.unprepare()
		if c.prepared, err = c.PrepareContext(ctx, s.text); err == nil && c.twin {
			c.unprepare()
			c.text = s.text
		}
	case runs:
		switch {
		case c.prepared != nil:
			_, err = c.prepared.ExecContext(ctx, s.args...)
		case c.text != "":
			_, err = c.ExecContext(ctx, c.text, s.args...)
		default:
			err = errNothingPrepared
		}
	case copies:
		err = c.copyTo(ctx, s.text, []string{"id", "email"}, s.args)
	default:
		_, err = c.ExecContext(ctx, s.text, s.args...)
	}
	return "", err
}

func (s step) rows(ctx context.Context, c *conn) (string, error) {
	rows, err := c.QueryContext(ctx, s.text, s.args...)
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

// copyTo writes a row by COPY.
func (c *conn) copyTo(ctx context.Context, table string, columns []string, row []any) error {
	if !c.twin {
		_, err := driver.CopyFrom(ctx, c.Conn, table, columns, [][]any{row})
		return err
	}
	return c.Raw(func(raw any) error {
		_, err := raw.(*stdlib.Conn).Conn().CopyFrom(ctx, strings.Split(table, "."), columns, pgx.CopyFromRows([][]any{row}))
		return err
	})
}

func (c *conn) unprepare() {
	c.text = ""
	if c.prepared != nil {
		_ = c.prepared.Close() // in a failed transaction it cannot
		c.prepared = nil
	}
}

// outcome counts what became of steps.
type outcome struct{ works, refused, fails int }

func (o *outcome) add(n outcome) { o.works += n.works; o.refused += n.refused; o.fails += n.fails }

// session is two connections to each database.
type session struct {
	w            *world
	sealed, twin [2]*conn
	defined      bool // a definition may have changed what is there
}

func (w *world) connect(t *testing.T) *session {
	t.Helper()
	s := &session{w: w}
	for i := range s.sealed {
		for _, side := range []struct {
			db *sql.DB
			to **conn
		}{{w.sealed, &s.sealed[i]}, {w.twin, &s.twin[i]}} {
			c, err := side.db.Conn(t.Context())
			if err != nil {
				t.Error(err)
				return s
			}
			*side.to = &conn{Conn: c, twin: side.db == w.twin, gid: fmt.Sprint(w.role, side.db == w.twin)}
		}
	}
	return s
}

func (s *session) conns() []*conn { return []*conn{s.sealed[0], s.sealed[1], s.twin[0], s.twin[1]} }

// play runs a sequence on both databases, and returns what differs.
func (s *session) play(ctx context.Context, steps []step, n *outcome) error {
	for at, step := range steps {
		got, err := step.run(ctx, s.sealed[step.conn])
		if leaks := s.w.tap.take(); leaks != nil {
			return fmt.Errorf("step %d, %s: sent in plaintext: %q", at, step, leaks)
		}
		s.defined = s.defined || err == nil && definesWord.MatchString(step.text)
		if errors.Is(err, driver.ErrRefused) {
			n.refused++
			continue // the twin does not run it either
		}
		want, twinErr := step.run(ctx, s.twin[step.conn])
		switch {
		case (err == nil) != (twinErr == nil):
			return fmt.Errorf("step %d, %s: %v; the twin: %v", at, step, err, twinErr)
		case err == nil && sorted(got) != sorted(want):
			return fmt.Errorf("step %d, %s:\n%s\nthe twin:\n%s", at, step, got, want)
		case err == nil:
			n.works++
		default:
			n.fails++
		}
	}
	return nil
}

// definesWord finds what restore has to undo.
var definesWord = regexp.MustCompile(`\b(tenant|people|ALTER)\b`)

// clean ends what a sequence left open, and compares and restores what it may have defined.
func (s *session) clean(ctx context.Context) error {
	for _, text := range []string{"ROLLBACK", "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; DISCARD TEMP"} {
		for _, c := range s.conns() {
			if _, err := c.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
	}
	for _, c := range s.conns() {
		_, _ = c.ExecContext(ctx, "ROLLBACK PREPARED '"+c.gid+"'") // it may not be there
		c.unprepare()
		_, _ = c.ExecContext(ctx, "DEALLOCATE q") // it may not be there
	}
	if !s.defined {
		return nil
	}
	s.defined = false
	diff := s.w.differs(ctx)
	text := strings.ReplaceAll(restore, "ROLE", s.w.role)
	for _, c := range []*conn{s.sealed[0], s.twin[0]} {
		if _, err := c.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	if diff != "" {
		return errors.New(diff)
	}
	return nil
}

// discard ends the connections for good: nothing of their sessions is left.
func (s *session) discard() {
	for _, c := range s.conns() {
		if c != nil {
			discard(c.Conn)
		}
	}
}

func discard(c *sql.Conn) {
	_ = c.Raw(func(any) error { return sqldriver.ErrBadConn })
	_ = c.Close()
}

// clear empties the tables.
func (w *world) clear(t *testing.T) {
	t.Helper()
	for _, db := range []*sql.DB{w.sealed, w.twin} {
		for _, text := range []string{"DELETE FROM public.users", "DELETE FROM other.users"} {
			if _, err := db.ExecContext(t.Context(), text); err != nil {
				t.Error(text, err)
			}
		}
	}
}

// compare compares what the tables hold.
func (w *world) compare(t *testing.T) {
	t.Helper()
	if diff := w.differs(t.Context()); diff != "" {
		t.Error(diff)
	}
}

// differs reads the tables through Colseal, so that plaintext in a sealed column is an error, and on the twin, and says what differs.
func (w *world) differs(ctx context.Context) string {
	for _, table := range []string{"public.users", "other.users", w.role + ".users", "tenant.users", "other.people", "tenant.people"} {
		s := query(a, "SELECT id, email FROM "+table)
		var out [2]string
		var errs [2]error
		for i, db := range []*sql.DB{w.sealed, w.twin} {
			c, err := db.Conn(ctx)
			if err != nil {
				return err.Error()
			}
			out[i], errs[i] = s.run(ctx, &conn{Conn: c})
			_ = c.Close()
		}
		if sorted(out[0]) != sorted(out[1]) || (errs[0] == nil) != (errs[1] == nil) {
			return fmt.Sprintf("%s holds\n%s %v\nthe twin's\n%s %v", table, out[0], errs[0], out[1], errs[1])
		}
	}
	return ""
}

func sorted(rows string) string {
	lines := strings.Split(rows, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
