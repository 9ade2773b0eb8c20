//go:build unix

package inout

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// liteOf makes a file with one sealed table, and opens it: as it is, and as programs in copy and in only.
func liteOf(t *testing.T, ddl string, columns ...schema.Column) (admin, inCopy, only *sql.DB) {
	t.Helper()
	dir := t.TempDir()
	file := liteConnector(filepath.Join(dir, "db"))
	w, err := kms.Open(t.Context(), "localkms://"+filepath.Join(dir, "kek"))
	if err != nil {
		t.Fatal(err)
	}
	admin = sql.OpenDB(file)
	admin.SetMaxOpenConns(1)
	for statement := range strings.SplitSeq(ddl, ";\n") {
		mustExec(t, admin, statement)
	}
	if err := keyring.OpenStore(admin, keyring.DialectSQLite, "").Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range columns {
		columns[i].Stage = schema.StageCopy
	}
	open := func(stage schema.Stage) *sql.DB {
		cn, err := driver.NewConnector(file, driver.Config{Schema: schema.Must(schema.Columns("p", columns...)), KMS: w, Dialect: driver.DialectSQLite, Stages: map[string]schema.Stage{"p": stage}})
		if err != nil {
			t.Fatal(err)
		}
		return sql.OpenDB(cn)
	}
	inCopy, only = open(schema.StageCopy), open(schema.StageOnly)
	t.Cleanup(func() { _, _, _ = admin.Close(), inCopy.Close(), only.Close() })
	return admin, inCopy, only
}

// A value that the plain column would have as another one stays where it is.
func TestSQLiteAltered(t *testing.T) {
	for _, c := range []struct {
		typ   string
		kind  schema.Kind
		value string
		back  string // "": it does not come back
	}{
		{"STRING", schema.KindText, "'007'", ""}, {"STRING", schema.KindText, "'1e400'", ""}, {"STRING", schema.KindText, "'x7'", "text x7"}, {"text", schema.KindText, "'007'", "text 007"},
		{"decimal", schema.KindNumeric, "'12345678901234567890.1234'", ""}, {"decimal", schema.KindNumeric, "'0.10'", "real 0.1"},
		{"json", schema.KindJSON, "'12345678901234567890'", ""}, {"json", schema.KindJSON, "'[1.0]'", "text [1.0]"},
		{"real", schema.KindInt, "9007199254740993", ""}, {"real", schema.KindInt, "9007199254740992", "real 9007199254740992.0"},
		{"real", schema.KindFloat, "'NaN'", ""}, {"int", schema.KindFloat, "2.0", "integer 2"},
	} {
		admin, inCopy, only := liteOf(t, "CREATE TABLE p (id INTEGER PRIMARY KEY, v "+c.typ+")", schema.Column{Name: "v", Kind: c.kind})
		if _, err := migrate.Seal(t.Context(), inCopy, liteSeal); err != nil {
			t.Fatal(err)
		}
		mustExec(t, only, "INSERT INTO p (id, v) VALUES (1, "+c.value+")")
		r, err := migrate.Unseal(t.Context(), only, liteUnseal)
		if c.back != "" {
			if got := all(t, admin, "SELECT concat_ws(' ', typeof(v), v) FROM p"); err != nil || !slices.Equal(got, []string{c.back}) {
				t.Errorf("%s in %s: %q, %v, want %q", c.value, c.typ, got, err, c.back)
			}
			continue
		}
		if left := all(t, admin, "SELECT typeof(v_sealed) FROM p"); !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 1 || r.Opened != 0 || !slices.Equal(left, []string{"blob"}) {
			t.Errorf("%s in %s: %+v, %v, %q", c.value, c.typ, r, err, left)
		}
	}
}

// An index that was made over two companions is one over both columns.
func TestSQLiteIndexOfTwo(t *testing.T) {
	admin, inCopy, only := liteOf(t, "CREATE TABLE p (id INTEGER PRIMARY KEY, m text, n text);\nINSERT INTO p VALUES (1, 'a', '1'), (2, 'a', '2')",
		schema.Column{Name: "m", Mode: schema.ModeDeterministic}, schema.Column{Name: "n", Mode: schema.ModeDeterministic})
	if _, err := migrate.Seal(t.Context(), inCopy, liteSeal); err != nil {
		t.Fatal(err)
	}
	mustExec(t, admin, `CREATE UNIQUE INDEX two ON p (m_sealed, "n_sealed")`)
	if _, err := migrate.Unseal(t.Context(), only, liteUnseal); err != nil {
		t.Fatal(err)
	}
	if got := all(t, admin, "SELECT group_concat(name) FROM pragma_index_info('two')"); got[0] != "m,n" {
		t.Errorf("the index is of %s", got)
	}
}

// A virtual table that is made of a column holds its values, too.
func TestSQLiteVirtual(t *testing.T) {
	admin, inCopy, _ := liteOf(t, "CREATE TABLE p (id INTEGER PRIMARY KEY, m text);\nINSERT INTO p VALUES (1, 'canary');\nCREATE VIRTUAL TABLE f USING fts5(m, content='p', content_rowid='id');\nINSERT INTO f(f) VALUES ('rebuild')",
		schema.Column{Name: "m"})
	r, err := migrate.Seal(t.Context(), inCopy, liteSeal)
	if !errors.Is(err, migrate.ErrProblems) || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "virtual table f") {
		t.Errorf("%q, %v", r.Problems, err)
	}
	mustExec(t, admin, "DROP TABLE f")
	if _, err := migrate.Seal(t.Context(), inCopy, liteSeal); err != nil {
		t.Error(err)
	}
}

// A UNIQUE that cells cannot have is found, however the column is written; what is only called like the column stays as it is.
func TestSQLiteUnique(t *testing.T) {
	for _, c := range []struct{ ddl, want string }{
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text);\nCREATE UNIQUE INDEX i ON p (v) WHERE V > 'b'", "cannot be had"},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text);\nCREATE UNIQUE INDEX i ON p (v) WHERE `v` <> ''", "cannot be had"},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text);\nCREATE UNIQUE INDEX i ON p (v COLLATE nocase)", "cannot be had"},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text COLLATE nocase);\nCREATE UNIQUE INDEX i ON p (v)", "collation"},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text COLLATE nocase, UNIQUE (v))", "collation"},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text, UNIQUE (v COLLATE nocase))", "collation"},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text);\nCREATE UNIQUE INDEX i ON p ('v')", `ON p ("v_sealed")`},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text, z);\nCREATE UNIQUE INDEX i ON p (v, Z) WHERE z = 'v' AND (V) IS NOT NULL AND v NOTNULL",
			`ON p ("v_sealed", Z) WHERE z = 'v' AND ("v_sealed") IS NOT NULL AND "v_sealed" NOTNULL`},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, v text, UNIQUE ('v'))", `UNIQUE ("v_sealed")`},
		{"CREATE TABLE p (ID INTEGER PRIMARY KEY, V text);\nCREATE UNIQUE INDEX i ON P (V)", `ON P ("v_sealed")`},
	} {
		admin, inCopy, only := liteOf(t, c.ddl, schema.Column{Name: "v", Mode: schema.ModeDeterministic})
		definitions := func() string {
			return strings.Join(all(t, admin, "SELECT sql FROM sqlite_master WHERE tbl_name = 'p' AND sql IS NOT NULL"), ";\n")
		}
		r, err := migrate.Seal(t.Context(), inCopy, liteSeal)
		if strings.HasPrefix(c.want, "c") {
			if !errors.Is(err, migrate.ErrProblems) || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], c.want) {
				t.Errorf("%s: %q, %v", c.ddl, r.Problems, err)
			}
			continue
		}
		if err != nil || !strings.Contains(definitions(), c.want) {
			t.Errorf("%s: %q, %v: %s", c.ddl, r.Problems, err, definitions())
			continue
		}
		if _, err := migrate.Unseal(t.Context(), only, liteUnseal); err != nil || definitions() != c.ddl {
			t.Errorf("%s: %v: %s", c.ddl, err, definitions())
		}
	}
}
