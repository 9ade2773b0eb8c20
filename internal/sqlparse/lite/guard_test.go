package lite

import (
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

func TestGuards(t *testing.T) {
	rep := strings.Repeat
	const deep, long, syntax = "nested too deeply", "too long", "syntax error"
	for _, test := range []struct{ name, sql, want string }{
		{"empty", "", ""},
		{"comments only", " -- one\n/* two", ""},
		{"byte order mark", "\uFEFFSELECT 1", ""},
		{"NUL", "SELECT 1\x00; DELETE FROM t", "NUL byte in the SQL text at byte 8"},
		{"invalid UTF-8", "SELECT '\xff'", "not valid UTF-8 at byte 8"},
		{"replacement character", "SELECT '\uFFFD'", ""},
		{"invalid after a replacement character", "SELECT '\uFFFD\xc3'", "not valid UTF-8 at byte 11"},
		{"one megabyte", "SELECT '" + rep("x", 1<<20-10) + "'", ""},
		{"more than that", "SELECT '" + rep("x", 1<<20) + "'", long},
		{"400 parentheses", "SELECT " + rep("(", 400) + "1" + rep(")", 400), ""},
		{"10,000 parentheses", "SELECT " + rep("(", 10_000) + "1" + rep(")", 10_000), deep},
		{"open parentheses", "SELECT " + rep("(", 100_000), deep},
		{"10,000 CASE", "SELECT " + rep("CASE WHEN ", 10_000), deep},
		{"CASE and END as names", "SELECT " + rep("CASE 1 WHEN 1 THEN (end) ELSE (", 5_000), deep},
		{"nested queries", "SELECT " + rep("(SELECT ", 100) + "1" + rep(")", 100), ""},
		{"nested FROM", "SELECT * FROM " + rep("(SELECT * FROM ", 400) + "t" + rep(")", 400), ""},
		{"nested lists", "SELECT * FROM " + rep("(", 400) + "t" + rep(")", 400), ""},
		{"minus signs", "SELECT " + rep("- ", 400_000) + "1", deep},
		{"tildes", "SELECT " + rep("~", 5_000) + "1", deep},
		{"NOT", "SELECT " + rep("NOT ", 200_000) + "1", deep},
		{"sums", "SELECT 1" + rep("+1", 400_000), deep},
		{"sums in a view", "CREATE VIEW v AS SELECT 1" + rep("+1", 400_000), ""},
		{"sums in an index", "CREATE INDEX i ON t(1" + rep("+1", 400_000) + ")", ""},
		{"sums in ATTACH", "ATTACH 1" + rep("+1", 400_000) + " AS x", ""},
		{"COLLATE", "SELECT 1" + rep(" COLLATE x", 50_000), deep},
		{"ISNULL", "SELECT 1" + rep(" ISNULL", 50_000), deep},
		{"10,000 ORs", "SELECT 1 FROM t WHERE a=0" + rep(" OR a=?", 10_000), ""},
		{"ORs and ANDs", "SELECT 1 FROM t WHERE a=0" + rep(" OR a=? AND b", 10_000), ""},
		{"10,000 rows", "VALUES (1)" + rep(",(?)", 10_000), ""},
		{"10,000 statements", rep("SELECT ?;", 10_000), ""},
		{"500 terms", "SELECT 1" + rep(" UNION SELECT 1", 499), ""},
		{"501 terms", "SELECT 1" + rep(" UNION SELECT 1", 500), "more than 500 terms"},
		{"64 tables", "SELECT 1 FROM t" + rep(" JOIN t", 63), ""},
		{"65 tables", "SELECT 1 FROM t" + rep(" JOIN t", 64), "more than 64 tables"},
		{"ON without a join", "SELECT 1 FROM t" + rep(" ON 1", 2), syntax},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Parse(test.sql, sqlparse.Limits{})
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkTree(t, f)
				return
			}
			if e, ok := sqlparse.AsError(err); !ok || !strings.Contains(err.Error(), test.want) || e.Unsupported {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	if _, err := Parse("SELECT 1", sqlparse.Limits{Bytes: 7}); err == nil {
		t.Error("the length is not bounded")
	}
	if _, err := Parse("SELECT ((1))", sqlparse.Limits{Nesting: 1}); err == nil {
		t.Error("the nesting is not bounded")
	}
}

func TestErrorsDoNotQuote(t *testing.T) {
	for _, sql := range []string{
		"SELECT 'hunter2' 'hunter2' 'hunter2'", "SELECT hunter2 FROM WHERE", "SELECT 'hunter2", "SELECT \"hunter2", "SELECT [hunter2",
		"SELECT 1 FROM a hunter2 hunter2", "SELECT 1hunter2", "SELECT x'hunter2'", "SELECT :hunter2(", "SELECT #1hunter2",
		"SELECT RAISE(ABORT, 'hunter2')", "SELECT 1 FROM a LEFT hunter2 JOIN b", "SELECT a IN hunter2(1)", "hunter2",
		"SELECT CAST('hunter2' AS)", "SELECT 1 FROM a JOIN (b AS hunter2)", "SELECT 1 hunter2\x00", "SELECT 'hunter2\xff'",
	} {
		if _, err := Parse(sql, sqlparse.Limits{}); err == nil {
			t.Errorf("%s: accepted", sql)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestTokens(t *testing.T) {
	const sql = "SELECT -1.5 /* c */, 'it''s', X'00', \"a\", [b], ?1 WHERE x->>:a; -- end"
	toks, err := mustParse(t, sql).Tokens()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range toks {
		got = append(got, string("owsnp"[k.Kind])+":"+sql[k.Start:k.End])
	}
	const want = `w:SELECT o:- n:1.5 o:, s:'it''s' o:, s:X'00' o:, w:"a" o:, w:[b] o:, p:?1 w:WHERE w:x o:->> p::a o:;`
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if toks, err = Tokens("SELEKT users ((", sqlparse.Limits{}); err != nil || len(toks) != 4 {
		t.Errorf("a text that does not parse: %v, %v", toks, err)
	}
	if _, err = Tokens("SELECT 'users", sqlparse.Limits{}); err == nil {
		t.Error("an open string has tokens")
	}
}
