package stages

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type user struct {
	ID    int64
	Email *string `seal:"deterministic,join=mail,stage=copy"`
	Note  string
	SSN   *string `seal:"random,stage=copy"`
}

type order struct {
	ID    int64
	Email *string `seal:"deterministic,join=mail,stage=copy"`
}

var tables = schema.Must(schema.Model("users", user{}), schema.Model("orders", order{}))

// A family is a way that columns go: from plain, or from other options.
type family struct {
	name   string
	tables *schema.Schema
	// before is the schema of programs in no stage: nil if they do not know Colseal.
	before *schema.Schema
	// left and right are the columns that are led away from, and the companions, as columns by themselves. left: nil if they are plain.
	left, right *schema.Schema
	// terms: the companions have terms, and what these are searched by works.
	terms bool
	// users and orders are the columns of the tables behind the ids.
	users, orders string
	// source and stored are what is put behind the name of a column for the one that is led away from, and for its companion.
	source, stored string
}

var plain = family{
	name: "plain", tables: tables, stored: "_sealed",
	right: schema.Must(
		schema.Columns("users", schema.Column{Name: "email_sealed", Mode: schema.ModeDeterministic, JoinGroup: "mail"}, schema.Column{Name: "ssn_sealed", ID: "users.ssn"}),
		schema.Columns("orders", schema.Column{Name: "email_sealed", Mode: schema.ModeDeterministic, JoinGroup: "mail"})),
	users:  "email text UNIQUE, note text DEFAULT 'none', ssn text, email_sealed %[1]s UNIQUE, ssn_sealed %[1]s",
	orders: "email text, email_sealed %[1]s",
}

// withTerms goes from plain into companions with terms at once.
func withTerms() family {
	mail := schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail", Terms: codec.Terms{Fold: true, Prefix: codec.Lengths{Min: 1, Max: 4}, Suffix: codec.Lengths{Min: 1, Max: 4}}}
	ssn := schema.Column{Name: "ssn", ID: "users.ssn", Terms: codec.Terms{Equal: true, Prefix: codec.Lengths{Min: 1, Max: 3}}}
	columns := func(change func(*schema.Column)) *schema.Schema {
		mail, ssn := mail, ssn
		change(&mail)
		change(&ssn)
		return schema.Must(schema.Columns("users", mail, ssn), schema.Columns("orders", mail))
	}
	f := plain
	f.name, f.terms = "plain, terms", true
	f.tables = columns(func(c *schema.Column) { c.Stage = schema.StageCopy })
	f.right = columns(func(c *schema.Column) { c.Name += "_sealed" })
	return f
}

// changing has other options for columns whose cells stand in columns of their own names and "behind" behind them.
func changing(name, behind string) family {
	stored := func(c string) string {
		if behind == "" {
			return ""
		}
		return c + behind
	}
	mail := func(group string, more func(*schema.Column)) schema.Column {
		c := schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: group}
		more(&c)
		return c
	}
	was := func(c *schema.Column) { c.Stored = stored("email") }
	to := func(c *schema.Column) {
		old := mail("mail", was)
		c.Stage, c.Stored, c.Was = schema.StageCopy, "email_new", &old
	}
	wasSSN := schema.Column{Name: "ssn", Stored: stored("ssn")}
	cell := func(name, group string) schema.Column {
		return schema.Column{Name: name, Mode: schema.ModeDeterministic, JoinGroup: group}
	}
	f := family{
		name: name, source: behind, stored: "_new",
		tables: schema.Must(
			schema.Columns("users", mail("post", to), schema.Column{Name: "ssn", Mode: schema.ModeDeterministic, Stage: schema.StageCopy, Stored: "ssn_new", Was: &wasSSN}),
			schema.Columns("orders", mail("post", to))),
		before: schema.Must(schema.Columns("users", mail("mail", was), wasSSN), schema.Columns("orders", mail("mail", was))),
		left:   schema.Must(schema.Columns("users", cell("email"+behind, "mail"), schema.Column{Name: "ssn" + behind, ID: "users.ssn"}), schema.Columns("orders", cell("email"+behind, "mail"))),
		right:  schema.Must(schema.Columns("users", cell("email_new", "post"), schema.Column{Name: "ssn_new", ID: "users.ssn", Mode: schema.ModeDeterministic}), schema.Columns("orders", cell("email_new", "post"))),
		users:  "email %[1]s UNIQUE, note text DEFAULT 'none', ssn %[1]s, email_new %[1]s UNIQUE, ssn_new %[1]s",
		orders: "email %[1]s, email_new %[1]s",
	}
	if behind != "" {
		f.users = "email text CHECK (email IS NULL), note text DEFAULT 'none', ssn text CHECK (ssn IS NULL), email" + behind + " %[1]s UNIQUE, ssn" + behind + " %[1]s, email_new %[1]s UNIQUE, ssn_new %[1]s"
		f.orders = "email text CHECK (email IS NULL), email" + behind + " %[1]s, email_new %[1]s"
	}
	return f
}

var families = []family{plain, changing("options", ""), changing("options of companions", "_sealed"), withTerms()}

// refuses reports whether a kind of statement is refused in a stage.
func (w *world) refuses(k *kind, s stage) bool {
	if w.terms && k.terms && (w.pg != nil || !strings.Contains(k.sql, "LIKE")) {
		return false
	}
	return w.family.refuses(k, s)
}

func (f *family) refuses(k *kind, s stage) bool {
	switch {
	case f.before == nil:
		return k.refused && s >= schema.StageSealed
	case strings.Contains(k.sql, "ssn = $1 AND") || strings.HasSuffix(k.sql, "WHERE ssn = $1"), strings.Contains(k.sql, "ssn IN ("): // it was random, and is deterministic
		return s <= schema.StageCopy
	case strings.Contains(k.sql, "USING (email)"):
		return f.source != "" || s >= schema.StageSealed
	}
	return k.refused
}

// A stage is schema.StageNone for a program that does not know Colseal, or other options than those that were.
type stage = schema.Stage

// An answer is what a statement did.
type answer struct {
	labels []string
	rows   [][]string
	n      int64
	err    error
}

// program runs statements.
type program struct {
	name  string
	stage stage
	run   func(ctx context.Context, query string, args ...any) answer
	copy  func(ctx context.Context, table string, columns []string, rows [][]any) (int64, error) // nil: cannot
}

// world is a database with the staged tables, and their plaintext twins.
type world struct {
	family
	pg     *pgtest.DB // nil on SQLite
	admin  *sql.DB
	twin   program
	config driver.Config
	open   func(t *testing.T, cfg driver.Config) *sql.DB
	log    *safeLog
}

type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since it was called last.
func (l *safeLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

// ddl makes the tables. blob is the type of cells.
func (f *family) ddl(blob string) string {
	return fmt.Sprintf("CREATE TABLE users (id bigint PRIMARY KEY, "+f.users+"); CREATE TABLE orders (id bigint PRIMARY KEY, "+f.orders+")", blob)
}

const twinDDL = `CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, note text DEFAULT 'none', ssn text);
CREATE TABLE orders (id bigint PRIMARY KEY, email text)`

// trigger is what a companion needs while programs that do not know it write.
func (f *family) trigger() string {
	const text = `CREATE FUNCTION empty_email() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
	IF NEW.email< IS DISTINCT FROM OLD.email< AND NEW.email> IS NOT DISTINCT FROM OLD.email> THEN NEW.email> := NULL; END IF;
	RETURN NEW;
END$$;
CREATE FUNCTION empty_ssn() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
	IF NEW.ssn< IS DISTINCT FROM OLD.ssn< AND NEW.ssn> IS NOT DISTINCT FROM OLD.ssn> THEN NEW.ssn> := NULL; END IF;
	RETURN NEW;
END$$;
CREATE TRIGGER empty_email BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION empty_email();
CREATE TRIGGER empty_ssn BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION empty_ssn();
CREATE TRIGGER empty_email BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION empty_email()`
	return strings.NewReplacer("<", f.source, ">", f.stored).Replace(text)
}

func newKey(t *testing.T) kms.Wrapper {
	t.Helper()
	key, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func postgresWorld(t *testing.T, pg *pgtest.DB, f family) *world {
	t.Helper()
	w := &world{family: f, pg: pg, admin: pg.Admin, log: &safeLog{}}
	must(t, pg.Admin, w.ddl("bytea"))
	if f.terms {
		for _, function := range ddl.Functions(w.right.Lookup("", "users").Columns()) {
			must(t, pg.Admin, function)
		}
	}
	must(t, pg.Admin, "CREATE SCHEMA twin; SET search_path = twin; "+twinDDL+"; SET search_path = public")
	w.config = driver.Config{Schema: w.tables, KMS: newKey(t), AutoCreateKeyTable: true, CatalogMaxAge: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(w.log, nil))}
	w.open = func(t *testing.T, cfg driver.Config) *sql.DB {
		pgCfg, err := pgx.ParseConfig(pg.DSN())
		if err != nil {
			t.Fatal(err)
		}
		return openDB(t, stdlib.GetConnector(*pgCfg), cfg)
	}
	cfg, err := pgx.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["search_path"] = "twin"
	twin := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { _ = twin.Close() })
	w.twin = program{name: "twin", run: runSQL(twin, false)}
	return w
}

type liteConnector struct{ dsn string }

func (c liteConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return (&sqlite.Driver{}).Open(c.dsn)
}
func (c liteConnector) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func sqliteWorld(t *testing.T, f family) *world {
	t.Helper()
	dir := t.TempDir()
	dsn := func(name string) string {
		return "file:" + filepath.Join(dir, name) + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"
	}
	w := &world{family: f, admin: sql.OpenDB(liteConnector{dsn("db")}), log: &safeLog{}}
	twin := sql.OpenDB(liteConnector{dsn("twin")})
	t.Cleanup(func() { _, _ = w.admin.Close(), twin.Close() })
	must(t, w.admin, w.ddl("blob"))
	must(t, twin, twinDDL)
	w.config = driver.Config{Schema: w.tables, KMS: newKey(t), Dialect: driver.DialectSQLite, AutoCreateKeyTable: true, Logger: slog.New(slog.NewTextHandler(w.log, nil))}
	w.open = func(t *testing.T, cfg driver.Config) *sql.DB { return openDB(t, liteConnector{dsn("db")}, cfg) }
	w.twin = program{name: "twin", run: runSQL(twin, false)}
	return w
}

func openDB(t *testing.T, below sqldriver.Connector, cfg driver.Config) *sql.DB {
	t.Helper()
	cn, err := driver.NewConnector(below, cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// checkers open what is led away from, and the companions.
func (w *world) checkers(t *testing.T) (out [2]program) {
	t.Helper()
	for i, s := range []*schema.Schema{w.left, w.right} {
		db := w.admin
		if s != nil {
			cfg := w.config
			cfg.Schema = s
			db = w.open(t, cfg)
		}
		out[i] = program{name: "checker", run: runSQL(db, false)}
	}
	return out
}

// at is the configuration of a program in a stage.
func (w *world) at(s stage) driver.Config {
	cfg := w.config
	if s == schema.StageNone {
		cfg.Schema = w.before
		return cfg
	}
	cfg.Stages = map[string]schema.Stage{"users": s, "orders": s}
	return cfg
}

// A front is a way in which programs use a database.
type front struct {
	name string
	open func(t *testing.T, w *world, s stage) program
}

var fronts = []front{
	{"database/sql", func(t *testing.T, w *world, s stage) program { return w.throughSQL(t, s, false) }},
	{"prepared", func(t *testing.T, w *world, s stage) program { return w.throughSQL(t, s, true) }},
	{"pgxseal", func(t *testing.T, w *world, s stage) program { return w.throughPgx(t, s) }},
}

// knows reports whether programs in a stage know Colseal.
func (f *family) knows(s stage) bool { return s != schema.StageNone || f.before != nil }

func (w *world) throughSQL(t *testing.T, s stage, prepared bool) program {
	t.Helper()
	db := w.admin
	if w.knows(s) {
		db = w.open(t, w.at(s))
	}
	p := program{name: s.String(), stage: s, run: runSQL(db, prepared)}
	if w.pg != nil && w.knows(s) {
		p.copy = func(ctx context.Context, table string, columns []string, rows [][]any) (int64, error) {
			conn, err := db.Conn(ctx)
			if err != nil {
				return 0, err
			}
			defer conn.Close()
			return driver.CopyFrom(ctx, conn, table, columns, rows)
		}
	}
	return p
}

func (w *world) throughPgx(t *testing.T, s stage) program {
	t.Helper()
	if !w.knows(s) {
		return w.throughSQL(t, s, false)
	}
	cfg, err := pgxpool.ParseConfig(w.pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxseal.New(t.Context(), cfg, w.at(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	p := program{name: s.String(), stage: s}
	p.run = func(ctx context.Context, query string, args ...any) (a answer) {
		if !returns(query) {
			tag, err := pool.Exec(ctx, query, args...)
			return answer{n: tag.RowsAffected(), err: err}
		}
		rows, err := pool.Query(ctx, query, args...)
		if err != nil {
			return answer{err: err}
		}
		defer rows.Close()
		for _, f := range rows.FieldDescriptions() {
			a.labels = append(a.labels, f.Name)
		}
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				return answer{err: err}
			}
			a.rows = append(a.rows, show(values))
		}
		a.err = rows.Err()
		return a
	}
	p.copy = func(ctx context.Context, table string, columns []string, rows [][]any) (int64, error) {
		return pool.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
	}
	return p
}

func returns(query string) bool {
	word, _, _ := strings.Cut(query, " ")
	return word == "SELECT" || word == "WITH" || word == "TABLE" || word == "VALUES" || strings.Contains(query, "RETURNING")
}

func show(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		out[i] = fmt.Sprint(v)
	}
	return out
}

// runSQL runs statements of a *sql.DB, each prepared once for its life if prepared says so.
func runSQL(db *sql.DB, prepared bool) func(ctx context.Context, query string, args ...any) answer {
	stmts := map[string]*sql.Stmt{}
	return func(ctx context.Context, query string, args ...any) (a answer) {
		exec, ask := db.ExecContext, db.QueryContext
		if prepared {
			st := stmts[query]
			if st == nil {
				var err error
				if st, err = db.PrepareContext(ctx, query); err != nil {
					return answer{err: err}
				}
				stmts[query] = st
			}
			exec = func(ctx context.Context, _ string, args ...any) (sql.Result, error) {
				return st.ExecContext(ctx, args...)
			}
			ask = func(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
				return st.QueryContext(ctx, args...)
			}
		}
		if !returns(query) {
			res, err := exec(ctx, query, args...)
			if err != nil {
				return answer{err: err}
			}
			a.n, a.err = res.RowsAffected()
			return a
		}
		rows, err := ask(ctx, query, args...)
		if err != nil {
			return answer{err: err}
		}
		defer rows.Close()
		if a.labels, err = rows.Columns(); err != nil {
			return answer{err: err}
		}
		for rows.Next() {
			values, into := make([]any, len(a.labels)), make([]any, len(a.labels))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				return answer{err: err}
			}
			a.rows = append(a.rows, show(values))
		}
		a.err = rows.Err()
		return a
	}
}

// same compares two answers. Rows without an order are compared as a set.
func same(got, want answer, ordered bool) error {
	code := func(err error) string {
		switch {
		case err == nil:
			return "none"
		case errors.Is(err, driver.ErrRefused):
			return "refused"
		}
		if c := dbcatalog.SQLState(err); c != "" {
			return c
		}
		_, text, _ := strings.Cut(err.Error(), "constraint failed: ")
		text, _, _ = strings.Cut(text, ":")
		return "SQLite: " + text
	}
	if g, w := code(got.err), code(want.err); g != w {
		return fmt.Errorf("error %s (%w), want %s (%v)", g, got.err, w, want.err)
	}
	sorted := func(rows [][]string) []string {
		var out []string
		for _, r := range rows {
			out = append(out, strings.Join(r, "|"))
		}
		if !ordered {
			slices.Sort(out)
		}
		return out
	}
	switch {
	case got.n != want.n:
		return fmt.Errorf("%d rows affected, want %d", got.n, want.n)
	case !slices.Equal(got.labels, want.labels):
		return fmt.Errorf("labels %q, want %q", got.labels, want.labels)
	case !slices.Equal(sorted(got.rows), sorted(want.rows)):
		return fmt.Errorf("rows %q, want %q", sorted(got.rows), sorted(want.rows))
	}
	return nil
}
