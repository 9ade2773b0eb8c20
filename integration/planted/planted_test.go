package planted

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A bug is a change of one file.
type bug struct {
	name   string
	file   string   // below internal
	change []string // what stands there, what takes its place, and so on
	suite  string   // the package whose tests have to fail
	tests  string   // those of them that are run
	caught string   // what they have to say, as a regular expression
	rest   bool     // planted by -planted.all alone: another one of its kind is planted each time
}

var all = flag.Bool("planted.all", false, "plant every bug, and not the sample alone: each takes half a minute")

var bugs = []bug{
	{
		name: "an expression of an unknown kind is forwarded",
		file: "sqlplan/expr.go",
		change: []string{
			"\tcase *sqlparse.NullIf:\n\t\treturn a.nullIf(e, sc)\n", "",
			`return nil, a.refuseUnsupported(e.Pos(), nil, fmt.Sprintf("this kind of expression (%T) is not analysed", e), "")`, `_ = fmt.Sprint(); return newFree(), nil`,
		},
		suite:  "shapes",
		tests:  "TestOffline",
		caught: `is sent.*NULLIF.*`,
		rest:   true,
	},
	{
		name:   "only the first branch of MERGE is looked at",
		file:   "sqlplan/dml.go",
		change: []string{"for _, m := range s.Whens {", "for _, m := range s.Whens[:1] {"},
		suite:  "shapes",
		tests:  "TestRandom",
		caught: `leaks(?s:.*)draw statement: MERGE.*`,
		rest:   true,
	},
	{
		name:   "statements of other kinds are forwarded",
		file:   "sqlplan/utility.go",
		change: []string{"if u.Carries && ", "if false && "},
		suite:  "corpus",
		tests:  "TestPostgreSQL",
		caught: `testdata/forwarded.txt differs`,
		rest:   true,
	},
	{
		name: "an INSERT gives values to SQLite's generated columns",
		file: "sqlplan/insert.go",
		change: []string{
			"!c.Hidden && (!c.Generated || a.p.dialect == dialect.Postgres)", "!c.Hidden",
			"if a.p.dialect == dialect.SQLite && width < len(names) {", "if false && a.p.dialect == dialect.SQLite {",
		},
		suite:  "sqlite",
		tests:  "TestRandom",
		caught: `plaintext was sent: (?s:.*)INSERT INTO "main"\.archive \("id","up".*`,
		rest:   true,
	},
	{
		name:   "a name is sent without the schema that it was resolved to",
		file:   "sqlplan/table.go",
		change: []string{`text: dbcatalog.QuoteIdent(in) + ".", shared: true})`, `text: "", shared: true}); _ = in`},
		suite:  "sessions",
		tests:  "TestStaleFactsDoNotLeak",
		caught: `sent in plaintext: .*`,
	},
	{
		name:   "a SET has no second role",
		file:   "sqlplan/stages.go",
		change: []string{"	if !listed {\n		a.seconds", "	if !listed {\n		return\n		a.seconds"},
		suite:  "shapes",
		tests:  "TestStagedRandom",
		caught: `((changes without|and|has another value than) its companion: |expected \d+ arguments, got \d+)(?s:.*)draw statement: .*UPDATE.*`,
	},
	{
		name:   "what is written to the companion beside cells is asked of the server in the clear",
		file:   "sqlplan/stages.go",
		change: []string{"return s.fromCopy() && s.pair.col.Was == nil", "return s.fromCopy()"},
		suite:  "shapes",
		tests:  "TestStagedRandom",
		caught: `leaks(?s:.*)draw statement: .*email.*`,
		rest:   true,
	},
	{
		name:   "a view is not looked up",
		file:   "sqlplan/known.go",
		change: []string{"if p.decided(name, d.Schema) {", "if p.decided(name, d.Schema) || d.Kind == dbcatalog.DependentView {"},
		suite:  "shapes",
		tests:  "TestRandom",
		caught: `(leaks|wrong)(?s:.*)draw statement: .*(mails|mails_of|pairs|both_mails|firsts)\b.*`,
	},
	{
		name:   "what has the row type of a sealed table in it is not looked up",
		file:   "sqlplan/known.go",
		change: []string{"if p.decided(name, d.Schema) {", "if p.decided(name, d.Schema) || d.Kind == dbcatalog.DependentType {"},
		suite:  "shapes",
		tests:  "TestRandom",
		caught: `leaks(?s:.*)draw statement: .*part_(row|pair)\b.*`,
		rest:   true,
	},
	{
		name:   "the texts that functions run are not read",
		file:   "sqlplan/known.go",
		change: []string{"if !slices.ContainsFunc(t.Words, sealed) {", "if true || !slices.ContainsFunc(t.Words, sealed) {"},
		suite:  "shapes",
		tests:  "TestRandom",
		caught: `leaks(?s:.*)draw statement: .*(query_to_xml|cron\.).*`,
		rest:   true,
	},
	{
		name:   "a write to a view is taken for one that the server can do",
		file:   "sqlplan/view.go",
		change: []string{"if !rel.Updatable || t.from == nil {", "if t.from == nil {"},
		suite:  "views",
		tests:  "TestExamples",
		caught: `INSERT INTO v VALUES \(9, 'canary-9'\): .*`,
		rest:   true,
	},
	{
		name:   "what a cursor does at FETCH is not looked for",
		file:   "sqlparse/pg/rules.go",
		change: []string{`{what: "FETCH or MOVE", session: true`, `{what: "FETCH or MOVE"`},
		suite:  "sessions",
		tests:  "TestExamples",
		caught: `a_cursor_acts_at_FETCH`,
	},
	{
		name:   "an error of SQLite is taken to undo nothing",
		file:   "front/session.go",
		change: []string{"case s.db.cfg.Dialect == dialect.SQLite:\n\t\ts.facts.note(sqlplan.ChangesSession)\n", "case s.db.cfg.Dialect == dialect.SQLite:\n"},
		suite:  "sqlite",
		tests:  "TestSessions",
		caught: `(INSERT|UPDATE|DELETE|SELECT).* users .*on the twin.*|plaintext was sent: .*users.*`,
	},
	{
		name:   "native pgx executes a statement that was prepared past it",
		file:   "../pgxseal/prepared.go",
		change: []string{"if err != nil || p.Sealed {", "if err != nil || p == nil {"},
		suite:  "pgxseal",
		tests:  "TestPreparedPastUs",
		caught: `.*want a refusal with a hint`,
		rest:   true,
	},
	{
		name:   "the rows of a batch are not opened",
		file:   "../pgxseal/batch.go",
		change: []string{"opened := r.c.openRows(r.ctx, raw, &r.calls[i])", "opened := raw"},
		suite:  "pgxseal",
		tests:  "TestConcurrentUse",
		caught: `.*read .*`,
	},
	{
		name:   "a comparison by order is sent without its bound",
		file:   "sqlplan/copies.go",
		change: []string{"if ok && s.leaf != nil {", "if ok && s.leaf != nil && s.leaf.odd {"},
		suite:  "shapes",
		tests:  "TestOrderRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*)`,
	},
	{
		name:   "a NOT is not counted",
		file:   "sqlplan/expr.go",
		change: []string{"in.odd = in.odd != (e.Op == sqlparse.Not) && e.Op != sqlparse.Truth", "in.odd = false"},
		suite:  "shapes",
		tests:  "TestOrderRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*)NOT (?s:.*)`,
	},
	{
		name:   "the condition of an outer join confines the side that is preserved",
		file:   "sqlplan/join.go",
		change: []string{"	if !j.NullRight {\n", "	if j != nil {\n"},
		suite:  "shapes",
		tests:  "TestOrderRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*)LEFT JOIN (?s:.*)ORDER BY p\.(?s:.*)`,
	},
	{
		name:   "an OR of which one part confines a column confines it",
		file:   "sqlplan/sort.go",
		change: []string{"return !slices.Contains(cs, c) })", "return false })"},
		suite:  "shapes",
		tests:  "TestOrderRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*) OR (?s:.*)`,
		rest:   true,
	},
	{
		name:   "NULL among members is forgotten under NOT",
		file:   "sqlplan/match.go",
		change: []string{"if in.odd != negated {\n\t\t\tm.Form = MatchNoMember", "if negated {\n\t\t\tm.Form = MatchNoMember"},
		suite:  "shapes",
		tests:  "TestTermsRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*)ANY \(p\.(?s:.*)`,
		rest:   true,
	},
	{
		name:   "the escape character of a pattern is not read",
		file:   "sqlplan/match.go",
		change: []string{"case u.Match.Escape != 0 && r == u.Match.Escape:", "case false && r == u.Match.Escape:"},
		suite:  "shapes",
		tests:  "TestTermsRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*)LIKE (?s:.*)`,
	},
	{
		name:   "that an array may have no members is not thought of",
		file:   "sqlplan/order.go",
		change: []string{"if (o.Quant == sqlparse.Any) == odd && !hasMembers(o.Right) {", "if o == nil {"},
		suite:  "shapes",
		tests:  "TestOrderRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*)(ANY|ALL)(?s:.*)`,
		rest:   true,
	},
	{
		name:   "GREATEST of columns that are not confined",
		file:   "sqlplan/sort.go",
		change: []string{"all = combined(sqlparse.Union, all, c)", "continue"},
		suite:  "shapes",
		tests:  "TestOrderRandom/postgres.*/1_keys",
		caught: `wrong: statement (?s:.*)(GREATEST|LEAST)(?s:.*)`,
		rest:   true,
	},
	{
		name:   "SQLite is asked for terms under one of two live keys",
		file:   "front/seal.go",
		change: []string{"a.cell = token(a.asks, key)", "a.cell = token(a.asks, live[0])"},
		suite:  "shapes",
		tests:  "TestTermsRandom/SQLite_2_keys",
		caught: `wrong: statement (?s:.*)`,
		rest:   true,
	},
	{
		name: "SQLite is not told of NOT GLOB",
		file: "sqlplan/match.go",
		change: []string{`	if m.not {
		open, end = "(NOT (", "))"
	}
`, ""},
		suite:  "shapes",
		tests:  "TestTermsRandom/SQLite_1_keys",
		caught: `wrong: statement (?s:.*)`,
		rest:   true,
	},
	{
		name:   "terms are asked for under one of two live keys",
		file:   "front/seal.go",
		change: []string{"for i, key := range live {\n\t\tif i > 0 {\n\t\t\tout", "for i, key := range live[:1] {\n\t\tif i > 0 {\n\t\t\tout"},
		suite:  "shapes",
		tests:  "TestTermsRandom/postgres.*/2_keys",
		caught: `wrong: statement (?s:.*)`,
	},
}

// Every planted bug is caught.
func TestPlantedBugs(t *testing.T) {
	if pgtest.Race {
		t.Skip("the tests that it starts run without the race detector, and say the same")
	}
	db := pgtest.New(t)
	for _, b := range bugs {
		if b.rest && !*all {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			args := []string{"test", "-count=1", "-vet=off", "-ldflags=-s -w", "-run", b.tests, "-overlay", b.overlay(t), "./integration/" + b.suite}
			cmd := exec.CommandContext(t.Context(), "go", args...)
			cmd.Dir = root
			// A seed of its own, so that whether the bug is met is no matter of luck.
			cmd.Env = append(os.Environ(), "COLSEAL_TEST_DSN="+db.DSN(), "CI=", "COLSEAL_SHAPES_SEED=1", "COLSEAL_SHAPES_COUNT=600", "COLSEAL_SQLITE_SEED=1", "COLSEAL_SQLITE_COUNT=600", "RAPID_SHRINKTIME=1s")
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("the tests pass with this bug:\n%s", out)
			case bytes.Contains(out, []byte("[build failed]")):
				t.Errorf("it does not compile:\n%s", out)
			default:
				said := regexp.MustCompile(b.caught).Find(out)
				if said == nil {
					t.Errorf("the tests fail for another reason:\n%s", out)
				}
				t.Logf("caught: %s", said[max(0, len(said)-600):])
			}
		})
	}
}

const root = "../.."

// overlay writes the file with the bug, and what tells the compiler to read it.
func (b bug) overlay(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, "internal", b.file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for i := 0; i < len(b.change); i += 2 {
		if strings.Count(text, b.change[i]) != 1 {
			t.Fatalf("%s has changed: this does not stand in it once, so the bug has to be planted elsewhere:\n%s", b.file, b.change[i])
		}
		text = strings.Replace(text, b.change[i], b.change[i+1], 1)
	}
	dir := t.TempDir()
	planted := filepath.Join(dir, filepath.Base(b.file))
	if err := os.WriteFile(planted, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: planted}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
