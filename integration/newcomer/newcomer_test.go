// Package newcomer_test goes the way of somebody who has just found Colseal: README's commands in an empty folder, its
// program in a module of its own, and each Example as the documentation page prints it.
package newcomer_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms/kmstest"
)

const (
	colseal = "github.com/colseal/colseal"
	root    = "../.."
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// readme returns README's blocks of code in a language.
func readme(t *testing.T, language string) []string {
	t.Helper()
	page, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// run runs a command in a folder, and returns what it prints.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestQuickstart runs the commands of README's quickstart in an empty folder. The clone is of this repository.
func TestQuickstart(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds a program in a clone")
	}
	commands := readme(t, "sh")[0]
	from, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	const address = "https://" + colseal
	if !strings.Contains(commands, "git clone "+address+" ") {
		t.Fatalf("README's quickstart does not begin with a clone:\n%s", commands)
	}
	out := run(t, t.TempDir(), nil, "sh", "-ec", strings.Replace(commands, address, from+" colseal", 1))
	for _, line := range strings.Split(readme(t, "text")[0], "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "found:") || strings.HasPrefix(line, "SELECT") || strings.HasPrefix(line, "colseal:") {
			if !strings.Contains(out, line) {
				t.Errorf("README shows %q, and the command does not print it:\n%s", line, out)
			}
		}
	}
}

// A module is a module of its own, which finds ours by replace.
type module struct{ dir string }

func newModule(t *testing.T, requires ...string) module {
	t.Helper()
	m := module{t.TempDir()}
	from, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	mod := "module newcomer\n\ngo 1.26.0\n"
	for _, r := range requires {
		mod += fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %s\n", r, from+strings.TrimPrefix(r, colseal))
	}
	m.write(t, "go.mod", mod)
	var sums []byte
	for _, r := range requires {
		sum, err := os.ReadFile(filepath.Join(from, strings.TrimPrefix(r, colseal), "go.sum"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum...)
	}
	m.write(t, "go.sum", string(sums))
	return m
}

func (m module) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// build builds the module's program, and returns its path.
func (m module) build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(m.dir, "program")
	run(t, m.dir, []string{"GOWORK=off", "CGO_ENABLED=0"}, "go", "build", "-mod=mod", "-o", program, ".")
	return program
}

// prepare makes a table and the keyring.
func prepare(t *testing.T, pg *pgtest.DB, table string) {
	t.Helper()
	if _, err := pg.Admin.ExecContext(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if err := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "").Create(t.Context()); err != nil {
		t.Fatal(err)
	}
}

const use = `package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

func main() {
	ctx := context.Background()
	db, err := open(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	ssn := "078-05-1120"
	born := time.Date(1984, time.March, 9, 0, 0, 0, 0, time.UTC)
	if _, err := db.ExecContext(ctx, "INSERT INTO users (id, email, ssn, born) VALUES ($1, $2, $3, $4)", 1, "ana@example.com", &ssn, born); err != nil {
		panic(err)
	}
	var u User
	if err := db.QueryRowContext(ctx, "SELECT id, email, ssn, born FROM users WHERE email = $1", "ana@example.com").Scan(&u.ID, &u.Email, &u.SSN, &u.Born); err != nil {
		panic(err)
	}
	fmt.Println(u.ID, u.Email, *u.SSN, u.Born.Equal(born))
}
`

// TestProgram builds README's program in a module of its own, makes the table that README shows, and runs it.
func TestProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs a server")
	}
	m := newModule(t, colseal)
	blocks := slices.DeleteFunc(readme(t, "go"), func(b string) bool { return !strings.HasPrefix(b, "import (") })
	if len(blocks) != 1 {
		t.Fatalf("README has %d whole programs, want 1", len(blocks))
	}
	m.write(t, "readme.go", "package main\n\n"+blocks[0])
	m.write(t, "main.go", use)
	program := m.build(t)

	page, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile("`(CREATE TABLE users [^`]*)`").FindSubmatch(page)
	if table == nil {
		t.Fatal("README does not show the table")
	}
	pg := pgtest.New(t)
	prepare(t, pg, string(table[1]))
	srv := kmstest.Start(t)
	srv.CreateKey(kmstest.Alias("alias/app"))
	out := run(t, m.dir, []string{
		"DATABASE_URL=" + pg.DSN(), "AWS_ENDPOINT_URL_KMS=" + srv.URL(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
	}, program)
	if want := "1 ana@example.com 078-05-1120 true\n"; out != want {
		t.Errorf("the program prints %q, want %q", out, want)
	}
}

// An example is one Example of a documentation page.
type example struct {
	name   string // package and function
	source string // as a program, which the page offers to run
	prints []string
	needs  bool // a database and a key
}

// files lists the files of Examples in the modules. Those of kms/pkcs11 need a token and cgo.
func files(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if d == nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			other := err == nil && !slices.Contains(modules(), strings.TrimPrefix(filepath.ToSlash(file), root))
			if other || d.Name() == ".git" || d.Name() == "testdata" {
				return filepath.SkipDir
			}
		}
		if filepath.Base(file) == "example_test.go" {
			all = append(all, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// modules are those whose packages have pages. The Examples of large key services, which their own tests run too, come by
// COLSEAL_NEWCOMER_FULL=1.
func modules() []string {
	all := []string{"", "/kms/agekms", "/vet"}
	if os.Getenv("COLSEAL_NEWCOMER_FULL") != "" {
		all = append(all, "/kms/azurekv", "/kms/gcpkms")
	}
	return all
}

var printed = regexp.MustCompile(`fmt\.Println\(.*\) // (.*)`)

// examples returns all Examples.
func examples(t *testing.T) []example {
	t.Helper()
	var all []example
	for _, file := range files(t) {
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range doc.Examples(tree) {
			x := example{name: filepath.ToSlash(pkg) + ".Example" + e.Name}
			if e.Play == nil {
				t.Errorf("%s: the page cannot offer it as a program", x.name)
				continue
			}
			x.source = text(t, set, e.Play)
			x.needs = strings.Contains(x.source, "os.Getenv(")
			for _, m := range printed.FindAllStringSubmatch(x.source, -1) {
				x.prints = append(x.prints, m[1])
			}
			if e.Output != "" {
				x.prints = strings.Split(strings.TrimSpace(e.Output), "\n")
			}
			all = append(all, x)
		}
	}
	return all
}

func text(t *testing.T, set *token.FileSet, file *ast.File) string {
	t.Helper()
	var b bytes.Buffer
	if err := format.Node(&b, set, file); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestExamples runs each Example as the program that its page shows. All are linked into one, for the time that takes.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs a server")
	}
	all := examples(t)
	if len(all) < 30 {
		t.Fatalf("only %d Examples were found: this test looks in the wrong place", len(all))
	}
	var requires []string
	for _, m := range modules() {
		requires = append(requires, colseal+m)
	}
	m := newModule(t, requires...)
	var imports, cases string
	for i, x := range all {
		pkg := fmt.Sprintf("example%d", i)
		source := strings.Replace(x.source, "package main\n", "package "+pkg+"\n", 1)
		m.write(t, pkg+"/main.go", strings.Replace(source, "\nfunc main() {\n", "\nfunc Main() {\n", 1))
		imports += fmt.Sprintf("\t%q\n", "newcomer/"+pkg)
		cases += fmt.Sprintf("\tcase %q:\n\t\t%s.Main()\n", x.name, pkg)
	}
	m.write(t, "main.go", "package main\n\nimport (\n\t\"os\"\n\n"+imports+")\n\nfunc main() {\n\tswitch os.Args[1] {\n"+cases+"\t}\n}\n")
	program := m.build(t)
	for _, x := range all {
		t.Run(x.name, func(t *testing.T) {
			if len(x.prints) == 0 {
				t.Fatal("it does not say what it prints")
			}
			var env []string
			if x.needs {
				pg := pgtest.New(t)
				prepare(t, pg, "CREATE TABLE users (id bigint PRIMARY KEY, email bytea, notes bytea)")
				env = []string{"DATABASE_URL=" + pg.DSN(), "COLSEAL_KMS=localkms://" + filepath.Join(t.TempDir(), "kek")}
			}
			out := strings.Split(strings.TrimSpace(run(t, m.dir, env, program, x.name)), "\n")
			for i := range out {
				out[i] = strings.TrimSpace(out[i])
			}
			if !slices.Equal(out, x.prints) {
				t.Errorf("it prints %q, want %q", out, x.prints)
			}
		})
	}
}
