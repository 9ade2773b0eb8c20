package shapes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// ddl makes the tables. secret is the type of the sealed columns for text and number
// the one for numbers.
const ddl = `
CREATE TABLE users (id bigint PRIMARY KEY, email %[1]s UNIQUE, ssn %[1]s, note text, org bigint);
CREATE TABLE archive (id bigint PRIMARY KEY, email %[1]s, ssn %[1]s, memo text);
CREATE TABLE leads (id bigint PRIMARY KEY, email %[1]s, phone %[2]s);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total numeric, memo text);
CREATE TABLE contacts (id bigint PRIMARY KEY, email text);
CREATE VIEW user_view AS SELECT id, email, note FROM users;
CREATE TABLE parts (id bigint, email %[1]s, ssn %[1]s, note text, part int DEFAULT 1) PARTITION BY LIST (part);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) PARTITION BY LIST (part);
CREATE TABLE parts_22 PARTITION OF parts_2 FOR VALUES IN (2);
CREATE TABLE kin (extra text) INHERITS (archive);
CREATE TABLE holders (id bigint, note text, p parts, ps parts[]);
` + views

// views are made by somebody else: the schema does not know of them.
const views = `
CREATE VIEW mails AS SELECT id, email AS mail, ssn AS secret, note AS remark, org FROM users WHERE org IS NULL OR org < 90 WITH CASCADED CHECK OPTION;
CREATE VIEW mails_of AS SELECT m.mail AS email, m.remark, m.id, m.secret FROM mails m WHERE m.remark <> 'note b' WITH LOCAL CHECK OPTION;
CREATE VIEW pairs AS SELECT u.id, u.email, a.ssn, a.memo FROM users u JOIN archive a ON a.email = u.email;
CREATE VIEW both_mails AS SELECT id, email FROM users UNION ALL SELECT id, email FROM archive;
CREATE VIEW firsts(id, e, n) AS SELECT min(id), email, count(*) FROM archive GROUP BY email;
CREATE VIEW orders_of AS SELECT o.id, o.user_id, o.memo FROM orders o WHERE o.user_id IN (SELECT u.id FROM users u WHERE u.email IS NOT NULL);
CREATE VIEW shouts AS SELECT id, upper(note) AS note, email FROM users;
CREATE VIEW lowered AS SELECT id, lower(email::text) AS email FROM users;
CREATE VIEW one_mail AS SELECT id, email FROM users WHERE email = 'no cell';
`

// plainDDL makes a table that is as plain on the sealed side as on the twin's, and the same one.
const plainDDL = `
CREATE SCHEMA other;
CREATE TABLE other.users (id bigint, email text, note text);
INSERT INTO other.users VALUES (1,'plain-a','n');
` + rowsDDL

// rowsDDL makes what has the row types of sealed tables in it, or runs texts, on the sealed side alone: it is all refused.
const rowsDDL = `
CREATE DOMAIN part_row AS parts;
CREATE TYPE part_pair AS (n int, p parts);
CREATE TABLE pair_holders (id bigint, pp part_pair);
CREATE FUNCTION takes_row(p parts) RETURNS bigint LANGUAGE sql RETURN 1;
CREATE FUNCTION takes_domain(p part_row) RETURNS bigint LANGUAGE sql RETURN 1;
CREATE FUNCTION gives_rows(v text) RETURNS SETOF parts LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'TABLE ' || 'pa' || 'rts'; END $$;
CREATE FUNCTION declares_array(v text) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE ps _parts; BEGIN RETURN 1; END $$;
CREATE FUNCTION declares_domain(v text) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE p part_row; BEGIN p.email := v; RETURN 1; END $$;
CREATE FUNCTION runs_text(v text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN EXECUTE $q$UPDATE parts$q$ || ' SET ssn = ' || quote_literal(v); RETURN 1; END $$;
CREATE SCHEMA cron;
CREATE FUNCTION cron.schedule(text, text, text) RETURNS bigint LANGUAGE sql RETURN 1;
CREATE FUNCTION cron.alter_job(job_id bigint, command text) RETURNS bigint LANGUAGE sql RETURN 1;
`

var sealedTables = schema.Must(
	schema.Columns("public.users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"}),
	schema.Columns("archive",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"}),
	schema.Columns("leads",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic},
		schema.Column{Name: "phone", Mode: schema.ModeDeterministic, Kind: schema.KindInt}),
	schema.Columns("parts",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"}),
	schema.View("user_view", "public.users"),
)

// storages are the ways to store cells.
var storages = map[string]string{"bytea": "bytea", "text": "text"}

// rows are in every table when a statement starts. They are written by the driver.
var rows = []string{
	`INSERT INTO users(id, email, ssn, note, org) VALUES
		(1,'zqcanary-a','zqcanary-s1','note a',10), (2,'zqcanary-b','zqcanary-s2','note b',10),
		(3,NULL,NULL,NULL,20), (4,'','zqcanary-s1','',NULL), (5,'zqcanary-e',NULL,'note a',20)`,
	`INSERT INTO archive(id, email, ssn, memo) VALUES
		(1,'zqcanary-a','zqcanary-s1','m1'), (2,'zqcanary-a','zqcanary-s9','m2'), (7,'zqcanary-x',NULL,NULL), (8,NULL,'zqcanary-s2','m1')`,
	`INSERT INTO leads(id, email, phone) VALUES
		(1,'zqcanary-a',104046000000001), (2,'zqcanary-b',104046000000002), (3,NULL,NULL), (4,'zqcanary-a',104046000000001)`,
	`INSERT INTO parts(id, email, ssn, note, part) VALUES (1,'zqcanary-a','zqcanary-s1','note a',1), (2,'zqcanary-b',NULL,'note b',2), (3,'zqcanary-a',NULL,NULL,2)`,
	`INSERT INTO kin(id, email, ssn, memo, extra) VALUES (21,'zqcanary-b','zqcanary-s4','m1','k'), (22,NULL,NULL,NULL,NULL)`,
	`INSERT INTO orders VALUES (1,1,9.50,'o1'), (2,1,3,'o2'), (3,2,7,NULL), (4,9,1,'o1')`,
	`INSERT INTO contacts VALUES (1,'plain-a'), (2,'plain-b')`,
	`INSERT INTO holders(id, note) VALUES (1,'note a'), (2,NULL), (3,'m1')`,
}

// readBack reads all tables in full, on either side.
const readBack = `
	SELECT 'users' AS t, id, email, ssn, note, org, NULL::bigint AS n, NULL::bigint AS phone FROM users
	UNION ALL SELECT 'archive', id, email, ssn, memo, NULL, NULL, NULL FROM archive
	UNION ALL SELECT 'leads', id, email, NULL, NULL, NULL, NULL, phone FROM leads
	UNION ALL SELECT 'kin', id, email, ssn, extra, NULL, NULL, NULL FROM kin
	UNION ALL SELECT 'parts', id, email, ssn, note, part, NULL, NULL FROM parts
	UNION ALL SELECT 'orders', id, NULL, NULL, concat(memo, total), user_id, NULL, NULL FROM orders
	UNION ALL SELECT 'holders', id, NULL, NULL, note, NULL, NULL, NULL FROM holders
	UNION ALL SELECT 'contacts', id, NULL, NULL, email, NULL, NULL, NULL FROM contacts
	UNION ALL SELECT 'other.users', id, NULL, NULL, concat(email, note), NULL, NULL, NULL FROM other.users`

// front is what a program uses.
type front string

const (
	databaseSQL front = "driver"  // database/sql, and package driver
	nativePgx   front = "pgxseal" // pgx itself, and package pgxseal
)

var fronts = []front{databaseSQL, nativePgx}

// side is one of the two databases of a comparison, over one connection.
type side struct {
	front    front
	db       *sql.DB // of databaseSQL
	readBack *sql.Stmt
	native   native // of nativePgx
	tap      *tap
	text     *strings.Replacer // what the tests write to what this side is sent
}

// connect opens a side's connection. c is nil for the twin's.
func (s *side) connect(t *testing.T, dsn, database string, c *driver.Config, settings map[string]string) {
	t.Helper()
	if s.front == nativePgx {
		s.native, s.tap = openNative(t, dsn, database, c, settings)
		return
	}
	s.db, s.tap = open(t, dsn, database, c, settings)
}

// exec executes statements of the test's own.
func (s *side) exec(t *testing.T, q string) {
	t.Helper()
	if s.front == nativePgx {
		if _, err := s.native.Exec(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		return
	}
	exec(t, s.db, q)
}

// pair is a database with sealed tables and its plaintext twin.
type pair struct {
	*canaries
	sealed, twin side
	sides        []side // one of which takes the place of sealed for each statement
}

// newPair makes both. The twin is another connection, to which temporary tables hide the sealed ones: they are in no
// file and in no write-ahead log. Nor is the connection logged. So the wiretap can look into everything the server has.
func newPair(t *testing.T, db *pgtest.DB, f front, storage string) *pair {
	t.Helper()
	exec(t, db.Admin, fmt.Sprintf(ddl, storage, storage)+plainDDL)
	return newPairOf(t, db, f, db.Name, newCanaries())
}

// newShard is newPair in one of several databases, of which the first is the test's.
func newShard(t *testing.T, db *pgtest.DB, f front, shard int, storage string, c *canaries) *pair {
	t.Helper()
	name := db.Name
	if shard > 0 {
		name = fmt.Sprintf("%s_%d", db.Name, shard)
		createDatabase(t, db, name)
	}
	admin, _ := open(t, db.DSN(), name, nil, nil)
	exec(t, admin, fmt.Sprintf(ddl, storage, storage)+plainDDL)
	return newPairOf(t, db, f, name, c)
}

func createDatabase(t *testing.T, db *pgtest.DB, name string) {
	t.Helper()
	exec(t, db.Admin, "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() { exec(t, db.Admin, "DROP DATABASE "+name+" WITH (FORCE)") })
}

// What a connection is to have the server's log say of it.
var (
	logged   = map[string]string{"log_statement": "all", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "-1"}
	unlogged = map[string]string{"log_statement": "none", "log_min_messages": "panic", "log_min_error_statement": "panic"}
)

// newPairOf makes a pair of a database that has the tables.
func newPairOf(t *testing.T, db *pgtest.DB, f front, name string, c *canaries) *pair {
	t.Helper()
	w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{canaries: c, sealed: newSealed(t, db, f, name, c, w), twin: newTwin(t, db, f, name, c)}
	p.fill(t)
	return p
}

// newSealed opens the sealed side.
func newSealed(t *testing.T, db *pgtest.DB, f front, name string, c *canaries, w kms.Wrapper) side {
	t.Helper()
	s := side{front: f, text: c.text}
	s.connect(t, db.DSN(), name, &driver.Config{Schema: sealedTables, KMS: w, AutoCreateKeyTable: true}, logged)
	s.prepare(t)
	return s
}

// newTwin makes the twin of the tables of a database.
func newTwin(t *testing.T, db *pgtest.DB, f front, name string, c *canaries) side {
	t.Helper()
	s := side{front: f, text: strings.NewReplacer(mark, c.mark, digits, fmt.Sprint(c.phone)[:len(digits)], "public.", "pg_temp.")}
	s.connect(t, db.DSN(), name, nil, unlogged)
	s.exec(t, strings.ReplaceAll(fmt.Sprintf(ddl, "text", "bigint"), "CREATE TABLE", "CREATE TEMPORARY TABLE"))
	s.prepare(t)
	return s
}

func (s *side) prepare(t *testing.T) {
	t.Helper()
	if s.front == nativePgx {
		return // by pgx, at the first use
	}
	var err error
	if s.readBack, err = s.db.Prepare(readBack); err != nil {
		t.Fatal(err)
	}
}

// fill writes the rows of both sides.
func (p *pair) fill(t *testing.T) {
	t.Helper()
	for _, q := range rows {
		p.sealed.exec(t, p.text.Replace(q))
		p.twin.exec(t, p.text.Replace(q))
	}
	if p.leaks(p.sealed.tap.take()) {
		t.Fatal("the rows of the set-up leak")
	}
	if !p.leaks(p.twin.tap.take()) {
		t.Fatal("the tap is deaf")
	}
}

func open(t *testing.T, dsn, database string, c *driver.Config, settings map[string]string) (*sql.DB, *tap) {
	t.Helper()
	cfg, heard := connConfig(t, dsn, database, settings)
	connector := stdlib.GetConnector(*cfg)
	if c != nil {
		var err error
		if connector, err = driver.NewConnector(connector, *c); err != nil {
			t.Fatal(err)
		}
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1) // temporary tables are of one connection
	t.Cleanup(func() { _ = db.Close() })
	return db, heard
}

// connConfig is the configuration of a connection, and what hears all that it sends.
func connConfig(t *testing.T, dsn, database string, settings map[string]string) (*pgx.ConnConfig, *tap) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Database = database
	maps.Copy(cfg.RuntimeParams, settings)
	cfg.TLSConfig, cfg.Fallbacks = nil, nil
	cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec // each statement is new, and its text is sent each time
	heard := &tap{}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return tappedConn{nc, heard}, nil
	}
	return cfg, heard
}

func exec(t *testing.T, db *sql.DB, q string) {
	t.Helper()
	if _, err := db.Exec(q); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// outcome is what one statement did.
type outcome struct {
	rows   []string
	tables []string
	code   string // the SQLSTATE; "REFUSED"; "ERROR" for anything else; "" when it worked
	err    error
	sent   []byte // by the statement itself
}

// How a statement is run.
type how uint8

const (
	queried  how = iota // by Query, in a transaction that is rolled back when all tables have been read
	executed            // the same by Exec, which several statements in one text need
	readOnly            // by Query, without a transaction
)

// run runs a statement. args have the run's canaries.
func (s side) run(query string, args []any, by how) (o outcome) {
	query = s.text.Replace(query)
	if s.front == nativePgx {
		return s.runNative(query, args, by)
	}
	if by == readOnly {
		s.tap.take()
		o.rows, o.err = read(s.db, query, args...)
		o.sent, o.code = s.tap.take(), code(o.err)
		return o
	}
	tx, err := s.db.BeginTx(context.Background(), nil)
	if err != nil {
		return outcome{code: "BEGIN", err: err}
	}
	defer func() { _ = tx.Rollback() }()
	s.tap.take()
	if by == executed {
		_, o.err = tx.Exec(query, args...)
	} else {
		o.rows, o.err = read(tx, query, args...)
	}
	o.sent, o.code = s.tap.take(), code(o.err)
	if !strings.Contains(strings.ToUpper(query), "ORDER BY") {
		slices.Sort(o.rows)
	}
	if o.err != nil {
		return o
	}
	if o.tables, err = read(prepared{tx.Stmt(s.readBack)}, ""); err != nil {
		o.err, o.code = fmt.Errorf("reading back: %w", err), "READBACK"
	}
	slices.Sort(o.tables)
	return o
}

func code(err error) string {
	var pgErr *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, driver.ErrRefused):
		return "REFUSED"
	case errors.As(err, &pgErr):
		return pgErr.Code
	}
	return "ERROR"
}

// querier is what a query is made on.
type querier interface {
	Query(query string, args ...any) (*sql.Rows, error)
}

// prepared is a querier of one query.
type prepared struct{ st *sql.Stmt }

func (p prepared) Query(_ string, args ...any) (*sql.Rows, error) { return p.st.Query(args...) }

// read returns the rows as text, a NULL as such.
func read(tx querier, query string, args ...any) ([]string, error) {
	rs, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rs.Close() }()
	names, err := rs.Columns()
	if err != nil {
		return nil, err
	}
	var out []string
	for rs.Next() {
		vals, ptrs := make([]any, len(names)), make([]any, len(names))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rs.Scan(ptrs...); err != nil {
			return nil, err
		}
		var b strings.Builder
		for i, v := range vals {
			if raw, ok := v.([]byte); ok {
				v = "bytes:" + string(raw)
			}
			fmt.Fprintf(&b, "%s=%v|", names[i], v)
		}
		out = append(out, b.String())
	}
	return out, rs.Err()
}

// differ says how the outcome of the sealed side differs from the twin's; "" when it
// does not.
func differ(sealed, twin outcome) string {
	switch {
	case sealed.code != twin.code:
		return fmt.Sprintf("error %q (%v), on the twin %q (%v)", sealed.code, sealed.err, twin.code, twin.err)
	case !slices.Equal(sealed.rows, twin.rows):
		return fmt.Sprintf("rows\n  %q\non the twin\n  %q", sealed.rows, twin.rows)
	case !slices.Equal(sealed.tables, twin.tables):
		return fmt.Sprintf("tables\n  %q\non the twin\n  %q", sealed.tables, twin.tables)
	}
	return ""
}
