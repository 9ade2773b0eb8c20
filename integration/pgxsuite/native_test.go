package pgxsuite

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
)

//go:embed testdata/colsealed.go
var sealedPackage []byte

// fewestNative is how many tests and subtests pgx and pgxpool had when this was written (pgx 5.12).
const fewestNative = 855

// different are the tests that do not go through package pgxseal as they go without, and why.
var different = map[string]string{
	"TestConnSimpleProtocolRefusesNonStandardConformingStrings": "SET standard_conforming_strings is refused before it is sent",
	"TestConnSimpleProtocolRefusesNonUTF8ClientEncoding":        "SET client_encoding to another one than UTF8 is refused before it is sent",
}

// counting are the tests that see, beside their own, the statements that look over the catalog before the first one of a process that
// seals something and names a relation or calls a function: they count statements. With an empty schema there are none.
func counting() map[string]string {
	const why = "counts the first look at the catalog"
	tests := map[string]string{"TestTraceWithinTx": why}
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		tests["TestTraceWithinTx/"+mode] = why
	}
	return tests
}

// internal are the files of tests that need what pgx does not export. They run in both suites as they are.
var internal = map[string]string{
	"conn_internal_test.go":         "looks into the cache of statements",
	"large_objects_private_test.go": "sets the size of messages",
	"tx_internal_test.go":           "asks for the text of BEGIN",
	"values_internal_test.go":       "encodes a value of COPY",
}

// Every test of pgx and pgxpool goes through package pgxseal as it goes without it: with an empty schema, and with one that seals a
// column somewhere else.
func TestNativeSuite(t *testing.T) {
	packages := []string{".", "./pgxpool"}
	db := pgtest.New(t)
	prepareNative(t, db)
	plainCopy := copyPgx(t)
	plain := plainCopy.run(t, db, "COLSEAL_PGXSUITE_TAGGED=", packages, nil)
	if len(plain) < fewestNative {
		t.Fatalf("only %d tests ran over plain pgx, want %d", len(plain), fewestNative)
	}
	sealed := copyPgx(t)
	sealed.seal(t)
	for name := range different {
		if plain[name] != "pass" {
			t.Errorf("%s: %q over plain pgx: it is no test that goes otherwise", name, plain[name])
		}
		plain[name] = "fail"
	}
	tagged := ""
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		env := "COLSEAL_PGXSUITE_TAGGED=" + tagged
		want, unlike := maps.Clone(plain), maps.Clone(different)
		if tagged != "" {
			for name, why := range counting() {
				want[name], unlike[name] = "fail", why
			}
		}
		tagged = "1" // one way on each server
		t.Parallel()
		prepareNative(t, db)
		compare(t, want, sealed.run(t, db, env, packages, unlike))
	})
}

// prepareNative makes what pgx's tests expect of a database.
func prepareNative(t *testing.T, db *pgtest.DB) {
	t.Helper()
	for _, q := range []string{
		"CREATE EXTENSION hstore", "CREATE EXTENSION ltree", "CREATE DOMAIN uint64 AS numeric(20,0)",
		`DO $$ BEGIN CREATE USER " tricky, ' } "" \ test user "; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
	} {
		if _, err := db.Admin.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}

// seal has the copy's tests of pgx and pgxpool go through package pgxseal.
func (s suite) seal(t *testing.T) {
	t.Helper()
	pgx := filepath.Join(s.dir, "pgx")
	texts := map[string]string{}
	for _, pattern := range []string{"*_test.go", "pgxpool/*_test.go", "pgxtest/*.go"} {
		files, err := filepath.Glob(filepath.Join(pgx, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(pgx, f)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	if err := sealTexts(texts); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(pgx, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(pgx, "colsealed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pgx, "colsealed", "colsealed.go"), sealedPackage, 0o644); err != nil {
		t.Fatal(err)
	}
}

var (
	// What pgx and pgxpool themselves call gets their own types: tracers, query rewriters and hooks.
	pgxsOwn = regexp.MustCompile(`[tT]race[A-Z]|RewriteQuery|config\.\w+ = func`)

	opening  = regexp.MustCompile(`\b(?:pgx|pgxpool)\.(Connect|ConnectConfig|New|NewWithConfig)\(`)
	opened   = regexp.MustCompile(`\b(?:pgx\.Connect\w*|pgxpool\.New\w*)\(`)
	connType = regexp.MustCompile(`\*pgx\.Conn\b`)
	poolType = regexp.MustCompile(`\bpgxpool\.(Pool|Conn|Tx)\b`)
	// A test of a pool asks whether two connections are the same.
	pooledConn = regexp.MustCompile(`\b(c|conn)\.Conn\(\)`)
)

// sealTexts rewrites the texts of files in place.
func sealTexts(texts map[string]string) error {
	var errs []error
	found := 0
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text := texts[name]
		if regexp.MustCompile(`(?m)^package (pgx|pgxpool)$`).MatchString(text) {
			if internal[name] == "" {
				errs = append(errs, fmt.Errorf("%s: tests that need what pgx does not export, and are not known: pgx's tests have changed", name))
			}
			continue
		}
		inPool := strings.HasPrefix(name, "pgxpool/")
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			if !pgxsOwn.MatchString(line) {
				line = poolType.ReplaceAllString(line, "colsealed.$1")
				if !inPool {
					line = connType.ReplaceAllString(line, "*colsealed.Conn")
				}
			}
			if inPool {
				line = pooledConn.ReplaceAllString(line, "$1.Raw()")
			}
			found += len(opening.FindAllString(line, -1))
			lines[i] = opening.ReplaceAllString(line, "colsealed.$1(")
		}
		rewritten := strings.Join(lines, "\n")
		if way := opened.FindString(rewritten); way != "" {
			errs = append(errs, fmt.Errorf("%s: %s, which nothing replaces: pgx's tests have changed", name, way))
		}
		if rewritten == text {
			continue
		}
		for path, use := range map[string]string{"github.com/jackc/pgx/v5": "pgx.QueryExecMode", "github.com/jackc/pgx/v5/pgxpool": "pgxpool.Config"} {
			if strings.Contains(rewritten, `"`+path+`"`) {
				rewritten += "\nvar _ " + use + "\n" // the import may have no other use left
			}
		}
		texts[name] = strings.Replace(rewritten, "import (\n", "import (\n\t\"github.com/jackc/pgx/v5/colsealed\"\n", 1)
	}
	if found < 100 {
		errs = append(errs, fmt.Errorf("only %d places where a connection is opened: pgx's tests have changed", found))
	}
	return errors.Join(errs...)
}

func TestSealTextsRefusesWhatItDoesNotKnow(t *testing.T) {
	known := "package pgx_test\n\nimport (\n\t\"github.com/jackc/pgx/v5\"\n)\n" + strings.Repeat("var _, _ = pgx.Connect(ctx, s)\n", 100)
	text := map[string]string{"a_test.go": known}
	if err := sealTexts(text); err != nil || strings.Contains(text["a_test.go"], "pgx.Connect") {
		t.Fatalf("what is known: %v\n%s", err, text["a_test.go"])
	}
	for name, texts := range map[string]map[string]string{
		"no connections":        {"a_test.go": "package pgx_test\n"},
		"another way to open":   {"a_test.go": known + "var _ = pgx.ConnectSomehow()\n"},
		"a new internal test":   {"a_test.go": known, "new_test.go": "package pgx\n"},
		"another way to a pool": {"a_test.go": known + "var _ = pgxpool.NewSomehow()\n"},
	} {
		if err := sealTexts(texts); err == nil {
			t.Errorf("%s: was not noticed", name)
		}
	}
}
