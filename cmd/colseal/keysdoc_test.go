package main

import (
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/testdiff"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/schema"
)

var update = flag.Bool("update", false, "rewrite the outputs in docs/cli-keys*.md")

// keysPages are followed one after the other.
var keysPages = []string{"../../docs/cli-keys.md", "../../docs/cli-keys-json.md"}

// customers is the part of the sample application that the page shows. Write-only programs may seal its ssn.
var customers = schema.Must(schema.Columns("customers",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic, JoinGroup: "email"}, schema.Column{Name: "ssn", Inbox: true}, schema.Column{Name: "born", Kind: schema.KindTime}))

// keysWorld is a SQLite file, a KMS, and the environment that names them.
type keysWorld struct {
	file   string
	schema string // a file
	plain  *sql.DB
	kms    *kmstest.Server
}

func newKeysWorld(t *testing.T) *keysWorld {
	t.Helper()
	dir := t.TempDir()
	w := &keysWorld{file: filepath.Join(dir, "app.db"), schema: filepath.Join(dir, "schema.json"), kms: kmstest.Start(t)}
	w.kms.CreateKey(kmstest.Alias("alias/app"))
	text, err := customers.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.schema, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if w.plain, err = sql.Open("sqlite", w.file+"?_pragma=busy_timeout(5000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.plain.Close() })
	t.Setenv(dsnEnv, w.file)
	t.Setenv(kmsEnv, w.url("alias/app"))
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	return w
}

func (w *keysWorld) url(key string) string {
	return "awskms:///" + key + "?region=" + kmstest.DefaultRegion + "&endpoint=" + w.kms.URL()
}

// fill stores customers as a program would.
func (w *keysWorld) fill(t *testing.T, n int) {
	t.Helper()
	if _, err := w.plain.Exec("CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY, email BLOB UNIQUE, ssn BLOB, born BLOB)"); err != nil {
		t.Fatal(err)
	}
	wrapper, err := kms.Open(t.Context(), w.url("alias/app"))
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(liteConnector(w.file), driver.Config{Schema: customers, KMS: wrapper, Dialect: driver.DialectSQLite})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	defer db.Close()
	for i := range n {
		ctx := t.Context()
		if i%4 == 3 {
			ctx = keyring.WithScope(ctx, "tenant:42")
		}
		if _, err := db.ExecContext(ctx, "INSERT INTO customers (email, ssn, born) VALUES (?, ?, ?)", fmt.Sprint("u", i, "@example.com"), "078-05-1120", "1980-05-01T00:00:00Z"); err != nil {
			t.Fatal(err)
		}
	}
}

// forms has n write-only programs store a customer each, of whom some are deleted, and lets days go by.
func (w *keysWorld) forms(t *testing.T, n, deleted int) {
	t.Helper()
	var out struct{ Keys []struct{ Pin string } }
	if err := json.Unmarshal([]byte(w.must(t, "inbox", "--json")), &out); err != nil || len(out.Keys) == 0 {
		t.Fatal(out, err)
	}
	for i := range n {
		cn, err := driver.NewConnector(liteConnector(w.file), driver.Config{Schema: customers, Dialect: driver.DialectSQLite, WriteOnly: &driver.Inbox{Pins: []string{out.Keys[0].Pin}}})
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(cn)
		if _, err := db.ExecContext(t.Context(), "INSERT INTO customers (id, ssn) VALUES (?, ?)", 1000+i, "078-05-1120"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{
		fmt.Sprintf("DELETE FROM customers WHERE id >= 1000 AND id < %d", 1000+deleted),
		"UPDATE colseal_keys SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '-3 days') WHERE purpose = 'writer'",
	} {
		if _, err := w.plain.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
}

// later lets hours go by.
func (w *keysWorld) later(t *testing.T) {
	t.Helper()
	for _, column := range []string{"created_at", "seals_from"} {
		if _, err := w.plain.Exec("UPDATE colseal_keys SET " + column + " = strftime('%Y-%m-%dT%H:%M:%fZ', " + column + ", '-3 hours')"); err != nil {
			t.Fatal(err)
		}
	}
}

// masks hide what differs from run to run, beside the ids of keys.
var masks = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "DAY"},
	{regexp.MustCompile(`key/[0-9a-f-]{36}`), "key/KEK"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "KEYRING"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "HASH"},
	{regexp.MustCompile(`\b(\d+s)\b`), "AGE"},
	{regexp.MustCompile(`"changed_by": "[^"]*"`), `"changed_by": ""`},
}

var keyIDs = regexp.MustCompile(`\b[0-9a-f]{8}\b`)

// names gives ids the names K1, K2, … in the order in which they appear.
type names map[string]string

func (n names) mask(text string) string {
	for _, m := range masks {
		text = m.re.ReplaceAllString(text, m.by)
	}
	text = keyIDs.ReplaceAllStringFunc(text, func(id string) string {
		if n[id] == "" {
			n[id] = fmt.Sprint("K", len(n)+1)
		}
		return n[id]
	})
	// Columns are as wide as what is in them.
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
}

var consoleBlock = regexp.MustCompile("(?s)```console\n(.*?)```\n")

// The outputs of the keys commands in the pages are those of a run.
func TestKeysPages(t *testing.T) {
	run := &pageRun{w: newKeysWorld(t), shown: names{}, real: names{}}
	written := make([]string, len(keysPages))
	for i, name := range keysPages {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		written[i] = run.page(t, string(page))
	}
	if run.commands < 10 {
		t.Errorf("only %d commands were found", run.commands)
	}
	if !*update {
		return
	}
	for i, text := range written {
		for id, shown := range run.placeholders {
			text = strings.ReplaceAll(text, shown, id)
		}
		if err := os.WriteFile(keysPages[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// pageRun runs the commands of the page one after the other.
type pageRun struct {
	w            *keysWorld
	commands     int
	shown, real  names             // ids on the page, and in this run
	placeholders map[string]string // with -update: real ids by what stands for them in commands
}

// page follows a page, and returns it with what was printed this time.
func (r *pageRun) page(t *testing.T, page string) string {
	t.Helper()
	var out strings.Builder
	last := 0
	for _, m := range consoleBlock.FindAllStringSubmatchIndex(page, -1) {
		r.between(t, page[last:m[0]])
		out.WriteString(page[last:m[2]])
		out.WriteString(r.block(t, page[m[2]:m[3]]))
		last = m[3]
	}
	return out.String() + page[last:]
}

// between does what the text before a block says.
func (r *pageRun) between(t *testing.T, text string) {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case strings.Contains(text, "After the second time"):
		r.w.later(t)
	case strings.Contains(text, "## Changing"):
		r.w.fill(t, 8)
	case strings.Contains(text, "After a few days of forms"):
		r.w.forms(t, 3, 2)
	case strings.Contains(text, "With `COLSEAL_KMS` naming the new one"):
		r.w.kms.CreateKey(kmstest.Alias("alias/next"))
		t.Setenv(kmsEnv, r.w.url("alias/next")+"&trust=111122223333")
	}
}

// block runs the commands of a block, compares what they print, and returns the block as it was this time.
func (r *pageRun) block(t *testing.T, block string) string {
	t.Helper()
	var out strings.Builder
	for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(block, -1)[1:] {
		command, want, _ := strings.Cut(part, "\n")
		got := r.command(t, command)
		if diff := testdiff.Lines(r.shown.mask(want), r.real.mask(got)); diff != "" && !*update {
			t.Errorf("$ %s (-page +now)\n%s", command, diff)
		}
		out.WriteString("$ " + command + "\n" + got)
	}
	return out.String()
}

func (r *pageRun) command(t *testing.T, command string) string {
	t.Helper()
	r.commands++
	// The page's ids stand for those of this run.
	real := keyIDs.ReplaceAllStringFunc(command, func(id string) string {
		for actual, name := range r.real {
			if r.shown[id] == name || *update && "K"+strings.TrimLeft(id, "0") == name {
				if r.placeholders == nil {
					r.placeholders = map[string]string{}
				}
				r.placeholders[actual] = id
				return actual
			}
		}
		t.Fatalf("$ %s: which key is %s?", command, id)
		return ""
	})
	args := strings.Fields(real)
	args = args[1:]
	for i := 0; i < len(args); i++ { // words in quotes
		if strings.HasPrefix(args[i], "'") {
			for !strings.HasSuffix(args[i], "'") {
				args[i] += " " + args[i+1]
				args = append(args[:i+1], args[i+2:]...)
			}
			args[i] = strings.Trim(args[i], "'")
		}
		if args[i] == "schema.json" {
			args[i] = r.w.schema
		}
	}
	status, out, errs := colseal(t, "", append(args, "--dialect", "sqlite")...)
	if status == statusFailed {
		t.Errorf("$ %s: %s", real, errs)
	}
	return out
}
