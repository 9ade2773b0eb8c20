package pg

import (
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlparse"
)

// types are the spellings of a type's name, in their order of difficulty.
var types = []string{
	"text", "bytea", "int", "bigint", "app.my_type", `"char"`, `app . "My""Type"`, `U&"t\0065xt"`, `U&"t!0065xt" UESCAPE '!'`,
	"varchar(10)", "numeric(10, 2)", "numeric", "dec(5)", "float", "float(24)", "double precision", "real", "boolean", "json", "jsonb",
	"char", "char(3)", "character varying", "character varying(3)", "char varying", "nchar(2)", "nchar varying(2)",
	"national character", "national character varying(7)", "national char varying", "bit", "bit(3)", "bit varying", "bit varying(3)",
	"time", "time(3)", "time with time zone", "time(3) without time zone", "timestamp", "timestamp (3) with time zone",
	"timestamp/* a */without/* b */time -- c\n zone", "interval", "interval(3)", "interval year", "interval month",
	"interval day", "interval hour", "interval minute", "interval second", "interval second(3)", "interval year to month",
	"interval day to hour", "interval day to minute", "interval day to second", "interval day to second(2)",
	"interval hour to minute", "interval hour to second(1)", "interval minute to second", "geometry(point, 4326)",
	"text[]", "text[][]", "text[3]", "text[3][4]", "text ARRAY", "text ARRAY[3]", "varchar(10)[]", "double precision[]",
	"timestamp(3) with time zone[]", "interval day to second(2)[]", "app.t(1)[2]", "double", "national_t", "\u00e9t\u00e9",
}

// frames hold a cast to a type, §, in every place where one may stand.
var frames = []string{
	"SELECT $1::§", "SELECT $1::§, 2", "SELECT CAST($1 AS §)", "SELECT cast ( $1 as § ) AS x", "SELECT ($1::§)",
	"SELECT $1 :: § = ANY (a)", "SELECT $1::§::text", "INSERT INTO a VALUES ($1::§, $2)", "SELECT 'a' || $1::§ || 'b'",
	"SELECT a FROM b WHERE c = $1::§ AND d", "SELECT $1::§ FROM a", "SELECT ARRAY[$1::§]", "SELECT $1::§ IS NULL",
	"SELECT CASE WHEN a THEN $1::§ END", "UPDATE a SET b = $1::§ WHERE c", "SELECT $1::§ -- comment", "SELECT $1::§; SELECT 1",
}

// findCast returns the first cast in a tree, or the one inside it.
func findCast(tree any) (found *sqlparse.Cast) {
	sqlparse.Inspect(tree, func(node any) bool {
		if c, ok := node.(*sqlparse.Cast); ok && found == nil {
			found = c
			if inner, ok := c.Arg.(*sqlparse.Cast); ok {
				found = inner
			}
		}
		return found == nil
	})
	return found
}

// parseTokens parses a text that has to be valid, and scans it.
func parseTokens(t *testing.T, text string) (*sqlparse.File, []sqlparse.Token) {
	t.Helper()
	f, err := Parse(text, sqlparse.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	tokens, err := f.Tokens()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f, tokens
}

// A type's span is right when the text with another type in its place has the same
// tree but for the type.
func TestTypeEnd(t *testing.T) {
	for _, typ := range types {
		for _, frame := range frames {
			text := strings.Replace(frame, "§", typ, 1)
			f, tokens := parseTokens(t, text)
			cast := findCast(f.Statements)
			end, ok := TypeEnd(tokens, text, cast.Type.Pos())
			if !ok {
				t.Errorf("%s: no type found", text)
				continue
			}
			if got := text[cast.Type.Pos():end]; got != typ {
				t.Errorf("%s: found %q, want %q", text, got, typ)
			}
			edited, _ := parseTokens(t, text[:cast.Type.Pos()]+"bytea"+text[end:])
			cast.Type = sqlparse.Type{At: cast.Type.At, Name: "bytea"}
			if got, want := dumpFile(edited), dumpFile(f); got != want {
				t.Errorf("%s: after the edit %s, want %s", text, got, want)
			}
		}
	}
}

// The whole cast can be replaced by a parameter.
func TestCastSpan(t *testing.T) {
	for _, typ := range types {
		for _, frame := range frames {
			text := strings.Replace(frame, "§", typ, 1)
			f, tokens := parseTokens(t, text)
			cast := findCast(f.Statements)
			start, end, ok := Span(tokens, text, cast)
			if !ok {
				t.Errorf("%s: no span", text)
				continue
			}
			want := strings.Replace(dumpFile(f), dump(cast), "$9", 1)
			edited, _ := parseTokens(t, text[:start]+"$9"+text[end:])
			if got := dumpFile(edited); got != want {
				t.Errorf("%s: without the cast %s, want %s", text, got, want)
			}
		}
	}
}

// Constants, each with its whole text.
var constants = []string{
	"1", "-1", "+1", "+ 1.5", "- 1", "- - 1", "-(1)", "-(-(1))", "-/* a */(\n1 )", "1.5", "-1.5e10", ".5", "5.", "0x1F", "1_000", "99999999999", "-99999999999",
	"'a'", "'a''b'", "''", `E'a\'b'`, "E'a'\n'\\''", "$$a$$", "$x$ $$ $x$", "U&'\\0061'", "U&'!0061' UESCAPE '!'", "u&'!0061'/* */uescape\n'!'",
	"'a'\n'b'", "'a' -- it's\n\n 'b'", "TRUE", "false", "NULL",
}

var constantFrames = []string{
	"SELECT §", "SELECT §, 2", "SELECT (§)", "SELECT § AS x", "INSERT INTO a VALUES (§)", "SELECT a FROM b WHERE c = § AND d",
	"SELECT f(§)", "SELECT ARRAY[§]", "SELECT a IN (§, 'x')", "VALUES (§), (2)", "SELECT a FROM b WHERE § = c", "SELECT § -- c",
	"UPDATE a SET b = § WHERE c", "SELECT a, (§), b",
}

func TestConstEnd(t *testing.T) {
	for _, c := range constants {
		for _, frame := range constantFrames {
			text := strings.Replace(frame, "§", c, 1)
			f, tokens := parseTokens(t, text)
			at := strings.Index(frame, "§")
			end, ok := ConstEnd(tokens, text, at)
			if !ok {
				t.Errorf("%s: no constant found", text)
				continue
			}
			if got := text[at:end]; got != c {
				t.Errorf("%s: found %q, want %q", text, got, c)
			}
			one, _ := parseTokens(t, "SELECT "+c)
			val := one.Statements[0].Stmt.(*sqlparse.Select).Targets[0].Expr
			if val.Pos() != 7 {
				t.Errorf("%s: starts at %d", c, val.Pos()-7)
			}
			edited, _ := parseTokens(t, text[:at]+"$9"+text[end:])
			if got, want := strings.Replace(dumpFile(edited), "$9", dump(val), 1), dumpFile(f); got != want {
				t.Errorf("%s: after the edit %s, want %s", text, got, want)
			}
		}
	}
}

// A constant of a named type is one cast.
func TestTypedConstSpan(t *testing.T) {
	for _, c := range []string{
		"date '2020-01-01'", "interval '1 day'", "interval '1' day to second(3)", "interval(3) '1'", "N'x'", "numeric(10,2) '1.5'",
		"timestamp with time zone '2020-01-01'", "double precision '1'", "app.t '1'", "app.t(1) $$x$$", "bytea U&'!0061' UESCAPE '!'",
		"'x'::text", "('x')::text", "( ('x') )::text", "CAST('x' AS text)", "'x'::text::bytea", "CAST(('x'::text) AS bytea)", "(-5)::int",
	} {
		text := "SELECT a, " + c + ", b"
		f, tokens := parseTokens(t, text)
		start, end, ok := Span(tokens, text, f.Statements[0].Stmt.(*sqlparse.Select).Targets[1].Expr)
		if !ok || text[start:end] != c {
			t.Errorf("%s: got %q, %v", c, text[start:end], ok)
		}
	}
}

func TestExpressionSpans(t *testing.T) {
	for _, e := range []string{
		"a", "a.b", `app."T".c`, `U&"!0061" UESCAPE '!'`, "t.*", "$1", "ROW(1, 2)", "(a, (b))", "ARRAY[1, ARRAY[2]]", "ARRAY[[1], [2]]",
		"(SELECT 1)", "EXISTS (SELECT (1))", "ARRAY(SELECT 1)",
		"a = $1", "$1=a", "(a) = ($1)", "((a)) = (($1))", "a <> 'x'", "a != 'x'", "a OPERATOR(pg_catalog.=) $1", "a IS DISTINCT FROM $1",
		"a IS NOT DISTINCT FROM ('x')", "a = $1::text", "a = CAST($1 AS text)", "a = ANY ($1)", "a <> ALL (ARRAY[$1, $2])", "a = SOME ((SELECT 1))",
		"a = ANY ($1::text[])", "(a, b) = ($1, $2)", "ROW(a) = ROW($1)", "a = (SELECT 1)", "t.a = -5", "a = -(5)",
		"a IN ($1, 'x')", "a NOT IN ((1), 2)", "a IN (SELECT 1)", "(a, b) IN (($1, $2))", "(a) IN (1)",
		"a NOT IN (SELECT 1)", "lower(a) = lower($1)", "pg_catalog.lower($1) <> b", "COALESCE(a, $1)", "coalesce ( $1, (SELECT 1) ) = NULLIF(a, '')", "(NULLIF(a, $1)) IN ($2)",
		"CASE WHEN a THEN 1 END", "case a when 1 then case when b then 2 end else (SELECT c AS end FROM d) end = $1",
		"a LIKE $1", "a NOT LIKE '%x'", "(a) ILIKE ($1) ESCAPE ('!')", "lower(a) LIKE lower($1) || '%'", "a OPERATOR(pg_catalog.!~~*) $1", "a !~~ $1",
		"a @> ARRAY[$1]", "$1 <@ a", "a && '{}'::text[]", "a ^@ $1", "starts_with(a, $1)", "left(a, 3) = $1", "$1 = pg_catalog.right(a, 3)", "a || b", "a = b || c",
		"'%' || $1 || '%'", "a LIKE ('%' || $1)", "coalesce(a, f(b)) || 'x'",
		"CASE WHEN t.end THEN t.case ELSE 1 END IN (1)", `CASE "case" WHEN 1 THEN ARRAY[CASE WHEN a THEN 1 END] END`,
	} {
		for _, frame := range []string{"SELECT §", "SELECT x, §, y", "SELECT (§)", "SELECT 1 WHERE § AND z", "SELECT f(§)"} {
			text := strings.Replace(frame, "§", e, 1)
			if e == "t.*" && strings.Contains(frame, "(") || e == "t.*" && strings.Contains(frame, "AND") {
				continue
			}
			if e == "(SELECT 1)" && frame == "SELECT (§)" {
				continue // all the parentheses around a subquery are its own
			}
			f, tokens := parseTokens(t, text)
			expr := within(f)
			start, end, ok := Span(tokens, text, expr)
			if !ok || text[start:end] != e {
				t.Errorf("%s: got %q, %v", text, text[start:end], ok)
			}
		}
	}
	for _, e := range []string{"f(a) = $1", "(a || b) || c", "a || (b)", "a SIMILAR TO b", "upper($1)", "substring(a FOR 2)"} {
		text := "SELECT " + e
		f, tokens := parseTokens(t, text)
		if _, _, ok := Span(tokens, text, within(f)); ok {
			t.Errorf("%s: has a span, which is not known to be right", e)
		}
	}
}

// within returns the expression that stands in one of the frames of the test above.
func within(f *sqlparse.File) sqlparse.Expr {
	s := f.Statements[0].Stmt.(*sqlparse.Select)
	switch {
	case s.Where != nil:
		return s.Where.(*sqlparse.Logic).Args[0]
	case len(s.Targets) == 3:
		return s.Targets[1].Expr
	}
	e := s.Targets[0].Expr
	if c, ok := e.(*sqlparse.Call); ok && c.Name == "f" {
		return c.Args[0]
	}
	return e
}

// nameEnd returns the end of the name that starts at the byte offset at: of a table
// or column, qualified or not.
func nameEnd(tokens []sqlparse.Token, text string, at int) (int, bool) {
	return reader{tokens, text}.end(reader.name, at)
}

func TestNameEnd(t *testing.T) {
	for _, name := range []string{
		"users", "app.users", `"Users"`, `app."Us.ers"`, `"a""b"."c"`, "app . users", "app/* a.b */.-- c\nusers", "db.app.users", "\u00e9t\u00e9",
		`U&"\0061"`, `U&"!0061" UESCAPE '!'`, `U&"!0061" UESCAPE '!'.users`, `app.U&"!0061"/**/UESCAPE '!'`, "users_$1",
	} {
		for _, frame := range []string{
			"SELECT * FROM §", "SELECT * FROM § u", "SELECT * FROM ONLY §, b", "SELECT * FROM ONLY (§)", "SELECT * FROM a JOIN § ON true",
			"INSERT INTO § (a) VALUES (1)", "INSERT INTO § DEFAULT VALUES", "INSERT INTO § AS x SELECT 1", "UPDATE § SET a = 1", "UPDATE § AS x SET a = 1", "DELETE FROM § WHERE a",
			"MERGE INTO § USING b ON c WHEN MATCHED THEN DELETE", "TABLE §", "SELECT 1 INTO §", "TRUNCATE §",
		} {
			text := strings.Replace(frame, "§", name, 1)
			_, tokens := parseTokens(t, text)
			at := strings.Index(frame, "§")
			end, ok := nameEnd(tokens, text, at)
			if !ok || text[at:end] != name {
				t.Errorf("%s: got %q, %v", text, text[at:max(at, end)], ok)
			}
		}
	}
}

func TestSourceStart(t *testing.T) {
	for _, text := range []string{
		"INSERT INTO a |VALUES (1)", "INSERT INTO app.a AS x (b, c[1]) |SELECT 1", "INSERT INTO a (b) OVERRIDING SYSTEM VALUE |VALUES (1)",
		"INSERT INTO a |(SELECT 1)", "INSERT INTO a |((SELECT 1) UNION SELECT 2)", "INSERT INTO a (b) |WITH x AS (SELECT 1) TABLE x", "INSERT INTO a |TABLE b",
		"INSERT INTO a |DEFAULT VALUES", `INSERT INTO U&"!0061" UESCAPE '!' AS U&"!0062" UESCAPE '!' (b) |VALUES (1)`,
		"WITH q AS (INSERT INTO z VALUES (2)) INSERT INTO a OVERRIDING USER VALUE |SELECT 1",
	} {
		at := strings.Index(text, "|")
		text = strings.Replace(text, "|", "", 1)
		f, tokens := parseTokens(t, text)
		got, ok := SourceStart(tokens, text, f.Statements[0].Stmt.(*sqlparse.Insert))
		if !ok || got != at {
			t.Errorf("%s: %d, %v; want %d", text, got, ok, at)
		}
	}
}

// No position is one where nothing stands.
func TestEndsOfNothing(t *testing.T) {
	const text = "SELECT 'a' + (b)"
	_, tokens := parseTokens(t, text)
	for at := -1; at < len(text)+2; at++ {
		if _, ok := nameEnd(tokens, text, at); ok && at != 0 && at != 14 {
			t.Errorf("a name at %d", at)
		}
		if _, ok := TypeEnd(tokens, text, at); ok && at != 0 && at != 14 {
			t.Errorf("a type at %d", at)
		}
		if _, ok := ConstEnd(tokens, text, at); ok && at != 7 {
			t.Errorf("a constant at %d", at)
		}
	}
	if _, ok := ConstEnd(nil, "", 0); ok {
		t.Error("a constant without tokens")
	}
}
