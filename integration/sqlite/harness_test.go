package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/litetap"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// Every text that a test gives to a sealed column contains mark, and every such number starts with digits.
// Plain columns never hold either.
const (
	mark   = "zqcanary"
	digits = "104046"
)

// A pair is a database with sealed tables and its twin, whose tables have the same columns and hold plaintext.
type pair struct {
	sealed, twin *sql.Conn
	tap          *litetap.Tap
	readBack     []string // queries for all that the tables hold
	file         string   // of the sealed database
	plain        bool     // canaries may be sent: a plain table hides a sealed one
}

// newPair runs the DDL on both sides. In it SECRET stands for the type of a sealed text column and NUMBER for that of
// a sealed number. Each side keeps one connection, which has the temporary tables and is never reset.
func newPair(t *testing.T, ddl string, tables *schema.Schema, readBack ...string) *pair {
	t.Helper()
	w, err := localkms.Open(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{tap: new(litetap.Tap), readBack: readBack, file: filepath.Join(t.TempDir(), "sealed.db")}
	file := "file:" + p.file + "?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(10000)"
	keys := litetap.Connector{DSN: file}
	exec(t, open(t, keys), strings.NewReplacer("SECRET", "BLOB", "NUMBER", "BLOB").Replace(ddl))
	cn, err := driver.NewConnector(litetap.Connector{DSN: file, Tap: p.tap}, driver.Config{
		Schema: tables, KMS: w, Dialect: driver.DialectSQLite, AutoCreateKeyTable: true, KeyConnector: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.sealed, p.twin = open(t, cn), open(t, litetap.Connector{DSN: "file:" + filepath.Join(t.TempDir(), "twin.db") + "?_pragma=synchronous(off)"})
	exec(t, p.twin, strings.NewReplacer("SECRET", "TEXT", "NUMBER", "INTEGER").Replace(ddl))
	return p
}

func open(t *testing.T, cn sqldriver.Connector) *sql.Conn {
	t.Helper()
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func exec(t *testing.T, conn *sql.Conn, query string, args ...any) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// An outcome is what a statement did on one side.
type outcome struct {
	labels, rows, tables []string
	err                  error
}

// verdict is what became of a statement on the sealed side.
type verdict string

const (
	works   verdict = "works"
	fails   verdict = "fails" // on the twin, too
	refused verdict = "refused"
)

// A reporter takes what is wrong.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// run runs a statement on both sides and reports every difference. A refusal is not one.
func (p *pair) run(t reporter, query string, args ...any) verdict {
	t.Helper()
	return p.compare(t, query, func(conn *sql.Conn) (labels, rows []string, err error) { return read(conn, query, args...) })
}

// compare does the same on both sides and reports every difference.
func (p *pair) compare(t reporter, what string, do func(*sql.Conn) (labels, rows []string, err error)) verdict {
	t.Helper()
	p.tap.Take()
	got := p.side(p.sealed, do)
	sent := p.tap.Take()
	if !p.plain && (strings.Contains(sent, mark) || strings.Contains(sent, digits)) {
		t.Errorf("%s: plaintext was sent: %s", what, sent)
	}
	if errors.Is(got.err, driver.ErrRefused) {
		if strings.Contains(sent, what) {
			t.Errorf("%s: sent and refused", what)
		}
		if strings.Contains(got.err.Error(), mark) {
			t.Errorf("%s: the refusal holds a value: %v", what, got.err)
		}
		return refused
	}
	want := p.side(p.twin, do)
	switch {
	case (got.err == nil) != (want.err == nil):
		t.Errorf("%s: error %v, on the twin %v", what, got.err, want.err)
	case !slices.Equal(got.labels, want.labels):
		t.Errorf("%s: labels %q, on the twin %q", what, got.labels, want.labels)
	case !slices.Equal(got.rows, want.rows):
		t.Errorf("%s: rows\n\t%q\non the twin\n\t%q", what, got.rows, want.rows)
	case !slices.Equal(got.tables, want.tables):
		t.Errorf("%s: afterwards the tables hold\n\t%q\non the twin\n\t%q", what, got.tables, want.tables)
	}
	if got.err != nil {
		return fails
	}
	return works
}

// expect is run, and fails unless the statement has the verdict.
func (p *pair) expect(t *testing.T, want verdict, query string, args ...any) {
	t.Helper()
	if got := p.run(t, query, args...); got != want {
		t.Errorf("%s: %s, want %s", query, got, want)
	}
}

func (p *pair) side(db *sql.Conn, do func(*sql.Conn) (labels, rows []string, err error)) (o outcome) {
	if o.labels, o.rows, o.err = do(db); errors.Is(o.err, driver.ErrRefused) {
		return o
	}
	for _, q := range p.readBack {
		labels, rows, err := read(db, q)
		if err != nil {
			o.err = errors.Join(o.err, fmt.Errorf("reading back: %w", err))
		}
		o.tables = append(o.tables, fmt.Sprint(labels, rows))
	}
	return o
}

func read(db *sql.Conn, query string, args ...any) (labels, rows []string, err error) {
	rs, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		return nil, nil, err
	}
	return readRows(rs, strings.Contains(strings.ToUpper(query), "ORDER BY"))
}

// readRows reads rows as text and closes them.
func readRows(rs *sql.Rows, ordered bool) (labels, rows []string, err error) {
	defer func() { _ = rs.Close() }()
	if labels, err = rs.Columns(); err != nil {
		return nil, nil, err
	}
	for rs.Next() {
		vals, ptrs := make([]any, len(labels)), make([]any, len(labels))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rs.Scan(ptrs...); err != nil {
			return nil, nil, err
		}
		for i, v := range vals {
			if b, ok := v.([]byte); ok {
				vals[i] = string(b)
			}
		}
		rows = append(rows, fmt.Sprintf("%v", vals))
	}
	if !ordered {
		slices.Sort(rows)
	}
	return labels, rows, rs.Err()
}
