package pg

import (
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/sqlparse"
)

// Constructs that make the parser recurse or read again, n levels deep. Each would
// overflow the stack or run for ages if only n were large enough.
var deep = map[string]func(n int) string{
	"parentheses":       func(n int) string { return wrap(n, "(", "1", ")") },
	"calls":             func(n int) string { return wrap(n, "f(", "1", ")") },
	"brackets":          func(n int) string { return "SELECT ARRAY" + wrap(n, "[", "1", "]")[7:] },
	"subscripts":        func(n int) string { return wrap(n, "a[", "1", "]") },
	"CASE":              func(n int) string { return wrap(n, "CASE WHEN ", "a", " THEN 1 END") },
	"CASE in ELSE":      func(n int) string { return wrap(n, "CASE WHEN a THEN 1 ELSE ", "a", " END") },
	"subqueries":        func(n int) string { return wrap(n, "(SELECT ", "1", ")") },
	"subqueries, FROM":  func(n int) string { return wrap(n, "a FROM (SELECT ", "1", ") x") },
	"NOT":               func(n int) string { return wrap(n, "NOT ", "a", "") },
	"NOT at the right":  func(n int) string { return wrap(n, "a = NOT ", "a", "") },
	"NOT with BETWEEN":  func(n int) string { return wrap(n, "a BETWEEN a AND NOT ", "a", "") },
	"NOT with DISTINCT": func(n int) string { return wrap(n, "a IS DISTINCT FROM NOT ", "a", "") },
	"NOT with CASE":     func(n int) string { return wrap(n, "NOT CASE WHEN a THEN b END = ", "a", "") },
	"NOT with a name":   func(n int) string { return wrap(n, "NOT a.and = ", "a", "") },
	"minus":             func(n int) string { return wrap(n, "- ", "a", "") },
	"pluses, glued":     func(n int) string { return wrap(n, "+", "a", "") },
	"signs, glued":      func(n int) string { return wrap(n, "+-", "a", "") },
	"signs after *":     func(n int) string { return "SELECT a *" + wrap(n, "+-", "a", "")[7:] },
	"prefix operators":  func(n int) string { return wrap(n, "@ ", "a", "") },
	"prefix, comments":  func(n int) string { return wrap(n, "@/**/", "a", "") },
	"prefix after +":    func(n int) string { return wrap(n, "a + @ ", "a", "") },
	"OPERATOR()":        func(n int) string { return wrap(n, "OPERATOR(pg_catalog.-) ", "a", "") },
	"JOIN":              func(n int) string { return wrap(n, "", "1 FROM a", "") + wrap(n, " JOIN b", "", " ON true")[7:] },
	"doubled, SELECT":   func(n int) string { return wrap(n, "((SELECT ", "1", ")+1)") },
	"substring":         func(n int) string { return wrap(n, "substring(", "a", ",1)") },
	"json_object":       func(n int) string { return wrap(n, "json_object(", "a", ")") },
}

func wrap(n int, open, inner, shut string) string {
	return "SELECT " + strings.Repeat(open, n) + inner + strings.Repeat(shut, n)
}

func TestDeepIsRefused(t *testing.T) {
	for name, text := range deep {
		for _, n := range []int{600, 20_000} {
			start := time.Now()
			_, err := Parse(text(n), sqlparse.Limits{Bytes: 64 << 20, Nesting: 500})
			e, ok := sqlparse.AsError(err)
			if !ok || !strings.Contains(e.Reason, "deeper") {
				t.Errorf("%s, %d levels: %v, want that it is too deep", name, n, err)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("%s, %d levels: took %v", name, n, d)
			}
		}
	}
}

func TestModerateDepthIsParsed(t *testing.T) {
	for name, text := range deep {
		n := 100
		switch name {
		case "doubled, SELECT", "substring", "json_object": // doubles per level
			n = 10
		}
		if _, err := Parse(text(n), sqlparse.Limits{}); err != nil {
			t.Errorf("%s, %d levels: %v", name, n, err)
		}
	}
}

// Chains that the parser reads in a loop but that nest in its tree.
var chains = map[string]func(n int) string{
	"one operator": func(n int) string { return wrap(n, "a||", "a", "") },
	"operators":    func(n int) string { return wrap(n, "a+b-", "a", "") },
	"AND":          func(n int) string { return wrap(n, "a AND ", "a", "") },
	"AND NOT":      func(n int) string { return wrap(n, "NOT a AND ", "a", "") },
	"casts":        func(n int) string { return wrap(n, "", "1", "::int") },
	"collations":   func(n int) string { return wrap(n, "", "a", ` COLLATE "C"`) },
	"time zones":   func(n int) string { return wrap(n, "", "a", " AT TIME ZONE b") },
	"UNION":        func(n int) string { return wrap(n, "", "1", " UNION SELECT 1") },
	"joins":        func(n int) string { return wrap(n, "", "1 FROM a", " JOIN b ON true") },
	"cross joins":  func(n int) string { return wrap(n, "", "1 FROM a", " CROSS JOIN b") },
	"IN":           func(n int) string { return wrap(n, "", "a IN (1", ", 2") + ")" },
	"VALUES":       func(n int) string { return "VALUES (1)" + strings.Repeat(", (2)", n) },
	"columns":      func(n int) string { return wrap(n, "a AS case, ", "a", "") },
}

func TestChains(t *testing.T) {
	for name, text := range chains {
		if _, err := Parse(text(2000), sqlparse.Limits{}); err != nil {
			t.Errorf("%s, 2000 long: %v", name, err)
		}
		start := time.Now()
		if _, err := Parse(text(60_000), sqlparse.Limits{Bytes: 64 << 20}); err != nil {
			if e, ok := sqlparse.AsError(err); !ok || !strings.Contains(e.Reason, "longer") {
				t.Errorf("%s, 60000 long: %v", name, err)
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s, 60000 long: took %v", name, d)
		}
	}
}

func TestGuardRejects(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		pos  int
		want string
	}{
		"NUL":             {"SELECT 1\x00; DROP TABLE a", 8, "NUL"},
		"invalid UTF-8":   {"SELECT '\xff'", 8, "UTF-8"},
		"cut UTF-8":       {"SELECT 'é\xc3", 10, "UTF-8"},
		"too long":        {"SELECT '" + strings.Repeat("x", 2000) + "'", 1000, "longer"},
		"syntax":          {"SELECT é FROM FROM secretword", 15, "not valid"},
		"open string":     {"SELECT 'secretword", 7, "not valid"},
		"open comment":    {"SELECT 1 /* secretword", 9, "not valid"},
		"open dollar":     {"SELECT $a$ secretword", 7, "not valid"},
		"stray close":     {"SELECT 1)))", 8, "not valid"},
		"question mark":   {"SELECT * FROM a WHERE b = ?", 0, "not valid"},
		"named parameter": {"SELECT :name", 7, "not valid"},
	} {
		_, err := Parse(tc.text, sqlparse.Limits{Bytes: 1000})
		e, ok := sqlparse.AsError(err)
		if !ok || !strings.Contains(e.Reason, tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
			continue
		}
		if e.Pos != tc.pos && tc.pos != 0 {
			t.Errorf("%s: at byte %d, want %d", name, e.Pos, tc.pos)
		}
		if strings.Contains(err.Error(), "secretword") {
			t.Errorf("%s: the error quotes the text: %v", name, err)
		}
	}
}

// What looks like nesting inside constants, names and comments is none. Each text
// holds far more parentheses than the limit allows.
func TestGuardSkipsQuoted(t *testing.T) {
	many := strings.Repeat("(", 50)
	for name, text := range map[string]string{
		"string":               "SELECT 'a''" + many + "'",
		"backslash":            `SELECT 'a\', '` + many + "'",
		"E string":             `SELECT E'\'` + many + "'",
		"E string, doubled":    `SELECT E'''\'` + many + "'",
		"E string, two lines":  "SELECT E'a'\n  -- it's\n '\\'" + many + "'",
		"e at a name's end":    `SELECT thee, 'a\', '` + many + "'",
		"U& string":            "SELECT U&'" + many + "' UESCAPE '!'",
		"U& name":              `SELECT U&"` + many + `"`,
		"bit string":           "SELECT b'1', n'" + many + "'",
		"name":                 `SELECT "a""` + many + `"`,
		"dollar":               "SELECT $$" + many + "$$",
		"tagged dollar":        "SELECT $a$ $b$ $ $$" + many + "$a$",
		"dollar in a name":     "SELECT a$$, '" + many + "', b$$",
		"dollar after a param": "SELECT $1, $a$" + many + "$a$",
		"line comment":         "SELECT 1 -- it's " + many + "\n",
		"block comment":        "SELECT 1 /* it's /* nested */ " + many + "*/",
		"comment in operator":  "SELECT 1 +--" + many + "\n 2 */**/ 3",
		"words":                strings.Repeat("SELECT a.case, b AS case; ", 50),
	} {
		if _, err := Parse(text, sqlparse.Limits{Nesting: 10}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// PostgreSQL reads these as if the comments were not there.
func TestCommentsInterruptNothing(t *testing.T) {
	for a, b := range map[string]string{
		"SELECT a NOT /* b */ IN (1)":              "SELECT a NOT IN (1)",
		"SELECT 'a' -- it's\n 'b'":                 "SELECT 'ab'",
		"SELECT 1 /* a */ FROM /* ; */ b -- c":     "SELECT 1 FROM b",
		"SELECT a::timestamp WITH /* */ TIME ZONE": "SELECT a::timestamp WITH TIME ZONE",
	} {
		fa, err := Parse(a, sqlparse.Limits{})
		if err != nil {
			t.Errorf("%q: %v", a, err)
			continue
		}
		fb, err := Parse(b, sqlparse.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if dumpFile(fa) != dumpFile(fb) {
			t.Errorf("%q is %s, %q is %s", a, dumpFile(fa), b, dumpFile(fb))
		}
	}
}

// TestOperatorsAreSplit: the guard tells operators that stand side by side apart as the lexer does.
func TestOperatorsAreSplit(t *testing.T) {
	const chars = "+-*@<=/"
	for n := range 7 * 7 * 7 * 7 * 7 {
		run := ""
		for i := n; i > 0; i /= len(chars) {
			run += chars[i%len(chars) : i%len(chars)+1]
		}
		if run == "" || strings.Contains(run, "--") || strings.Contains(run, "/*") {
			continue
		}
		tokens, err := scan(run)
		if err != nil {
			t.Fatal(run, err)
		}
		g := scanner{text: run, nest: nesting{limit: maxNesting}}
		g.nest.frames = append(g.frames[:0], frame{retries: 1})
		for _, tok := range tokens {
			if g.token(); g.err != nil || g.pos != tok.End {
				t.Fatalf("%q: %v, an operator ends at %d, want %d", run, g.err, g.pos, tok.End)
			}
		}
	}
}

func TestStatements(t *testing.T) {
	const text = " SELECT 1; ;/* x */ SELECT 'é;'\n;DELETE FROM a -- end"
	f, err := Parse(text, sqlparse.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range f.Statements {
		got = append(got, text[s.Start:s.End])
	}
	if want := "SELECT 1|SELECT 'é;'\n|DELETE FROM a -- end"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
