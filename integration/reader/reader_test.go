// Package reader holds a reader of Colseal's formats in Python, which was written from codec/SPEC.md and docs/formats.md
// alone, and the tests that let it open what Colseal wrote.
package reader

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/schema"
)

// python returns a Python that has the package cryptography.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import cryptography").Run() == nil {
			return name
		}
	}
	const missing = "no Python with the package cryptography: apt-get install python3-cryptography"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// read runs the reader and returns what it prints.
func read(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(python(t), append([]string{"reader.py"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("reader.py %s: %v\n%s", args[0], err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// TestVectors: the reader opens each vector, or fails at the layer that it names, and makes the same intermediate values and cells.
func TestVectors(t *testing.T) {
	const dir = "../../codec/testdata/vectors"
	files, err := filepath.Glob(dir + "/*.txt")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d vectors in %s (%v)", len(files), dir, err)
	}
	var layers map[string]int
	if err := json.Unmarshal([]byte(read(t, "", "vectors", dir)), &layers); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, layer := range []string{"none", "format", "version", "suite", "column", "key", "tag", "kind"} {
		if layers[layer] == 0 {
			t.Errorf("no vector of layer %s", layer)
		}
		total += layers[layer]
	}
	if total != len(files) {
		t.Errorf("read %d of %d vectors", total, len(files))
	}
	opened := map[string]int{} // vectors, by suite
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for suite := codec.Suite(1); suite.Valid(); suite++ {
			if bytes.Contains(text, []byte("\nsuite: "+suite.String()+"\n")) && bytes.Contains(text, []byte("\nlayer: none\n")) {
				opened[suite.String()]++
			}
		}
	}
	t.Log("opened:", opened)
	if len(opened) != codec.Suites {
		t.Errorf("of %d suites it opened vectors of %v", codec.Suites, opened)
	}
}

// TestAccumulated: the hash that SPEC.md gives is the one that the reader makes.
func TestAccumulated(t *testing.T) {
	spec, err := os.ReadFile("../../codec/SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	if hash := read(t, "", "accumulated"); len(hash) != 64 || !strings.Contains(string(spec), hash) {
		t.Errorf("SPEC.md does not have the hash %s", hash)
	}
}

// question is what the reader is told about a database: its documents, so to speak.
type question struct {
	Keyring string   `json:"keyring"`
	KEKs    []string `json:"keks"`
	Columns []column `json:"columns"`
}

// column is a sealed column. Name is the one that holds the cells.
type column struct {
	Table    string `json:"table"`
	Name     string `json:"name"`
	Identity string `json:"identity"`
	Kind     string `json:"kind"`
	Inbox    bool   `json:"inbox"`
}

// answer is what the reader prints.
type answer struct {
	Rows   map[string][]any `json:"rows"`   // the values of each column, by table and name
	Opened map[string]int   `json:"opened"` // cells, by suite and kind
	Wraps  map[string]int   `json:"wraps"`  // data keys, by how they were wrapped
}

// ask has the reader open a database.
func ask(t *testing.T, file, kek string, s *schema.Schema) answer {
	t.Helper()
	key, err := os.ReadFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	q := question{Keyring: "colseal_keys", KEKs: []string{hex.EncodeToString(key)}}
	for _, table := range s.Tables() {
		for _, c := range table.Columns() {
			q.Columns = append(q.Columns, column{table.Name, c.CellColumn(), c.Identity(), c.Kind.String(), c.Inbox})
		}
	}
	asked, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if err := json.Unmarshal([]byte(read(t, string(asked), "database", file)), &got); err != nil {
		t.Fatal(err)
	}
	t.Logf("opened, by suite and kind: %v; data keys, by how they were wrapped: %v", got.Opened, got.Wraps)
	return got
}

// values are two of each kind, in two scopes, and what the reader prints of them.
var values = map[schema.Kind]struct{ in, want [2]any }{
	schema.KindText:      {[2]any{"alice@example.com", ""}, [2]any{"alice@example.com", ""}},
	schema.KindBytes:     {[2]any{[]byte{0, 255}, []byte("x")}, [2]any{"00ff", "78"}},
	schema.KindInt:       {[2]any{-7, int64(1) << 62}, [2]any{-7.0, float64(1 << 62)}},
	schema.KindFloat:     {[2]any{0.5, -1e300}, [2]any{0.5, -1e300}},
	schema.KindBool:      {[2]any{true, false}, [2]any{true, false}},
	schema.KindTime:      {[2]any{time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC), "infinity"}, [2]any{"2024-02-29 12:34:56.789012", "infinity"}},
	schema.KindJSON:      {[2]any{`{"a":[1,"b c"]}`, `null`}, [2]any{`{"a":[1,"b c"]}`, `null`}},
	schema.KindUUID:      {[2]any{"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", nil}, [2]any{"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", nil}},
	schema.KindNumeric:   {[2]any{"12.5", "-Infinity"}, [2]any{"12.5", "-Infinity"}},
	schema.KindTextArray: {[2]any{[]string{"a", `b "c"`, ""}, "{NULL}"}, [2]any{`{a,"b \"c\"",""}`, "{NULL}"}},
	schema.KindIntArray:  {[2]any{[]int{1, -2}, "{}"}, [2]any{"{1,-2}", "{}"}},
	schema.KindDate:      {[2]any{time.Date(1984, 3, 9, 0, 0, 0, 0, time.FixedZone("", 3600)), "0044-03-15 BC"}, [2]any{"1984-03-09", "-043-03-15"}},
	schema.KindTimestamp: {[2]any{"2024-02-29 24:00", "-infinity"}, [2]any{"2024-03-01 00:00:00", "-infinity"}},
}

// within are the values of an ordered numeric column, which needs bounds.
var within = struct{ in, want [2]any }{[2]any{"12.5", "-0.25"}, [2]any{"12.5", "-0.25"}}

// sealable are columns of every kind in every mode, and with every option that changes their cells, as far as package schema allows the
// combination: a kind that is added there is among them.
func sealable(t *testing.T, terms bool) []schema.Column {
	t.Helper()
	var all []schema.Column
	for kind := schema.KindText; kind.Valid(); kind++ {
		if _, ok := values[kind]; !ok {
			t.Fatalf("no values of kind %s", kind)
		}
		candidates := []schema.Column{{Mode: schema.ModeRandomized}, {Mode: schema.ModeDeterministic},
			{Mode: schema.ModeOrdered}, {Mode: schema.ModeOrdered, Min: "-100", Max: "100", Step: "0.25"}}
		for _, mode := range []schema.Mode{schema.ModeRandomized, schema.ModeDeterministic} {
			for _, options := range []codec.Terms{{Equal: true}, {Elements: true}, {Fold: true, Prefix: codec.Lengths{Min: 2, Max: 4}, Suffix: codec.Lengths{Min: 1, Max: 3}}} {
				if terms {
					candidates = append(candidates, schema.Column{Mode: mode, Terms: options})
				}
			}
		}
		allowed := 0
		for _, c := range candidates {
			c.Kind, c.Name = kind, "c"
			if _, err := schema.New(schema.Columns("people", c)); err != nil {
				continue
			}
			allowed++
			c.Name = fmt.Sprintf("c%d", len(all))
			all = append(all, c)
		}
		if allowed == 0 {
			t.Errorf("no column of kind %s can be sealed", kind)
		}
	}
	return all
}

// people is a table of such columns, in bytes and in text, and of two rows in two scopes.
type people struct {
	columns []schema.Column
	ddl     string
	insert  string
	args    [2][]any
	want    [][]any
}

func newPeople(t *testing.T, terms bool, bytea string, mark func(n int) string) *people {
	t.Helper()
	p := &people{}
	var ddl, names, marks []string
	for _, c := range sealable(t, terms) {
		v := values[c.Kind]
		if c.Mode == schema.ModeOrdered && c.Kind == schema.KindNumeric {
			v = within
		}
		for _, storage := range []string{bytea, "text"} {
			if storage == "text" && c.Suite() >= codec.SuiteOrdered {
				continue // a text sorts by its collation, and terms are taken from bytes
			}
			c.Name = fmt.Sprintf("c%d", len(p.columns))
			p.columns = append(p.columns, c)
			ddl, names, marks = append(ddl, c.Name+" "+storage), append(names, c.Name), append(marks, mark(len(marks)+1))
			for i := range p.args {
				p.args[i] = append(p.args[i], v.in[i])
			}
			p.want = append(p.want, v.want[:])
		}
	}
	p.ddl = strings.Join(ddl, ", ")
	p.insert = "INSERT INTO people (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
	return p
}

// check compares what the reader said of people, and holds that it opened each kind in each suite that the columns have.
func (p *people) check(t *testing.T, got answer) {
	t.Helper()
	for i, c := range p.columns {
		if said := got.Rows["people."+c.Name]; !reflect.DeepEqual(said, p.want[i]) {
			t.Errorf("%s, %s %v: the reader says %v, want %v", c.Name, c.Kind, c.Mode, said, p.want[i])
		}
		if opened := fmt.Sprintf("%d %s", c.Suite(), c.Kind); got.Opened[opened] == 0 {
			t.Errorf("no cell was opened of suite and kind %s", opened)
		}
	}
}

const scope = "tenant:ü"

// TestSQLite: the reader opens a SQLite file with every kind, in columns of bytes and of text, with and without a scope.
func TestSQLite(t *testing.T) {
	dir := t.TempDir()
	file, keks := filepath.Join(dir, "app.db"), []string{filepath.Join(dir, "kek1"), filepath.Join(dir, "kek2")}
	p := newPeople(t, false, "BLOB", func(int) string { return "?" })
	tables := schema.Must(schema.Columns("people", p.columns...))
	cn, err := (&sqliteConnector{dsn: file}).sealed(driver.Config{Schema: tables, KMS: several(t, keks...), Dialect: driver.DialectSQLite, AutoCreateKeyTable: true})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	run(t, t.Context(), db, "CREATE TABLE people (id INTEGER PRIMARY KEY, "+p.ddl+")")
	run(t, t.Context(), db, p.insert, p.args[0]...)
	run(t, keyring.WithScope(t.Context(), scope), db, p.insert, p.args[1]...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	got := ask(t, file, keks[1], tables) // the second KEK alone is enough
	p.check(t, got)
	if got.Wraps["several KEKs"] != 4 {
		t.Errorf("%v keys of several KEKs, want one of each purpose and scope", got.Wraps)
	}
}

// several returns the wrapper of the KEKs in files.
func several(t *testing.T, keks ...string) kms.Wrapper {
	t.Helper()
	var members []kms.Importer
	for _, path := range keks {
		w, err := localkms.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, w)
	}
	if len(members) == 1 {
		return members[0]
	}
	wrapper, err := kms.NewMulti(kms.MultiConfig{}, members...)
	if err != nil {
		t.Fatal(err)
	}
	return wrapper
}

func run(t *testing.T, ctx context.Context, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(ctx, query, args...); err != nil {
		t.Fatalf("%.60s: %v", query, err)
	}
}

// sqliteConnector opens a SQLite file.
type sqliteConnector struct{ dsn string }

func (c *sqliteConnector) Driver() sqldriver.Driver { return &sqlite.Driver{} }

func (c *sqliteConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return (&sqlite.Driver{}).Open(c.dsn)
}

func (c *sqliteConnector) sealed(cfg driver.Config) (sqldriver.Connector, error) {
	return driver.NewConnector(c, cfg)
}
