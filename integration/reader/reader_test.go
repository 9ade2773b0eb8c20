// Package reader holds a reader of Colseal's formats in Python, which was written from codec/SPEC.md and docs/formats.md
// alone, and the tests that let it open what Colseal wrote.
package reader

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
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

// column is a sealed column, as the reader is told about it.
type column struct {
	Table    string `json:"table"`
	Name     string `json:"name"`
	Identity string `json:"identity"`
	Kind     string `json:"kind"`
}

// TestDatabase: the reader opens a database of every kind in the suites that have it, in columns of bytes and of text, with and without a scope, that
// Colseal wrote, with the KEK's file and what docs/formats.md says.
func TestDatabase(t *testing.T) {
	values := map[schema.Kind]struct {
		in   [2]any // in two scopes
		want [2]any // as the reader prints them
	}{
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
	var sealed []schema.Column
	var ddl, names, marks []string
	var args [2][]any
	var want [][]any
	for kind := schema.KindText; kind.Valid(); kind++ {
		v, ok := values[kind]
		if !ok {
			t.Fatalf("no values of kind %s", kind)
		}
		for _, mode := range []schema.Mode{schema.ModeRandomized, schema.ModeDeterministic, schema.ModeOrdered} {
			if kind == schema.KindJSON && mode == schema.ModeDeterministic {
				continue
			}
			storages := []string{"BLOB", "TEXT"}
			if mode == schema.ModeOrdered {
				if _, ok := codec.Orderable(kind); !ok || kind == schema.KindNumeric { // -Infinity is outside of any bounds
					continue
				}
				storages = storages[:1] // a text sorts by its collation
			}
			for _, storage := range storages {
				name := regexp.MustCompile(`\W`).ReplaceAllString(kind.String(), "_") + "_" + mode.String() + "_" + strings.ToLower(storage)
				sealed = append(sealed, schema.Column{Name: name, Kind: kind, Mode: mode})
				ddl, names, marks = append(ddl, name+" "+storage), append(names, name), append(marks, "?")
				for i := range args {
					args[i] = append(args[i], v.in[i])
				}
				want = append(want, v.want[:])
			}
		}
	}
	dir := t.TempDir()
	file, keks := filepath.Join(dir, "app.db"), []string{filepath.Join(dir, "kek1"), filepath.Join(dir, "kek2")}
	tables := schema.Must(schema.Columns("people", sealed...))
	write(t, file, keks, tables, func(db *sql.DB) {
		exec := func(ctx context.Context, query string, args ...any) {
			t.Helper()
			if _, err := db.ExecContext(ctx, query, args...); err != nil {
				t.Fatal(err)
			}
		}
		exec(t.Context(), "CREATE TABLE people (id INTEGER PRIMARY KEY, "+strings.Join(ddl, ", ")+")")
		insert := "INSERT INTO people (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
		exec(t.Context(), insert, args[0]...)
		exec(keyring.WithScope(t.Context(), "tenant:ü"), insert, args[1]...)
	})

	// The second KEK alone is enough.
	kek, err := os.ReadFile(keks[1])
	if err != nil {
		t.Fatal(err)
	}
	question := struct {
		Keyring string   `json:"keyring"`
		KEKs    []string `json:"keks"`
		Columns []column `json:"columns"`
	}{Keyring: "colseal_keys", KEKs: []string{hex.EncodeToString(kek)}}
	for _, c := range tables.Tables()[0].Columns() {
		question.Columns = append(question.Columns, column{"people", c.Name, c.Identity(), c.Kind.String()})
	}
	asked, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	var got [][]any
	if err := json.Unmarshal([]byte(read(t, string(asked), "database", file)), &got); err != nil {
		t.Fatal(err)
	}
	for i, c := range sealed {
		if i >= len(got) || !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%s: the reader says %v, want %v", c.Name, got[min(i, len(got)-1)], want[i])
		}
	}
}

// write has Colseal write a database, whose data keys are wrapped under the KEKs of two files.
func write(t *testing.T, file string, keks []string, s *schema.Schema, f func(*sql.DB)) {
	t.Helper()
	var members []kms.Importer
	for _, path := range keks {
		w, err := localkms.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, w)
	}
	wrapper, err := kms.NewMulti(kms.MultiConfig{}, members...)
	if err != nil {
		t.Fatal(err)
	}
	const name = "sqlite-read-by-python"
	driver.Register(name, driver.Config{Driver: &sqlite.Driver{}, Schema: s, KMS: wrapper, Dialect: driver.DialectSQLite, AutoCreateKeyTable: true})
	db, err := sql.Open(name, file)
	if err != nil {
		t.Fatal(err)
	}
	f(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
