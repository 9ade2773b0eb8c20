package views

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// canary begins every value that is given for a sealed column.
const canary = "canary-"

const layout = `CREATE TABLE users (id bigint PRIMARY KEY, email %[1]s, ssn %[1]s, note text, org bigint);
CREATE TABLE logs (id bigint, email text);
CREATE SCHEMA other;
CREATE TABLE other.users (id bigint, email text)`

var sealedTables = schema.Must(
	schema.Columns("users", schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}),
	schema.Plain("other.users"),
	schema.Functions("it counts rows", "public.listed"),
)

// world is a sealed database and its twin.
type world struct {
	admins       [2]*sql.DB // without Colseal
	dsn          string
	kms          kms.Wrapper
	sealed, twin *sql.DB
	tap          *tap
}

// newWorld makes both beside a database, with some rows.
func newWorld(t *testing.T, db *pgtest.DB, maxAge time.Duration) *world {
	t.Helper()
	db, other := pgtest.Twin(t, db), pgtest.Twin(t, db)
	w := &world{admins: [2]*sql.DB{db.Admin, other.Admin}, dsn: db.DSN()}
	for i, typ := range []string{"bytea", "text"} {
		if _, err := w.admins[i].Exec(fmt.Sprintf(layout, typ)); err != nil {
			t.Fatal(err)
		}
	}
	wrapper, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	w.kms = wrapper
	w.open(t, maxAge)
	if w.twin, err = sql.Open("pgx", other.DSN()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.twin.Close() })
	w.both(t, "INSERT INTO users(id, email, ssn, note, org) VALUES (1,'canary-1','canary-s','n',1), (2,'canary-2',NULL,'m',2), (3,NULL,'canary-s','n',NULL)")
	w.both(t, "INSERT INTO other.users VALUES (1, 'plain')")
	return w
}

// open opens the sealed database as a new process does.
func (w *world) open(t *testing.T, maxAge time.Duration) {
	t.Helper()
	cfg, err := pgx.ParseConfig(w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	w.tap = &tap{}
	cfg.Tracer = w.tap
	cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: sealedTables, KMS: w.kms, AutoCreateKeyTable: true, CatalogMaxAge: maxAge})
	if err != nil {
		t.Fatal(err)
	}
	w.sealed = sql.OpenDB(cn)
	t.Cleanup(func() { _ = w.sealed.Close() })
}

// both runs a statement by Colseal and on the twin.
func (w *world) both(t *testing.T, query string, args ...any) {
	t.Helper()
	for _, db := range []*sql.DB{w.sealed, w.twin} {
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

// admin runs a statement on both databases as somebody else.
func (w *world) admin(t *testing.T, query string) {
	t.Helper()
	for _, db := range w.admins {
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

// tap sees what is sent to the sealed database.
type tap struct {
	mu    sync.Mutex // guards leaks
	leaks []string
}

// TraceQueryStart implements pgx.QueryTracer.
func (p *tap) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
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

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func read(ctx context.Context, q querier, query string, args ...any) (string, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for rows.Next() {
		values, dest := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return "", err
		}
		fmt.Fprintln(&out, values...)
	}
	return out.String(), rows.Err()
}

type step struct {
	query   string
	args    []any
	refused string // what the refusal says; "" if it works
}

func works(query string, args ...any) step { return step{query: query, args: args} }

func refused(why, query string, args ...any) step {
	return step{query: query, args: args, refused: why}
}

// play runs a step on both databases.
func (w *world) play(t *testing.T, sealed, twin querier, s step) {
	t.Helper()
	got, err := read(t.Context(), sealed, s.query, s.args...)
	if leaks := w.tap.take(); leaks != nil {
		t.Errorf("%s: sent in plaintext: %q", s.query, leaks)
	}
	if s.refused != "" {
		if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), s.refused) {
			t.Errorf("%s: %v, want a refusal that says %q", s.query, err, s.refused)
		}
		return
	}
	want, twinErr := read(t.Context(), twin, s.query, s.args...)
	if err != nil || twinErr != nil || got != want {
		t.Errorf("%s:\n%s%v\nthe twin:\n%s%v", s.query, got, err, want, twinErr)
	}
}

const (
	all     = "SELECT id, email, ssn, note FROM users ORDER BY id"
	calls   = "whose body or types name a sealed table"
	through = "cannot be read through"
	parent  = "it is the parent of a sealed table"
)

// Somebody else makes something, and the program uses it in its first statement.
var examples = []struct {
	name, made string
	steps      []step
}{
	{"a view", "CREATE VIEW v AS SELECT id, email AS mail FROM users", []step{
		works("SELECT mail FROM v WHERE mail = $1", "canary-1"), works("INSERT INTO v VALUES ($1, $2)", 9, "canary-9"),
		works("UPDATE v SET mail = 'canary-8' WHERE mail = 'canary-9' RETURNING mail"), works(all), works("DELETE FROM v WHERE mail = 'canary-8'"), works(all)}},
	{"a view in another schema, of a view", "CREATE VIEW v AS SELECT id, email AS mail FROM users; CREATE SCHEMA app; CREATE VIEW app.users AS SELECT mail AS email, id FROM v", []step{
		works("SELECT email FROM app.users WHERE email = $1", "canary-1"), works("INSERT INTO app.users VALUES ($1, 9)", "canary-9"), works(all)}},
	{"a view of the plain table of the same name", "CREATE VIEW v AS SELECT id, email AS mail FROM other.users", []step{
		works("SELECT mail FROM v WHERE mail = $1", "plain"), works("INSERT INTO v VALUES (2, 'p')")}},
	{"two views of a name", "CREATE VIEW v AS SELECT id, email FROM users; CREATE VIEW other.v AS SELECT id, email FROM other.users", []step{
		works("INSERT INTO v VALUES (9, 'canary-9')"), works("INSERT INTO other.v VALUES (9, 'p')"), works("SELECT * FROM other.v WHERE email = $1", "p"), works(all)}},
	{"a recursive view", "CREATE RECURSIVE VIEW v(id, e) AS SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT v.id + 1, u.email FROM v JOIN users u ON u.id = v.id + 1", []step{
		works("SELECT id, e FROM v WHERE e = $1 OR e = 'canary-2' ORDER BY id", "canary-1")}},
	{"a view with a WITH query that has the table's name", "CREATE VIEW v AS WITH users AS (SELECT id, email FROM users WHERE id < 3) SELECT email, id FROM users", []step{
		works("SELECT * FROM v WHERE email = $1", "canary-1")}},
	{"views that cannot be read through", `CREATE VIEW v AS SELECT id, upper(encode(email::bytea, 'escape')) AS mail FROM users;
		CREATE VIEW w AS SELECT id FROM users WHERE email::text > 'canary'; CREATE VIEW x AS SELECT v.id FROM v`, []step{
		refused(through, "SELECT id FROM v"), refused(through, "SELECT id FROM w"), refused(through, "SELECT id FROM x"), refused(through, "DELETE FROM w WHERE id = 1")}},
	{"a view with an INSTEAD OF trigger", `CREATE VIEW v AS SELECT id, email FROM users; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO logs VALUES (NEW.id, NEW.email); RETURN NEW; END';
		CREATE TRIGGER t INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f()`, []step{
		works("SELECT email FROM v WHERE email = $1", "canary-1"), refused("what a write to it does is not known", "INSERT INTO v VALUES (9, 'canary-9')")}},
	{"a view with a rule", "CREATE VIEW v AS SELECT id, email FROM users; CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO logs(id) VALUES (NEW.id); CREATE RULE u AS ON UPDATE TO v DO INSTEAD NOTHING; CREATE RULE d AS ON DELETE TO v DO INSTEAD NOTHING", []step{
		refused("what a write to it does is not known", "INSERT INTO v VALUES (9, 'canary-9')"), works("SELECT id FROM v WHERE email = 'canary-1'")}},
	{"a table with a rule that names the sealed one", "CREATE RULE r AS ON INSERT TO logs DO ALSO INSERT INTO users(id, note) VALUES (NEW.id, 'x')", []step{
		works("SELECT * FROM logs"), refused("a rule of this table", "INSERT INTO logs VALUES (9, 'canary-9')")}},
	{"a default beneath a view", "CREATE VIEW v AS SELECT id, note FROM users; ALTER TABLE users ALTER email SET DEFAULT 'x'", []step{
		refused("default", "INSERT INTO v VALUES (9, 'n')"), works("UPDATE v SET note = 'q' WHERE id = 1"), works(all)}},
	{"a default of a view's own", "CREATE VIEW v AS SELECT id, email FROM users; ALTER VIEW v ALTER email SET DEFAULT 'x'", []step{
		refused("default", "INSERT INTO v(id) VALUES (9)"), works("INSERT INTO v VALUES (9, 'canary-9')"), works(all)}},
	{"a materialized view", "CREATE MATERIALIZED VIEW v AS SELECT id, email AS mail, ssn FROM users", []step{
		works("REFRESH MATERIALIZED VIEW v"), works("SELECT mail, ssn FROM v WHERE mail = $1", "canary-1"), works("CREATE UNIQUE INDEX ON v (id)"),
		refused("refused before sending", "CREATE INDEX ON v (id) WHERE mail = 'canary-1'"), refused("refused before sending", "CREATE INDEX ON v (lower(mail::text))")}},
	{"a child", "CREATE TABLE kid (extra text) INHERITS (users); CREATE TABLE grandkid () INHERITS (kid)", []step{
		works("INSERT INTO grandkid(id, email, extra) VALUES (9, 'canary-9', 'e')"), works("SELECT email, extra FROM kid WHERE email = $1", "canary-9"), works(all)}},
	{"a view of a child", "CREATE TABLE kid (extra text) INHERITS (users); CREATE VIEW v AS SELECT email AS e, id FROM kid", []step{
		works("INSERT INTO v VALUES ($1, 9)", "canary-9"), works("SELECT * FROM v WHERE e = 'canary-9'"), works(all)}},
	{"parents that are not registered", `CREATE TABLE base AS SELECT id, email FROM users WHERE false; ALTER TABLE users INHERIT base; CREATE TABLE top AS SELECT email FROM base WHERE false; ALTER TABLE base INHERIT top;
		CREATE VIEW v AS SELECT id, email FROM base; CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM top'`, []step{
		refused(parent, "SELECT id, email FROM base"), refused(parent, "SELECT id FROM base WHERE email = $1", "canary-1"), refused(parent, "UPDATE base SET email = 'canary-9' WHERE id = 1"),
		refused(parent, "UPDATE top SET email = 'canary-9'"), refused(parent, "DELETE FROM top WHERE email = 'canary-1'"), refused(through, "SELECT id FROM v WHERE email = 'canary-1'"),
		refused(through, "UPDATE v SET email = 'canary-9'"), refused(calls, "SELECT f()"), works("UPDATE users SET email = 'canary-9' WHERE id = 1 RETURNING email"), works(all)}},
	{"a partitioned table that is not registered", "CREATE TABLE whole (LIKE users) PARTITION BY RANGE (id); ALTER TABLE whole ATTACH PARTITION users DEFAULT; CREATE TABLE part PARTITION OF whole FOR VALUES FROM (100) TO (200)", []step{
		refused(parent, "INSERT INTO whole(id, email) VALUES (9, 'canary-9')"), refused(parent, "SELECT email FROM whole"), refused(parent, "SELECT id FROM whole WHERE email = $1", "canary-1"),
		works("INSERT INTO users(id, email) VALUES (9, 'canary-9') RETURNING email"), works("INSERT INTO part(id, email) VALUES (100, 'p') RETURNING id"), works(all)}},
	{"a parent without the sealed columns", `CREATE TABLE plain AS SELECT id, note FROM users WHERE false; ALTER TABLE users INHERIT plain; CREATE VIEW v AS SELECT id, note FROM plain; CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM plain'`, []step{
		works("SELECT id, note FROM plain WHERE note = $1 ORDER BY id", "n"), works("UPDATE plain SET note = 'x' WHERE id = 1"), works("INSERT INTO v VALUES (9, 'q')"), works("SELECT count(*), f() FROM v"), works(all)}},
	{"a child and its own child", "CREATE TABLE kid (extra text) INHERITS (users); CREATE TABLE grandkid () INHERITS (kid); CREATE TABLE aunt () INHERITS (users)", []step{
		works("UPDATE kid SET email = 'canary-8' WHERE email = 'canary-1' RETURNING id"), works("INSERT INTO kid(id, email) VALUES (9, 'canary-9') RETURNING email"), works("SELECT email FROM aunt"), works(all)}},
	{"a foreign table that stands for it", "CREATE FOREIGN DATA WRAPPER fdw; CREATE SERVER here FOREIGN DATA WRAPPER fdw; CREATE FOREIGN TABLE far (id bigint, email text) SERVER here OPTIONS (table_name 'users')", []step{
		refused("foreign table", "SELECT * FROM far WHERE email = 'canary-1'"), refused("foreign table", "INSERT INTO far VALUES (9, 'canary-9')")}},
	{"functions", `CREATE FUNCTION f(e text) RETURNS bigint LANGUAGE sql AS 'SELECT id FROM users WHERE email::text = e';
		CREATE FUNCTION g(e text) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN public.f(e); END';
		CREATE FUNCTION other.h(e text) RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN RETURN QUERY EXECUTE ''SELECT id FROM '' || ''users''; END';
		CREATE FUNCTION fine(e text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN /* not of users */ RAISE NOTICE 'users'; RETURN e; END $$;
		CREATE FUNCTION listed() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users'`, []step{
		refused(calls, "SELECT f($1)", "canary-1"), refused(calls, "SELECT g('canary-1')"), refused(calls, "SELECT * FROM other.h('canary-1')"),
		refused(calls, "SELECT 1 WHERE EXISTS (SELECT 1 FROM logs WHERE id = public.f($1))", "canary-1"), refused(calls, "INSERT INTO logs VALUES (g('canary-1'))"),
		refused(calls, "DO $$ BEGIN PERFORM g('canary-1'); END $$"), refused(calls, "SELECT id FROM users WHERE note = f('canary-1')::text"),
		refused(calls, "CREATE VIEW v AS SELECT f('canary-1')"), works("SELECT fine('x'), listed(), lower('X')"), works("SELECT count(*) FROM users")}},
	{"a function whose body the server keeps parsed", `CREATE FUNCTION f(e text) RETURNS bigint BEGIN ATOMIC SELECT id FROM users WHERE note = e; END;
		CREATE FUNCTION g(e text) RETURNS bigint BEGIN ATOMIC SELECT f(e); END; CREATE VIEW v AS SELECT g('x') AS n; CREATE FUNCTION h() RETURNS bigint LANGUAGE sql AS 'SELECT n FROM v'`, []step{
		refused(calls, "SELECT f('canary-1')"), refused(calls, "SELECT g('canary-1')"), refused(through, "SELECT n FROM v WHERE n = 5"), refused(calls, "SELECT h()")}},
	{"a procedure", `CREATE PROCEDURE p(e text) LANGUAGE plpgsql AS 'BEGIN INSERT INTO users(id, note) VALUES (77, e); END'`, []step{
		refused(calls, "CALL p('canary-1')"), refused(calls, "CALL public.p($1)", "canary-1")}},
	{"an aggregate", `CREATE FUNCTION f(s bigint, e text) RETURNS bigint LANGUAGE sql AS 'SELECT s + count(*) FROM users WHERE note = e'; CREATE AGGREGATE agg(text) (SFUNC = f, STYPE = bigint, INITCOND = 0)`, []step{
		refused(calls, "SELECT agg(email) FROM logs"), refused(calls, "SELECT agg('canary-1')")}},
	{"a function of a row", `CREATE FUNCTION fof(l logs) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users WHERE note = l.email'`, []step{
		refused(calls, "SELECT fof(l) FROM logs l"), refused(calls, "SELECT l.fof FROM logs l")}},
	{"a function of the server's name", `CREATE FUNCTION other.find(text) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users'; CREATE FUNCTION public.find(text) RETURNS bigint LANGUAGE sql AS 'SELECT 1'`, []step{
		refused(calls, "SELECT find('x')"), works("SELECT public.find('x')")}},
}

func TestExamples(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for _, x := range examples {
			t.Run(x.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, db, 0)
				w.admin(t, x.made)
				w.open(t, 0)
				for _, s := range x.steps {
					w.play(t, w.sealed, w.twin, s)
				}
			})
		}
	})
}

// conns returns a connection to each database.
func (w *world) conns(t *testing.T) (sealed, twin *sql.Conn) {
	t.Helper()
	sealed, err := w.sealed.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sealed.Close() })
	if twin, err = w.twin.Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = twin.Close() })
	return sealed, twin
}

// What the program itself makes is known to its next statement: to that of the same connection before it is committed, and to that of
// every other one afterwards, whatever they see of the catalog themselves.
func TestOwnDDL(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		w := newWorld(t, db, 0)
		a, at := w.conns(t)
		b, bt := w.conns(t)
		c, ct := w.conns(t)
		for _, s := range []step{works("BEGIN ISOLATION LEVEL REPEATABLE READ"), works("SELECT id, email FROM users ORDER BY id")} {
			w.play(t, c, ct, s)
		}
		for _, s := range []step{
			works("BEGIN"), works("CREATE TABLE kid (extra text) INHERITS (users)"), works("INSERT INTO kid(id, email) VALUES (9, 'canary-9')"),
			works("SELECT email FROM kid WHERE email = $1", "canary-9"), works("SAVEPOINT s"), works("CREATE TABLE other_kid () INHERITS (users)"),
			works("INSERT INTO other_kid(id, email) VALUES (10, 'canary-10')"), works("ROLLBACK TO s"),
			works("CREATE TABLE other_kid (id bigint, email text)"), works("INSERT INTO other_kid(id, email) VALUES (10, 'plain')"), works("SELECT email FROM other_kid"),
		} {
			w.play(t, a, at, s)
		}
		w.play(t, b, bt, works("SELECT email FROM users WHERE email = $1", "canary-1"))
		w.play(t, a, at, works("COMMIT"))
		w.play(t, c, ct, works("SELECT count(*) FROM users"))                                              // it looks first, in an old snapshot
		w.play(t, b, bt, works("INSERT INTO kid(id, email) VALUES (11, 'canary-11') RETURNING id, email")) // and this one needs to know
		w.play(t, c, ct, works("INSERT INTO kid(id, email) VALUES (12, 'canary-12') RETURNING id, email"))
		w.play(t, c, ct, works("COMMIT"))
		w.play(t, b, bt, works("SELECT id, email FROM kid ORDER BY id"))
		w.play(t, a, at, works("DROP TABLE kid"))
		w.play(t, b, bt, works("CREATE TABLE kid (id bigint, email text)"))
		w.play(t, a, at, works("INSERT INTO kid VALUES (1, 'plain') RETURNING email"))
	})
}

// A transaction that failed can be ended by text though the catalog is to be read before the next statement.
func TestFailedTransaction(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		w := newWorld(t, db, 0)
		a, at := w.conns(t)
		for _, s := range []step{works("BEGIN"), works("CREATE TABLE kid () INHERITS (users)")} {
			w.play(t, a, at, s)
		}
		if _, err := a.ExecContext(t.Context(), "SELECT 1/0"); err == nil {
			t.Fatal("no error")
		}
		if _, err := at.ExecContext(t.Context(), "SELECT 1/0"); err == nil {
			t.Fatal("no error")
		}
		if _, err := a.ExecContext(t.Context(), "SELECT email FROM kid WHERE email = 'canary-1'"); dbcatalog.SQLState(err) != "25P02" {
			t.Errorf("a statement in a failed transaction: %v, want the server's 25P02", err)
		}
		if leaks := w.tap.take(); leaks != nil {
			t.Errorf("sent in plaintext: %q", leaks)
		}
		w.play(t, a, at, works("ROLLBACK"))
		w.play(t, a, at, works("SELECT email FROM users WHERE email = $1", "canary-1"))
	})
}

// What somebody else makes is noticed after CatalogMaxAge, and what they change is.
func TestCatalogMaxAge(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		w := newWorld(t, db, time.Millisecond)
		w.play(t, w.sealed, w.twin, works(all))
		w.admin(t, "CREATE VIEW v AS SELECT id, email AS mail, note AS remark FROM users")
		w.eventually(t, "SELECT mail FROM v WHERE id = 1", "canary-1")
		w.play(t, w.sealed, w.twin, works("SELECT mail FROM v WHERE mail = $1", "canary-1"))
		w.admin(t, "DROP VIEW v; CREATE VIEW v AS SELECT id, note AS mail, email AS remark FROM users")
		w.eventually(t, "SELECT remark FROM v WHERE id = 1", "canary-1")
		w.play(t, w.sealed, w.twin, works("SELECT remark FROM v WHERE remark = $1 AND mail = 'n'", "canary-1"))
		w.admin(t, "DROP VIEW v; CREATE FUNCTION f(e text) RETURNS bigint LANGUAGE sql AS 'SELECT id FROM users WHERE email::text = e'")
		w.refusedEventually(t, "SELECT f('plain')")
		w.play(t, w.sealed, w.twin, refused(calls, "SELECT f('canary-1')"))
	})
}

// eventually waits until a query has a value in it. Until then it returns a cell.
func (w *world) eventually(t *testing.T, query, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		var err error
		if got, err = read(t.Context(), w.sealed, query); err == nil && strings.Contains(got, want) {
			return
		}
	}
	t.Fatalf("%s: still %q", query, got)
}

func (w *world) refusedEventually(t *testing.T, query string) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if _, err = read(t.Context(), w.sealed, query); errors.Is(err, driver.ErrRefused) {
			return
		}
	}
	t.Fatalf("%s: still %v", query, err)
}

func TestCopyFrom(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		w := newWorld(t, db, 0)
		w.admin(t, "CREATE TABLE kid () INHERITS (users); CREATE VIEW v AS SELECT id, email FROM users")
		w.open(t, 0)
		copyTo := func(table string) (int64, error) {
			conn, err := w.sealed.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			return driver.CopyFrom(t.Context(), conn, table, []string{"id", "email"}, [][]any{{int64(50), "canary-50"}})
		}
		if n, err := copyTo("kid"); n != 1 || err != nil {
			t.Errorf("CopyFrom(kid) = %d, %v", n, err)
		}
		var stored []byte
		if err := w.admins[0].QueryRow("SELECT email FROM kid").Scan(&stored); err != nil || strings.Contains(string(stored), canary) {
			t.Errorf("stored: %q, %v", stored, err)
		}
		for _, table := range []string{"v", "missing", "other.missing", "nowhere.users"} {
			if n, err := copyTo(table); n != 0 || !errors.Is(err, driver.ErrRefused) {
				t.Errorf("CopyFrom(%s) = %d, %v, want a refusal", table, n, err)
			}
		}
	})
}
