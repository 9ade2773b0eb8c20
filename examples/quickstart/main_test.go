package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/kms/kmstest"
)

// asProgram makes the test binary run the program instead of the tests, so that each
// run has a process of its own, as a newcomer's has.
const asProgram = "COLSEAL_QUICKSTART_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	pgtest.Main(m)
}

func runProgram(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, errs, err := runAnyhow(env, args...)
	if err != nil || errs != "" {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	return out
}

// runAnyhow runs a program that may fail.
func runAnyhow(env []string, args ...string) (out, errs string, err error) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// cellLine is a line of the comparison for a sealed column.
var cellLine = regexp.MustCompile(`(?m)^([123])  (name|email|born) +(.+?) +01(01|03|04)[0-9a-f]{12} ([0-9a-f]{16})… \(\d+ bytes\)$`)

func checkOutput(t *testing.T, out string) {
	t.Helper()
	lines := cellLine.FindAllStringSubmatch(out, -1)
	if len(lines) != 6 {
		t.Fatalf("%d sealed values are shown, want 6", len(lines))
	}
	seen := map[string]bool{}
	for _, l := range lines {
		column, read, suite, body := l[2], l[3], l[4], l[5]
		if want := map[string]string{"name": "01", "born": "03", "email": "04"}[column]; suite != want {
			t.Errorf("%s is sealed with suite %s, want %s", column, suite, want)
		}
		if seen[body] {
			t.Errorf("the cell of %q is not the only one of its bytes", read)
		}
		seen[body] = true
	}
	for _, want := range []string{
		"1  name   Ana Souza ", "3  name   Ana Souza ", "3  born   1979-07-21 ",
		"3  city   Porto                 Porto\n",
		"WHERE email = $1  [bjorn@example.com]\n  found: 2, Björn Ek\n",
		"ORDER BY born DESC  [1980-01-01]\n  found: 2, Björn Ek; 1, Ana Souza\n",
		"colseal: refused before sending: LIKE cannot work on a sealed column: quickstart_customers.name",
		"; 2 keys made, 2 in memory; 2 KMS calls, 0 failed.\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestSQLite(t *testing.T) {
	temp := t.TempDir()
	out := runProgram(t, []string{"TMPDIR=" + temp, "TEMP=" + temp, "TMP=" + temp})
	checkOutput(t, out)
	if want := "WHERE email GLOB $1  [bjo*]\n  found: 2, Björn Ek\n"; !strings.Contains(out, want) {
		t.Errorf("the output lacks %q", want)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// chance is what differs from one run to the next.
var chance = regexp.MustCompile(`[0-9a-f]{8} [0-9a-f]{16}|\S+colseal-quickstart-\d+`)

// TestReadme holds the output in README.md to what the program prints.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	out := chance.ReplaceAllString(runProgram(t, nil), "…")
	if !strings.Contains(chance.ReplaceAllString(string(readme), "…"), "```text\n"+out+"```") {
		t.Errorf("README.md does not hold this output; paste a new one:\n%s", out)
	}
}

func TestKeep(t *testing.T) {
	temp := t.TempDir()
	out := runProgram(t, []string{"TMPDIR=" + temp, "TEMP=" + temp, "TMP=" + temp}, "-keep")
	_, quoted, _ := strings.Cut(strings.TrimSpace(out), ", folder ")
	folder, err := strconv.Unquote(quoted)
	if err != nil {
		t.Fatalf("the output does not say what was kept:\n%s", out)
	}
	file, err := os.ReadFile(folder + "/app.db")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range customers {
		if bytes.Contains(file, []byte(c.Name)) || bytes.Contains(file, []byte(c.Email)) {
			t.Errorf("the file holds the name or e-mail address of customer %d", c.ID)
		}
		if !bytes.Contains(file, []byte(c.City)) {
			t.Errorf("the file lacks the city of customer %d: it is not the file that was written", c.ID)
		}
	}
}

// TestKeepOnPostgres runs twice over one database: the second run says what is there, and what to do.
func TestKeepOnPostgres(t *testing.T) {
	db := pgtest.New(t)
	args := []string{"-keep", "-dsn", db.DSN(), "-kms", "localkms://" + filepath.ToSlash(filepath.Join(t.TempDir(), "kek"))}
	const kept = "quickstart_customers, quickstart_keys"
	if out := runProgram(t, nil, args...); !strings.HasSuffix(out, "\nKept: tables "+strings.Replace(kept, ", ", " and ", 1)+", schema colseal\n") {
		t.Errorf("the first run: %s", out)
	}
	_, errs, err := runAnyhow(nil, args...)
	if err == nil || !strings.HasSuffix(errs, "DROP TABLE "+kept+"\n") || strings.Count(errs, "\n") != 1 {
		t.Errorf("the second run: %v, %s", err, errs)
	}
	if _, err := db.Admin.Exec("DROP TABLE " + kept); err != nil {
		t.Error(err)
	}
	checkOutput(t, runProgram(t, nil, args...))
	// The schema is there, and so is not the program's to drop.
	if _, err := db.Admin.Exec("DROP TABLE " + kept); err != nil {
		t.Error(err)
	}
	checkOutput(t, runProgram(t, nil, args[1:]...))
	if _, err := db.Admin.Exec("DROP FUNCTION colseal.terms1(bytea); DROP SCHEMA colseal"); err != nil {
		t.Error(err)
	}
}

// TestSearchSQL holds search.sql to what colseal ddl prints.
func TestSearchSQL(t *testing.T) {
	printed, err := ddl.Write(tables, ddl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(searchSQL, "\n\n") {
		if !strings.Contains(printed, strings.TrimSpace(part)) {
			t.Errorf("colseal ddl does not print\n%s\nbut\n%s", part, printed)
		}
	}
}

func TestPostgresAndAWS(t *testing.T) {
	db := pgtest.New(t)
	srv := kmstest.Start(t)
	srv.CreateKey(kmstest.Alias("alias/app"))
	out := runProgram(t, []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"},
		"-dsn", db.DSN(), "-kms", "awskms:///alias/app?region="+kmstest.DefaultRegion+"&endpoint="+srv.URL())
	checkOutput(t, out)
	if want := "WHERE email LIKE $1  [bjo%]\n  found: 2, Björn Ek\n"; !strings.Contains(out, want) {
		t.Errorf("the output lacks %q:\n%s", want, out)
	}
	if n := srv.Calls(); n != 2 {
		t.Errorf("%d requests to KMS, want 2", n)
	}
	for _, e := range srv.Events() {
		names := slices.Sorted(maps.Keys(e.EncryptionContext))
		if want := []string{"colseal:key-id", "colseal:keyring", "colseal:purpose"}; !slices.Equal(names, want) {
			t.Errorf("%s has the encryption context %v; docs/aws.md says %v", e.Operation, names, want)
		}
	}
	var left int
	err := db.Admin.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM pg_class WHERE relname LIKE 'quickstart%') + (SELECT count(*) FROM pg_namespace WHERE nspname = 'colseal')").Scan(&left)
	if err != nil || left > 0 {
		t.Errorf("%d relations left behind, %v", left, err)
	}
}
