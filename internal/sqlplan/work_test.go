package sqlplan

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// join joins n parts.
func join(n int, sep string, part func(i int) string) string {
	s := make([]string, n)
	for i := range s {
		s[i] = part(i)
	}
	return strings.Join(s, sep)
}

// always is a part that does not depend on its number.
func always(s string) func(int) string { return func(int) string { return s } }

// numbered is a part with its number, from 1, in the place of #.
func numbered(format string) func(int) string {
	return func(i int) string { return strings.ReplaceAll(format, "#", fmt.Sprint(i+1)) }
}

// long are statements of n parts that programs make.
var long = []struct {
	name    string
	dialect dialect.Dialect
	text    func(n int) string
}{
	{"IN", dialect.Postgres, func(n int) string {
		return "SELECT id FROM users WHERE email IN (" + join(n, ",", numbered("$#")) + ")"
	}},
	{"IN of literals", dialect.Postgres, func(n int) string {
		return "SELECT id FROM users WHERE email NOT IN (" + join(n, ",", numbered("'v#'")) + ")"
	}},
	{"IN of casts", dialect.Postgres, func(n int) string {
		return "SELECT id FROM users WHERE email IN (" + join(n, ",", numbered("$#::text")) + ")"
	}},
	{"IN of rows", dialect.Postgres, func(n int) string {
		return "SELECT id FROM users WHERE (email,id) IN (" + join(n, ",", numbered("($#,#)")) + ")"
	}},
	{"IN of sealed rows", dialect.Postgres, func(n int) string {
		return "SELECT id FROM leads WHERE (email,phone) IN (" + join(n, ",", func(i int) string { return fmt.Sprintf("($%d,$%d)", 2*i+1, 2*i+2) }) + ")"
	}},
	{"OR", dialect.Postgres, func(n int) string { return "SELECT id FROM users WHERE " + join(n, " OR ", numbered("email=$#")) }},
	{"IS NULL OR", dialect.Postgres, func(n int) string {
		return "SELECT id FROM users WHERE " + join(n, " AND ", numbered("($# IS NULL OR email=$#)"))
	}},
	{"chained roles", dialect.Postgres, func(n int) string {
		return "SELECT id FROM users WHERE email=$1 AND " + join(n, " AND ", func(i int) string { return fmt.Sprintf("$%d=$%d", i+1, i+2) })
	}},
	{"VALUES", dialect.Postgres, func(n int) string {
		return "INSERT INTO users VALUES " + join(n, ",", func(i int) string { return fmt.Sprintf("($%d,$%d,'l')", 2*i+1, 2*i+2) })
	}},
	{"CASE", dialect.Postgres, func(n int) string {
		return "SELECT CASE email " + join(n, " ", numbered("WHEN $# THEN #")) + " END FROM users"
	}},
	{"CASE with queries", dialect.Postgres, func(n int) string {
		return "SELECT CASE email " + join(n, " ", numbered("WHEN $# THEN (SELECT id FROM orders LIMIT 1)")) + " END FROM users"
	}},
	{"UNION ALL", dialect.Postgres, func(n int) string { return join(n, " UNION ALL ", numbered("SELECT * FROM users WHERE id=$#")) }},
	{"FROM", dialect.Postgres, func(n int) string { return "SELECT 1 FROM " + join(n, ",", numbered("users u#")) }},
	{"VALUES of a wide table", dialect.Postgres, func(n int) string {
		return "INSERT INTO wide VALUES " + join(1+n/200, ",", func(int) string { return "(" + strings.Repeat("1,", 1599) + "'x')" })
	}},
	{"WITH", dialect.Postgres, func(n int) string {
		return "WITH " + join(n, ",", numbered("w# AS (SELECT id, email FROM users WHERE email=$#)")) + " SELECT 1"
	}},
	{"statements", dialect.Postgres, func(n int) string { return join(n, ";", numbered("UPDATE users SET ssn='#' WHERE email='#'")) }},
	{"SQLite IN", dialect.SQLite, func(n int) string { return "SELECT id FROM users WHERE email IN (" + join(n, ",", always("?")) + ")" }},
	{"SQLite VALUES", dialect.SQLite, func(n int) string { return "INSERT INTO users(id,email,ssn) VALUES " + join(n, ",", always("(?,?,?)")) }},
	{"SQLite OR", dialect.SQLite, func(n int) string { return "SELECT id FROM users WHERE " + join(n, " OR ", always("email=?")) }},
	{"SQLite statements", dialect.SQLite, func(n int) string { return join(n, ";", always("UPDATE users SET ssn='x' WHERE email='y'")) }},
}

// cost is what an analysis took.
type cost struct {
	steps int
	bytes uint64 // allocated
}

// costOf analyses a text.
func costOf(ctx context.Context, p *Planner, text string, keys int) (c cost, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	file, err := p.parse(text)
	if err == nil {
		a := &analysis{p: p, known: p.Known(), ctx: ctx, env: &Env{Catalog: testCatalog, SearchKeys: keys}, file: file}
		_, err = p.run(a)
		c.steps = a.steps
	}
	runtime.ReadMemStats(&after)
	c.bytes = after.TotalAlloc - before.TotalAlloc
	return c, err
}

// What the analysis costs grows as the text does, under two search keys too, and stays far from where it is refused.
func TestWorkIsLinear(t *testing.T) {
	const n = 500
	for _, l := range long {
		p := New(testSchema, l.dialect, Options{})
		for keys := 1; keys <= 2; keys++ {
			t.Run(fmt.Sprintf("%s/keys=%d", l.name, keys), func(t *testing.T) {
				short, text := l.text(n), l.text(4*n)
				one, err := costOf(t.Context(), p, short, keys)
				if err != nil {
					t.Fatal(err)
				}
				four, err := costOf(t.Context(), p, text, keys)
				if err != nil {
					t.Fatal(err)
				}
				if four.steps > 5*one.steps || four.bytes > 6*one.bytes {
					t.Errorf("%d bytes of text cost %+v, %d bytes %+v", len(short), one, len(text), four)
				}
				if four.steps > stepsPerByte/4*len(text) {
					t.Errorf("%d bytes of text need %d steps", len(text), four.steps)
				}
			})
		}
	}
}

// hostile are statements of n parts whose analysis could cost more than their length.
var hostile = []struct {
	name    string
	dialect dialect.Dialect
	text    func(n int) string
}{
	{"doubled columns", dialect.Postgres, func(n int) string {
		return "WITH w0 AS (SELECT * FROM users)" + join(n, "", func(i int) string { return fmt.Sprintf(", w%d AS (SELECT *,* FROM w%d)", i+1, i) }) + fmt.Sprintf(" SELECT * FROM w%d", n)
	}},
	{"doubled columns in FROM", dialect.Postgres, func(n int) string {
		return "SELECT * FROM " + strings.Repeat("(SELECT *,* FROM ", n) + "users" + strings.Repeat(") u", n)
	}},
	{"doubled columns, SQLite", dialect.SQLite, func(n int) string {
		return "WITH w0 AS (SELECT * FROM users)" + join(n, "", func(i int) string { return fmt.Sprintf(", w%d AS (SELECT *,* FROM w%d)", i+1, i) }) + fmt.Sprintf(" SELECT * FROM w%d", n)
	}},
	{"wide tables", dialect.Postgres, func(n int) string { return "SELECT 1 FROM " + join(n, ",", numbered("wide w#")) }},
	{"wide tables joined", dialect.Postgres, func(n int) string { return "SELECT 1 FROM wide w " + join(n, " ", numbered("JOIN wide w# USING (c1)")) }},
	{"wide writes", dialect.Postgres, func(n int) string { return join(n, ";", numbered("INSERT INTO wide DEFAULT VALUES")) }},
	{"a wide query in FROM", dialect.Postgres, func(n int) string {
		return "WITH w AS (SELECT " + join(1600, ",", always("email")) + " FROM users) SELECT 1 FROM " + join(n, ",", numbered("w w#"))
	}},
	{"stars of a wide query", dialect.Postgres, func(n int) string {
		return "WITH w AS (SELECT " + join(1600, ",", always("email")) + " FROM users) " + join(n, " UNION ALL ", always("SELECT * FROM w"))
	}},
	{"a column of a wide query", dialect.Postgres, func(n int) string {
		return "WITH w AS (SELECT " + join(1600, ",", numbered("id AS i#")) + ", email FROM users) SELECT 1 FROM w WHERE " + join(n, " OR ", always("email=$1"))
	}},
	{"names in many tables", dialect.Postgres, func(n int) string {
		return "SELECT 1 FROM " + join(n, ",", numbered("orders o#")) + ", users u WHERE " + join(n, " OR ", always("email=$1"))
	}},
	{"joins", dialect.Postgres, func(n int) string {
		return "SELECT u.id FROM users u " + join(n, " ", numbered("JOIN users u# ON u#.id=u.id"))
	}},
	{"USING", dialect.Postgres, func(n int) string {
		return "SELECT email FROM users u " + join(n, " ", numbered("JOIN users u# USING (id)"))
	}},
	{"NATURAL", dialect.Postgres, func(n int) string {
		return "SELECT email FROM users u " + join(n, " ", numbered("NATURAL JOIN users u#"))
	}},
	{"nested queries", dialect.Postgres, func(n int) string {
		return strings.Repeat("SELECT id FROM users WHERE email IN (SELECT email FROM archive WHERE id IN (", n) + "1" + strings.Repeat("))", n)
	}},
	{"nested searches", dialect.Postgres, func(n int) string {
		return "SELECT 1 FROM users WHERE " + strings.Repeat("email = COALESCE($1, CASE WHEN ", n) + "true" + strings.Repeat(" THEN 'x' END)", n)
	}},
	{"nested copies", dialect.Postgres, func(n int) string {
		return "SELECT 1 FROM users WHERE " + strings.Repeat("email IN (SELECT $1 FROM orders WHERE id IN (SELECT id FROM users WHERE ", n) + "email=$2" + strings.Repeat("))", n)
	}},
	{"a wide row", dialect.Postgres, func(n int) string {
		return "SELECT 1 FROM users WHERE (" + join(n, ",", always("email")) + ") = (" + join(n, ",", always("'x'")) + ")"
	}},
	{"WHEN … MERGE", dialect.Postgres, func(n int) string {
		return "MERGE INTO users u USING archive a ON u.id=a.id " + join(n, " ", numbered("WHEN NOT MATCHED AND $#=1 THEN INSERT VALUES ($#)"))
	}},
	{"whole rows", dialect.Postgres, func(n int) string {
		return "WITH w AS (SELECT " + join(1600, ",", always("id")) + ", email FROM users) SELECT 1 FROM users, (SELECT " + join(1600, ",", always("1")) + ") v WHERE " + join(n, " OR ", always("v IS NULL"))
	}},
	{"labels in labels", dialect.SQLite, func(n int) string {
		return "SELECT * FROM (" + strings.Repeat("SELECT EXISTS(SELECT * FROM (", n) + "SELECT email=? FROM users" + strings.Repeat("))", n) + ")"
	}},
	{"quoted words", dialect.SQLite, func(n int) string { return "SELECT lower(email), " + join(n, ",", numbered(`"n#"`)) + " FROM users" }},
	{"operators", dialect.Postgres, func(n int) string { return "SELECT " + join(n, "||", always("note")) + " FROM users WHERE email=$1" }},
}

// The analysis of no text costs more than its length allows.
func TestWorkIsBounded(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			p := New(testSchema, h.dialect, Options{})
			for _, n := range []int{1, 20, 100, 1000} {
				for keys := 1; keys <= 2; keys++ {
					text := h.text(n)
					c, err := costOf(t.Context(), p, text, keys)
					if _, unreadable := sqlparse.AsError(err); err != nil && !unreadable && !errors.Is(err, colseal.ErrRefused) {
						t.Fatalf("n=%d: %v", n, err)
					}
					if limit := freeSteps + stepsPerByte*len(text); c.steps > 2*limit {
						t.Errorf("n=%d: %d bytes of text needed %d steps, with a limit of %d", n, len(text), c.steps, limit)
					}
					if limit := uint64(48<<20 + 2<<10*len(text)); c.bytes > limit {
						t.Errorf("n=%d: the analysis of %d bytes allocates %d, more than %d", n, len(text), c.bytes, limit)
					}
				}
			}
		})
	}
}

// A context that ends while a text is analysed ends the analysis soon, and no plan is kept.
func TestAnalysisEndsWithItsContext(t *testing.T) {
	for name, text := range map[string]string{
		"before":    "SELECT email FROM users",
		"in a list": "SELECT id FROM users WHERE email IN (" + join(20000, ",", numbered("$#")) + ")",
	} {
		p := New(testSchema, dialect.Postgres, Options{})
		ctx := &endingContext{Context: t.Context()}
		if name != "before" {
			ctx.left = 2
		}
		if _, err := p.Plan(ctx, text, &Env{Catalog: testCatalog}); !errors.Is(err, context.Canceled) || errors.Is(err, colseal.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if ctx.left != -1 {
			t.Errorf("%s: the context was looked at %d times after it had ended", name, -1-ctx.left)
		}
		if _, err := p.Plan(t.Context(), text, &Env{Catalog: testCatalog}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// endingContext is canceled once it was looked at so often.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A text that only seems to name a sealed table is forwarded, whatever its analysis would cost.
func TestTooMuchWorkForNothingSealed(t *testing.T) {
	p := New(testSchema, dialect.Postgres, Options{})
	text := "SELECT 'users' FROM " + join(1000, ",", numbered("orders o#")) + " WHERE " + join(2000, " OR ", always("user_id=1"))
	plan, err := p.Plan(t.Context(), text, &Env{Catalog: testCatalog})
	if err != nil || plan.Sealed || plan.Effects == 0 {
		t.Errorf("got %+v, %v", plan, err)
	}
}
