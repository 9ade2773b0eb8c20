//go:build unix

package inout

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
	"time"

	"modernc.org/sqlite"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// Rows without a rowid are known by their keys, whatever these are.
func TestSQLiteWithoutRowid(t *testing.T) {
	for ddl, key := range map[string]string{
		"CREATE TABLE p (v text, a text COLLATE nocase, b text, PRIMARY KEY (a DESC, b)) WITHOUT ROWID":              "printf('%03d', 500 - g), char(g)",
		"CREATE TABLE p (v text, a, b, PRIMARY KEY (b, a)) WITHOUT ROWID":                                            "CASE g % 4 WHEN 0 THEN g WHEN 1 THEN g + 0.5 WHEN 2 THEN 't' || g ELSE CAST('b' || g AS blob) END, g % 3",
		"CREATE TABLE p (v text, a datetime PRIMARY KEY, b boolean) WITHOUT ROWID":                                   "datetime(g, 'unixepoch'), g % 2",
		"CREATE TABLE p (a integer PRIMARY KEY, v text UNIQUE, b text) WITHOUT ROWID":                                "g - 250, 'x'",
		"CREATE TABLE p (a text, v text, b text, rowid text, oid text, _rowid_ text, PRIMARY KEY (a)) WITHOUT ROWID": "'k' || g, 'x'",
	} {
		admin, inCopy, only := liteOf(t, ddl, schema.Column{Name: "v", Mode: schema.ModeDeterministic})
		mustExec(t, admin, "WITH RECURSIVE g(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM g WHERE g < 450) INSERT INTO p (v, a, b) SELECT NULLIF('v' || g, 'v7'), "+key+" FROM g")
		read := func(v string) []string {
			return all(t, admin, "SELECT concat_ws('|', "+v+", typeof(a), quote(a), typeof(b), quote(b)) FROM p ORDER BY 1")
		}
		want, definition := read("quote(v)"), all(t, admin, "SELECT sql FROM sqlite_master WHERE name = 'p'")
		if r, err := migrate.Seal(t.Context(), inCopy, liteSeal); err != nil || r.Sealed != 449 {
			t.Errorf("%s: sealed %d, %q, %v", ddl, r.Sealed, r.Problems, err)
			continue
		}
		if found := all(t, admin, "SELECT CAST(count(v_sealed) AS text) FROM p WHERE v IS NULL"); found[0] != "449" {
			t.Errorf("%s: %s rows have a cell", ddl, found[0])
		}
		var a string
		if err := only.QueryRowContext(t.Context(), "SELECT quote(a) FROM p WHERE v = 'v300'").Scan(&a); err != nil {
			t.Errorf("%s: a search: %q, %v", ddl, a, err)
		}
		if _, err := migrate.Unseal(t.Context(), only, liteUnseal); err != nil {
			t.Errorf("%s: %v", ddl, err)
		}
		if got := read("quote(v)"); !slices.Equal(got, want) {
			t.Errorf("%s: the rows differ in the end:\n%s", ddl, diff(strings.Join(want, "\n"), strings.Join(got, "\n")))
		}
		if got := all(t, admin, "SELECT sql FROM sqlite_master WHERE name = 'p'"); !slices.Equal(got, definition) {
			t.Errorf("the definition is %q, and was %q", got, definition)
		}
	}
}

// attached opens a file, and attaches others to it.
type attached struct {
	file   string
	others map[string]string // by the names that the connection has for them
}

func (c attached) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func (c attached) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := (&sqlite.Driver{}).Open("file:" + c.file + "?_pragma=busy_timeout(100)")
	if err != nil {
		return nil, err
	}
	for name, file := range c.others {
		if _, err := conn.(sqldriver.ExecerContext).ExecContext(ctx, fmt.Sprintf("ATTACH '%s' AS %q", file, name), nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

// Tables of attached files go in and out as those of the first one do, beside tables of the same name.
func TestSQLiteAttached(t *testing.T) {
	for _, journal := range []string{"delete", "wal"} {
		dir := t.TempDir()
		cn := attached{filepath.Join(dir, "db"), map[string]string{"far away": filepath.Join(dir, "far"), "more": filepath.Join(dir, "more")}}
		w, err := kms.Open(t.Context(), "localkms://"+filepath.Join(dir, "kek"))
		if err != nil {
			t.Fatal(err)
		}
		admin := sql.OpenDB(cn)
		t.Cleanup(func() { _ = admin.Close() })
		admin.SetMaxOpenConns(1)
		for _, file := range []string{"main", "far away", "more"} {
			f := fmt.Sprintf("%q.", file)
			mustExec(t, admin, "PRAGMA "+f+"journal_mode = "+journal)
			mustExec(t, admin, "CREATE TABLE "+f+"people (id INTEGER PRIMARY KEY AUTOINCREMENT, mail text UNIQUE, note text)")
			mustExec(t, admin, "CREATE INDEX "+f+"by_note ON people (note, mail)")
			mustExec(t, admin, "CREATE TRIGGER "+f+"touched AFTER INSERT ON people BEGIN UPDATE people SET note = 'new' WHERE id = NEW.id AND note IS NULL; END")
			mustExec(t, admin, "WITH RECURSIVE g(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM g WHERE g < 300) INSERT INTO "+f+"people (id, mail, note) SELECT g * 2, 'canary' || printf('%06d', g), '"+file+"' FROM g")
			mustExec(t, admin, "DELETE FROM "+f+"people WHERE id > 590")
			mustExec(t, admin, "CREATE TABLE "+f+"letters (id INTEGER PRIMARY KEY, mail text REFERENCES people (mail))")
			mustExec(t, admin, "ANALYZE "+f+"people")
		}
		mustExec(t, admin, `CREATE TABLE more.only_here (id INTEGER PRIMARY KEY, mail text)`)
		mustExec(t, admin, `INSERT INTO more.only_here VALUES (1, 'canary000001')`)
		if err := keyring.OpenStore(admin, keyring.DialectSQLite, "").Create(t.Context()); err != nil {
			t.Fatal(err)
		}
		state := func() string {
			var out []string
			for _, file := range []string{"main", "far away", "more"} {
				f := fmt.Sprintf("%q.", file)
				out = append(out, all(t, admin, "SELECT '"+file+" ' || concat_ws(' ', type, name, tbl_name, sql) FROM "+f+"sqlite_master WHERE tbl_name NOT LIKE 'colseal%' ORDER BY type, name")...)
				for _, q := range []string{"SELECT concat_ws('|', id, mail, note) FROM %speople ORDER BY id", "SELECT concat_ws('|', id, mail) FROM %sletters ORDER BY id", "SELECT concat_ws('|', name, seq) FROM %ssqlite_sequence ORDER BY 1", "SELECT concat_ws('|', tbl, idx, stat) FROM %ssqlite_stat1 ORDER BY 1"} {
					out = append(out, all(t, admin, fmt.Sprintf(q, f))...)
				}
			}
			return strings.Join(out, "\n")
		}
		mail := schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail", Stage: schema.StageCopy}
		tables := schema.Must(schema.Columns(`"far away".people`, mail), schema.Columns(`"far away".letters`, mail), schema.Columns("only_here", mail))
		open := func(stage schema.Stage) *sql.DB {
			sealed, err := driver.NewConnector(cn, driver.Config{Schema: tables, KMS: w, Dialect: driver.DialectSQLite, Stages: map[string]schema.Stage{`"far away".people`: stage, `"far away".letters`: stage, "only_here": stage}})
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(sealed)
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		inCopy, only, before := open(schema.StageCopy), open(schema.StageOnly), state()
		r, err := migrate.Seal(t.Context(), inCopy, liteSeal)
		if err != nil || r.Sealed != 296 {
			t.Fatalf("sealed %d, %q, %v", r.Sealed, r.Problems, err)
		}
		for file, want := range map[string]int{"db": 300, "far": 0, "more": 295} {
			if n := leftIn(t, filepath.Join(dir, file)); n != want {
				t.Errorf("%s: %d values stand in %s, want %d", journal, n, file, want)
			}
		}
		var id int
		if err := only.QueryRowContext(t.Context(), `SELECT id FROM "far away".people WHERE mail = 'canary000007'`).Scan(&id); err != nil || id != 14 {
			t.Errorf("a search: %d, %v", id, err)
		}
		if err := only.QueryRowContext(t.Context(), "SELECT id FROM only_here WHERE mail = 'canary000001'").Scan(&id); err != nil || id != 1 {
			t.Errorf("a search: %d, %v", id, err)
		}
		if _, err := migrate.Unseal(t.Context(), only, liteUnseal); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != before {
			t.Errorf("%s: it differs in the end:\n%s", journal, diff(before, got))
		}
	}
}

// While somebody holds the file, the command waits for a while, ends with what to do, and has changed nothing.
func TestSQLiteHeld(t *testing.T) {
	for _, c := range []struct {
		name, journal, hold string
		after               bool // all is sealed, but old values may be left in the file
	}{
		{"a reader", "delete", "BEGIN; SELECT count(*) FROM p", false},
		{"a writer", "delete", "BEGIN IMMEDIATE", false},
		{"a writer that shuts readers out", "delete", "BEGIN EXCLUSIVE", false},
		{"a writer with a write-ahead log", "wal", "BEGIN IMMEDIATE", false},
		{"a reader with a write-ahead log", "wal", "BEGIN; SELECT count(*) FROM p", false},
		{"a reader that comes later, with a write-ahead log", "wal", "BEGIN; SELECT count(*) FROM p", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			admin, inCopy, only := liteOf(t, "PRAGMA journal_mode = "+c.journal+";\nCREATE TABLE p (id INTEGER PRIMARY KEY, v text);\nINSERT INTO p VALUES (1, 'canary000001')", schema.Column{Name: "v"})
			var file string
			if err := admin.QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list").Scan(&file); err != nil {
				t.Fatal(err)
			}
			other := sql.OpenDB(liteConnector(file))
			defer func() { _ = other.Close() }()
			conn, err := other.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			hold := func() { mustExec(t, conn, c.hold) }
			opts, notices := liteSeal, []string{}
			opts.Notice = func(s string) { notices = append(notices, s) }
			if began := false; c.after {
				opts.Progress = func(migrate.Progress) {
					if !began {
						began = true
						hold()
					}
				}
			} else {
				hold()
			}
			began := time.Now()
			_, err = migrate.Seal(t.Context(), inCopy, opts)
			if hint := colseal.Hint(err); err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(hint, "stop") || !strings.Contains(hint, "run it again") {
				t.Errorf("%v, hint %q", err, hint)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			if c.after != strings.Contains(fmt.Sprint(err), "sealed") {
				t.Errorf("what was done is not told: %v", err)
			}
			if len(notices) == 0 || !strings.Contains(notices[0], "in use") {
				t.Errorf("notices: %q", notices)
			}
			mustExec(t, conn, "ROLLBACK")
			if got := all(t, admin, "SELECT concat_ws(' ', v, typeof(v)) FROM p"); (got[0] == "canary000001 text") == c.after {
				t.Errorf("the row is %q", got)
			}
			if _, err := migrate.Seal(t.Context(), inCopy, liteSeal); err != nil {
				t.Fatal(err)
			}
			if n := leftIn(t, file); n != 0 {
				t.Errorf("%d values are left in the file", n)
			}
			if got, err := lines(only.QueryContext(t.Context(), "SELECT v FROM p"))(1); err != nil || !slices.Equal(got, []string{"canary000001"}) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A view that would break without the plain column is named before anything is changed, by whatever way it names the column.
func TestSQLiteDropViews(t *testing.T) {
	for ddl, breaks := range map[string]bool{
		"CREATE VIEW b AS SELECT v FROM p":                                                       true,
		"CREATE VIEW a AS SELECT * FROM p;\nCREATE VIEW b AS SELECT id, [V] FROM a":              true,
		"CREATE VIEW a AS SELECT * FROM p;\nCREATE VIEW b AS SELECT id FROM a WHERE \"v\" = 'x'": true,
		"CREATE VIEW b AS SELECT * FROM p NATURAL JOIN (SELECT id, 1 AS v FROM p)":               true,
		"CREATE VIEW b(i, v, n) AS SELECT * FROM p":                                              true, // it has no place for the companion, with the plain column
		"CREATE VIEW b AS SELECT * FROM p":                                                       false,
		"CREATE VIEW b AS SELECT id, n FROM p":                                                   false,
		"CREATE VIEW b AS SELECT v FROM gone":                                                    true, // SQLite drops no column then
		"CREATE TABLE other (v text);\nCREATE VIEW b AS SELECT v FROM other":                     false,
		"CREATE VIEW a AS SELECT id AS w FROM p;\nCREATE VIEW b AS SELECT w FROM a WHERE w > 0":  false,
	} {
		admin, inCopy, _ := liteOf(t, "CREATE TABLE p (id INTEGER PRIMARY KEY, v text, n text);\nINSERT INTO p VALUES (1, 'x', 'y');\n"+ddl, schema.Column{Name: "v"})
		definitions := func() string {
			return strings.Join(all(t, admin, "SELECT concat_ws(' ', name, sql) FROM sqlite_master WHERE tbl_name NOT LIKE 'colseal%' ORDER BY name"), "\n")
		}
		before := definitions()
		drop := liteSeal
		drop.Drop = true
		r, err := migrate.Seal(t.Context(), inCopy, drop)
		if !breaks {
			if err != nil {
				t.Errorf("%s: %q, %v", ddl, r.Problems, err)
			}
			continue
		}
		if !errors.Is(err, migrate.ErrProblems) || len(r.Problems) != 1 || !strings.Contains(strings.ReplaceAll(r.Problems[0], `"main"."b"`, "b"), "view b") || !strings.Contains(r.Problems[0], "drop it first") {
			t.Errorf("%s: %q, %v", ddl, r.Problems, err)
		}
		if got := definitions(); got != before || all(t, admin, "SELECT v FROM p")[0] != "x" {
			t.Errorf("%s: something was changed:\n%s", ddl, diff(before, got))
		}
		if r, err := migrate.Seal(t.Context(), inCopy, liteSeal); (err != nil) != strings.Contains(ddl, "b(i, v, n)") {
			t.Errorf("%s: without dropping the column: %q, %v", ddl, r.Problems, err)
		}
	}
}
