package shapes

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/pgtest"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The canaries: every value that goes into a sealed text column has mark in it, every
// sealed number is at least bigPhone.
const (
	mark           = "zqcanary"
	bigPhone int64 = 104046000000000
)

// ddl makes the tables. secret is the type of the sealed columns for text and number
// the one for numbers.
const ddl = `
CREATE TABLE users (id bigint PRIMARY KEY, email %[1]s UNIQUE, ssn %[1]s, note text, org bigint);
CREATE TABLE archive (id bigint PRIMARY KEY, email %[1]s, ssn %[1]s, memo text);
CREATE TABLE leads (id bigint PRIMARY KEY, email %[1]s, phone %[2]s);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, total numeric, memo text);
CREATE TABLE contacts (id bigint PRIMARY KEY, email text);
CREATE VIEW user_view AS SELECT id, email, note FROM users;
CREATE SCHEMA other;
CREATE TABLE other.users (id bigint, email text, note text);
`

var sealedTables = schema.Must(
	schema.Columns("public.users",
		schema.Column{Name: "email", Mode: schema.Deterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"}),
	schema.Columns("archive",
		schema.Column{Name: "email", Mode: schema.Deterministic, JoinGroup: "mail"},
		schema.Column{Name: "ssn"}),
	schema.Columns("leads",
		schema.Column{Name: "email", Mode: schema.Deterministic},
		schema.Column{Name: "phone", Mode: schema.Deterministic, Kind: schema.Int}),
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
	`INSERT INTO orders VALUES (1,1,9.50,'o1'), (2,1,3,'o2'), (3,2,7,NULL), (4,9,1,'o1')`,
	`INSERT INTO contacts VALUES (1,'plain-a'), (2,'plain-b')`,
	`INSERT INTO other.users VALUES (1,'plain-a','n')`,
}

// readBack reads all tables in full, on either side.
var readBack = []string{
	"SELECT id, email, ssn, note, org FROM users ORDER BY id",
	"SELECT id, email, ssn, memo FROM archive ORDER BY id",
	"SELECT id, email, phone FROM leads ORDER BY id",
	"SELECT id, user_id, total, memo FROM orders ORDER BY id",
	"SELECT id, email FROM contacts ORDER BY id",
	"SELECT id, email, note FROM other.users ORDER BY id",
}

// tap keeps the bytes that were sent to a server.
type tap struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (p *tap) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := bytes.Clone(p.buf.Bytes())
	p.buf.Reset()
	return b
}

type tappedConn struct {
	net.Conn
	tap *tap
}

func (c tappedConn) Write(b []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.buf.Write(b)
	c.tap.mu.Unlock()
	return c.Conn.Write(b)
}

// forms are the encodings that give a canary away.
var forms = func() [][]byte {
	var all [][]byte
	for _, b := range [][]byte{[]byte(mark), binary.BigEndian.AppendUint64(nil, uint64(bigPhone))[:6], []byte("1040460000000")} {
		all = append(all, b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b))))
		for shift := range 3 {
			s := base64.StdEncoding.EncodeToString(append(make([]byte, shift), b...))
			all = append(all, []byte(s[2+shift:len(s)-4]))
		}
	}
	return slices.DeleteFunc(all, func(b []byte) bool { return len(b) < 5 })
}()

func leaks(sent []byte) bool {
	return slices.ContainsFunc(forms, func(f []byte) bool { return bytes.Contains(sent, f) })
}

// side is one of the two databases of a comparison.
type side struct {
	db  *sql.DB
	tap *tap
}

// pair is a database with sealed tables and its plaintext twin.
type pair struct {
	sealed, twin side
}

// newPair makes both in one database; the twin is the schema "twin" and its connections
// are not logged.
func newPair(t *testing.T, db *pgtest.DB, storage string) *pair {
	t.Helper()
	p := &pair{}
	exec(t, db.Admin, fmt.Sprintf(ddl, storage, storage))
	exec(t, db.Admin, "CREATE DATABASE "+db.Name+"_twin TEMPLATE template0")
	t.Cleanup(func() { exec(t, db.Admin, "DROP DATABASE "+db.Name+"_twin WITH (FORCE)") })

	p.twin.db, p.twin.tap = open(t, db.DSN(), db.Name+"_twin", nil)
	exec(t, p.twin.db, fmt.Sprintf(ddl, "text", "bigint"))
	w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	p.sealed.db, p.sealed.tap = open(t, db.DSN(), "", &driver.Config{Schema: sealedTables, KMS: w, AutoCreateKeyTable: true})
	for _, q := range rows {
		exec(t, p.sealed.db, q)
		exec(t, p.twin.db, q)
	}
	if leaks(p.sealed.tap.take()) {
		t.Fatal("the rows of the set-up leak")
	}
	if !leaks(p.twin.tap.take()) {
		t.Fatal("the tap is deaf")
	}
	return p
}

func open(t *testing.T, dsn, database string, c *driver.Config) (*sql.DB, *tap) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if database != "" { // the twin: what it is sent must not be in the log
		cfg.Database = database
		cfg.RuntimeParams["log_min_messages"] = "panic"
		cfg.RuntimeParams["log_min_error_statement"] = "panic"
		cfg.RuntimeParams["log_statement"] = "none"
	}
	cfg.TLSConfig, cfg.Fallbacks = nil, nil
	heard := &tap{}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return tappedConn{nc, heard}, nil
	}
	connector := stdlib.GetConnector(*cfg)
	if c != nil {
		if connector, err = driver.NewConnector(connector, *c); err != nil {
			t.Fatal(err)
		}
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db, heard
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

// run runs a statement in a transaction of its own, which is rolled back, and reads all
// tables before that. direct: by Exec, which several statements in one text need.
func (s side) run(t *testing.T, query string, args []any, direct bool) (o outcome) {
	t.Helper()
	tx, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	s.tap.take()
	if direct {
		_, o.err = tx.Exec(query, args...)
	} else {
		o.rows, o.err = read(tx, query, args...)
	}
	o.sent = s.tap.take()
	o.code = code(o.err)
	if !strings.Contains(strings.ToUpper(query), "ORDER BY") {
		slices.Sort(o.rows)
	}
	if o.err != nil {
		return o
	}
	for _, q := range readBack {
		table, err := read(tx, q)
		if err != nil {
			o.err, o.code = fmt.Errorf("reading back: %w", err), "READBACK"
			return o
		}
		o.tables = append(o.tables, table...)
	}
	return o
}

// read runs a query outside of a transaction and reads nothing else.
func (s side) read(t *testing.T, query string, args []any, _ bool) (o outcome) {
	t.Helper()
	s.tap.take()
	o.rows, o.err = read(s.db, query, args...)
	o.sent, o.code = s.tap.take(), code(o.err)
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

// read returns the rows as text, a NULL as such.
func read(tx interface {
	Query(string, ...any) (*sql.Rows, error)
}, query string, args ...any) ([]string, error) {
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
