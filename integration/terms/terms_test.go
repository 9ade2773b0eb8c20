// Package terms compares searches for beginnings, ends, members and equality in sealed columns with those in plain ones, on real
// PostgreSQL servers.
package terms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/ops/reseal"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type person struct {
	ID    int64
	Name  *string  `seal:"random,equal,fold,prefix=2-6,suffix=2-5"`
	Email *string  `seal:"deterministic,equal,fold,prefix=1-4,suffix=3-8"`
	Code  *string  `seal:"random,prefix=1-3"`
	Tags  []string `seal:"random,equal,elements"`
	Nums  []int64  `seal:"deterministic,elements"`
	Pin   *int64   `seal:"random,equal"`
}

var tables = schema.Must(schema.Model("people", person{}))

// world is a sealed table and a plain twin of it. In the twin a value of another scope is one that is equal to no other, begins and
// ends like no other, and has no member that is NULL or another's: that is what a search for terms makes of such a row.
type world struct {
	pg     *pgtest.DB
	db     *sql.DB
	pool   *pgxseal.Pool
	admin  *keyring.Admin
	config driver.Config
}

func newWorld(t *testing.T, pg *pgtest.DB) *world {
	t.Helper()
	key, err := kms.Open(t.Context(), "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := ddl.Write(tables, ddl.Options{Dialect: dialect.Postgres})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{pg: pg, config: driver.Config{Schema: tables, KMS: key}}
	w.exec(t, `CREATE TABLE people (id bigint PRIMARY KEY, name bytea, email bytea, code bytea, tags bytea, nums bytea, pin bytea)`)
	w.exec(t, `CREATE TABLE twin (id bigint PRIMARY KEY, name text COLLATE "C.utf8", email text COLLATE "C.utf8", code text COLLATE "C.utf8", tags text[], nums bigint[], pin bigint)`)
	w.exec(t, script)
	w.exec(t, script) // again: nothing is made twice
	w.open(t)
	w.admin = keyring.NewAdmin(keyring.OpenStore(pg.Admin, keyring.DialectPostgres, ""), key, keyring.AdminConfig{By: "test"})
	return w
}

// open opens the database as another process would.
func (w *world) open(t *testing.T) {
	t.Helper()
	pgCfg, err := pgx.ParseConfig(w.pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pgCfg), w.config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	poolCfg, err := pgxpool.ParseConfig(w.pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxseal.New(t.Context(), poolCfg, w.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w.db, w.pool = db, pool
}

func (w *world) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := w.pg.Admin.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

var names = []string{"Alice", "alice", "ALICE", "Alan", "Al", "A", "", "Bob", "bo", "Bobby", "100%", "100%er", "a_c", "abc", `back\slash`, "ÄRGER", "ärger", "Ärgern", "İi", "ΣΑΣ", "σας", "O'Brien"}

var arrays = [][]*string{{}, {p("a")}, {p("a"), p("b")}, {p("b"), nil}, {nil}, {p(""), p("A"), p("a")}, {p("NULL"), p(`q"\`)}}

func p(s string) *string { return &s }

// other is a text of another scope in the twin.
func other(s string) string { return "¤¤¤¤¤¤¤¤" + s + "¤¤¤¤¤¤¤¤" }

// literal is the literal of an array.
func literal(elems []*string, other bool) string {
	out := []byte{'{'}
	for i, e := range elems {
		if i > 0 {
			out = append(out, ',')
		}
		switch {
		case e == nil && !other:
			out = append(out, "NULL"...)
		case e == nil:
			out = pgarray.AppendElement(out, "¤")
		case other:
			out = pgarray.AppendElement(out, "¤"+*e)
		default:
			out = pgarray.AppendElement(out, *e)
		}
	}
	if other && len(elems) == 0 {
		out = pgarray.AppendElement(out, "¤¤")
	}
	return string(append(out, '}'))
}

// fill adds rows of two scopes, with NULLs between them.
func (w *world) fill(t *testing.T, from int) {
	t.Helper()
	const insert = "INSERT INTO people (id, name, email, code, tags, nums, pin) VALUES ($1, $2, $3, $4, $5, $6, $7)"
	for i, name := range names {
		for scope := range 2 {
			tags := arrays[i%len(arrays)]
			nums := fmt.Sprintf("{%d,%d,NULL}", i%3, i%5)
			if i%2 == 0 {
				nums = fmt.Sprintf("{%d}", i%4)
			}
			id, pin := from+2*i+scope, int64(i%4)
			if scope == 1 {
				ctx := keyring.WithScope(t.Context(), "tenant:1")
				w.insert(t, ctx, insert, id, name, name, name, literal(tags, false), nums, pin)
				w.exec(t, strings.Replace(insert, "people", "twin", 1), id, other(name), other(name), other(name), literal(tags, true), "{-1000}", -1000)
				continue
			}
			w.insert(t, t.Context(), insert, id, name, name, name, literal(tags, false), nums, pin)
			w.exec(t, strings.Replace(insert, "people", "twin", 1), id, name, name, name, literal(tags, false), nums, pin)
		}
	}
	w.insert(t, t.Context(), "INSERT INTO people (id) VALUES ($1)", from+99)
	w.exec(t, "INSERT INTO twin (id) VALUES ($1)", from+99)
}

func (w *world) insert(t *testing.T, ctx context.Context, query string, args ...any) {
	t.Helper()
	if _, err := w.db.ExecContext(ctx, query, args...); err != nil {
		t.Fatal(err)
	}
}

// under counts the cells under a key; all must be under known ones.
func (w *world) under(t *testing.T, id uint32) (n int64) {
	t.Helper()
	uses, err := reseal.Usage(t.Context(), w.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uses {
		if u.State == reseal.StateUnknown || u.State == reseal.StateNotCell {
			t.Errorf("%+v", u)
		}
		if u.KeyID == id {
			n += u.Cells
		}
	}
	return n
}

// patterns are arguments of LIKE, and fine for names of every option.
var patterns = []any{"%", "%%", "", "Al%", "al%", "AL%", "Alice", "alice", "%ce", "%CE", "%%ice", "Bo%%", `100\%`, `100\%%`, `a\_c`, "ÄR%", "är%", "Ärger%", "%ger", "ΣΑ%", "σα%", "İi", "O'B%", "Zz%", nil}

var texts = []any{"Alice", "alice", "Al", "al", "", "bo", "Bo", "ÄR", "är", "a_c", "100%", "O'Brien", nil}

var members = []any{"a", "b", "A", "", "NULL", `q"\`, "zz", nil}

// A condition has one argument.
type condition struct {
	sql  string
	args []any
	odd  bool // NULL is refused
}

var conditions = []condition{
	{sql: "u.name LIKE $1", args: patterns}, {sql: "u.name NOT LIKE $1", args: patterns}, {sql: "NOT (u.name LIKE $1 OR u.id < 10)", args: patterns},
	{sql: "u.name ILIKE $1", args: patterns}, {sql: "u.name NOT ILIKE $1::text", args: patterns}, {sql: "lower(u.name) LIKE lower($1)", args: patterns},
	{sql: "lower(u.name) LIKE $1", args: patterns}, {sql: "u.email ILIKE $1", args: patterns[:8]}, {sql: "u.name ~~ $1 OR u.name !~~* $1", args: patterns},
	{sql: `u.name LIKE $1 ESCAPE '!'`, args: []any{"Al%", "100!%", "a!_c", "!!x%", `back\%`, nil}}, {sql: `u.name LIKE $1 ESCAPE ''`, args: []any{`back\%`, "Al%"}},
	{sql: "u.name LIKE $1 || '%'", args: []any{"Al", "al", "Bo", "", nil}}, {sql: "lower(u.name) LIKE '%' || lower($1)", args: []any{"CE", "er", "%", nil}},
	{sql: "u.name LIKE 'Al' || lower($1) || '%'", args: []any{"I", "ICE", "", nil}}, {sql: "lower(u.name) LIKE 'AL' || lower($1)", args: []any{"ICE"}}, {sql: "u.name ILIKE 'AL' || lower($1)", args: []any{"ICE"}},
	{sql: "u.name ILIKE lower($1) ESCAPE 'X'", args: []any{"BoX", "BXoB"}}, {sql: "u.name ILIKE $1 ESCAPE 'X'", args: []any{"BXoB", "bxob"}},
	{sql: "u.name LIKE ('Bo' || $1)", args: []any{"%", "b", "bby", "b%"}},
	{sql: "starts_with(u.name, $1)", args: []any{"Al", "al", "Bo", "", "ÄR", "a_", nil}}, {sql: "NOT starts_with(u.name, $1)", args: []any{"Al", "", nil}}, {sql: "u.name ^@ $1", args: []any{"Al", "al", "10"}},
	{sql: "starts_with(lower(u.name), lower($1))", args: []any{"AL", "är", "ÄR", ""}},
	{sql: "left(u.name, 2) = $1", args: texts}, {sql: "$1 = left(u.name, 2)", args: texts}, {sql: "right(u.name, 3) <> $1", args: []any{"ice", "ger", "A", "", "toolong", "Bob", nil}},
	{sql: "left(lower(u.name), 2) = lower($1)", args: texts}, {sql: "lower(left(u.name, 3)) IN (lower($1), 'bob')", args: texts}, {sql: "left(u.name, 0) = $1", args: texts},
	{sql: "right(u.email, 3) = ANY (ARRAY[$1, 'bob', NULL])", args: texts}, {sql: "left(u.code, 2) = $1", args: []any{"Al", "bo", "ÄR", "toolong"}},
	{sql: "u.code LIKE $1", args: []any{"A%", "Al%", "Ali%", "%", "ä%"}}, {sql: "u.code NOT LIKE $1", args: []any{"A%", "Al%", "%"}},
	{sql: "u.name = $1", args: texts}, {sql: "u.name <> $1", args: texts}, {sql: "NOT u.name = $1", args: texts}, {sql: "u.name IN ($1, 'Bob')", args: texts}, {sql: "u.name NOT IN ('Bob', $1)", args: texts},
	{sql: "u.name = ANY ($1)", args: []any{"{Alice,Bob}", "{Alice,NULL}", "{}", "{NULL}", `{"",İi}`, nil}}, {sql: "u.name <> ALL ($1)", args: []any{"{Alice,Bob}", "{Alice,NULL}", "{}", nil}},
	{sql: "u.name = ALL ($1::text[])", args: []any{"{Alice}", "{Alice,Bob}", "{}"}}, {sql: "NOT u.name <> ANY ($1)", args: []any{"{Alice}", "{Alice,NULL}", "{}"}},
	{sql: "lower(u.name) = lower($1)", args: texts}, {sql: "lower(u.name) IN ('bob', $1)", args: texts}, {sql: "lower(u.email) <> $1", args: texts},
	{sql: "u.pin = $1", args: []any{1, 3, 77, nil}}, {sql: "u.pin <> $1::int", args: []any{1, 77, nil}}, {sql: "u.pin IN (1, $1)", args: []any{2, nil}}, {sql: "u.pin = ANY ($1)", args: []any{"{1,3}", "{}"}},
	{sql: "$1 = ANY (u.tags)", args: members}, {sql: "NOT $1 = ANY (u.tags)", args: members, odd: true}, {sql: "$1 <> ALL (u.tags)", args: members, odd: true}, {sql: "NOT ($1 <> ALL (u.tags) OR u.id > 30)", args: members},
	{sql: "$1 = ANY (u.nums)", args: []any{0, 1, 2, 3, 99, nil}}, {sql: "NOT ($1 = ANY (u.nums) AND u.id > 5)", args: []any{0, 1, 2, 99}},
	{sql: "u.tags @> $1", args: []any{"{}", "{a}", "{b,a}", "{NULL}", "{a,NULL}", `{"NULL"}`, `{"","A"}`, "{zz}", nil}}, {sql: "NOT u.tags @> $1", args: []any{"{}", "{a}", "{a,NULL}", nil}},
	{sql: "$1 <@ u.tags", args: []any{"{a,b}", "{}"}}, {sql: "u.tags && $1", args: []any{"{}", "{a,zz}", "{NULL}", "{b,NULL}", nil}}, {sql: "NOT u.tags && $1", args: []any{"{}", "{a,zz}", "{NULL}"}},
	{sql: "u.tags @> ARRAY[$1, 'a']", args: members}, {sql: "NOT u.tags @> ARRAY[$1, 'a']::text[]", args: members}, {sql: "u.tags && ARRAY['b', $1]", args: members}, {sql: "u.nums @> ARRAY[$1, 1]::bigint[]", args: []any{0, 1, 2}},
	{sql: "u.tags = $1", args: []any{"{}", "{a}", "{a,b}", "{b,NULL}", "{b,a}", nil}}, {sql: "u.nums = $1", args: []any{"{0}", "{1,1,NULL}"}},
	{sql: "($1 = '' OR u.name LIKE $1) AND u.id > 3", args: []any{"", "Al%", "Bob"}}, {sql: "($1::text IS NULL OR u.name LIKE $1)", args: []any{nil, "Al%"}},
	{sql: "(u.name LIKE $1 OR u.email LIKE $1 OR u.name = $1)", args: []any{"Al%", "Alice", "%ice"}}, {sql: "CASE WHEN u.name LIKE $1 THEN u.pin = 1 ELSE u.pin = 2 END", args: []any{"Al%", nil}},
	{sql: "EXISTS (SELECT FROM TABLE_ v WHERE v.name LIKE $1 AND v.id = u.id + 1)", args: patterns[:10]}, {sql: "u.id IN (SELECT s.id FROM (SELECT id, name AS n FROM TABLE_) s WHERE s.n ILIKE $1)", args: patterns[:10]},
	{sql: "u.id IN (SELECT v.id FROM TABLE_ v LEFT JOIN TABLE_ x ON x.name LIKE $1 AND x.id = v.id WHERE x.id IS NULL)", args: patterns[:10]},
	{sql: "(SELECT count(*) FILTER (WHERE v.name LIKE $1) FROM TABLE_ v) > 4 AND u.name NOT LIKE $1", args: patterns[:10]}, {sql: "(u.name LIKE $1) IS NOT TRUE", args: patterns[:10]},
	{sql: "(u.name LIKE $1) IS NULL", args: []any{"Al%", nil}}, {sql: "COALESCE(u.name LIKE $1, true)", args: []any{"Al%", nil}}, {sql: "u.name LIKE NULL OR u.name LIKE 'Bo%' AND u.id > $1", args: []any{1}},
	{sql: "u.name LIKE 'it''s%' OR u.name LIKE E'100\\\\%%' OR u.id = $1", args: []any{1}}, {sql: "u.tags @> '{a}' AND 'b' = ANY (u.tags) OR u.id = $1", args: []any{1}},
}

// compare runs every condition with every value through both fronts, and on the twin.
func (w *world) compare(t *testing.T) {
	t.Helper()
	n := 0
	for _, c := range conditions {
		query := "SELECT u.id FROM TABLE_ u WHERE " + c.sql
		sealed := strings.ReplaceAll(query, "TABLE_", "people")
		for _, arg := range c.args {
			got, err := pgtest.IDs(w.db.QueryContext(t.Context(), sealed, arg))
			if c.odd && arg == nil {
				if !errors.Is(err, driver.ErrRefused) {
					t.Errorf("%s with NULL: %v, %v; want a refusal", sealed, got, err)
				}
				continue
			}
			want, werr := pgtest.IDs(w.pg.Admin.QueryContext(t.Context(), strings.ReplaceAll(query, "TABLE_", "twin"), arg))
			if werr != nil {
				t.Fatalf("%s: %v", query, werr)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s with %v: %v, %v; want %v", sealed, arg, got, err, want)
			}
			rows, err := w.pool.Query(t.Context(), sealed, arg)
			if err == nil {
				got, err = pgx.CollectRows(rows, pgx.RowTo[int64])
				slices.Sort(got)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("pgxseal: %s with %v: %v, %v; want %v", sealed, arg, got, err, want)
			}
			n++
		}
	}
	t.Logf("%d comparisons", n)
}

// TestSearch: every search answers as on plain columns, with one search key and with two.
func TestSearch(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		w.fill(t, 0)
		w.compare(t)
		w.refused(t)

		if _, err := w.admin.Rotate(t.Context(), keyring.PurposeSearch, ""); err != nil {
			t.Fatal(err)
		}
		w.exec(t, "UPDATE colseal_keys SET seals_from = seals_from - interval '3 hours', created_at = created_at - interval '3 hours'")
		w.open(t)
		w.fill(t, 100)
		w.compare(t)
		w.reseal(t)
		w.compare(t)
	})
}

// TestFuzzyLimit: a search that the server would leave rows out of is refused.
func TestFuzzyLimit(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		w.fill(t, 0)
		conn, err := w.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		native, err := w.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer native.Release()
		for _, set := range []string{"SELECT 1", "SET gin_fuzzy_search_limit = 5", "RESET gin_fuzzy_search_limit", "SELECT set_config('gin_fuzzy_search_limit', '9', false)"} {
			if _, err := conn.ExecContext(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			if _, err := native.Exec(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			limited := strings.Contains(set, " = 5") || strings.Contains(set, "'9'")
			for query, byTerms := range map[string]bool{"SELECT count(*) FROM people WHERE name LIKE $1": true, "SELECT count(*) FROM people WHERE lower(email) = lower($1)": false} {
				var n int
				for front, err := range map[string]error{"driver": conn.QueryRowContext(t.Context(), query, "Al%").Scan(&n), "pgxseal": native.QueryRow(t.Context(), query, "Al%").Scan(&n)} {
					if refused := errors.Is(err, driver.ErrRefused); refused != (limited && byTerms) || !refused && err != nil {
						t.Errorf("%s: after %s, %s: %v", front, set, query, err)
					}
				}
			}
		}
	})
}

// reseal ends the change of the search key.
func (w *world) reseal(t *testing.T) {
	t.Helper()
	old, err := w.admin.Keys(t.Context(), keyring.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	old = slices.DeleteFunc(old, func(k keyring.Key) bool { return k.Purpose != keyring.PurposeSearch || k.Scope != "" || k.Epoch != 1 })
	if n := w.under(t, old[0].ID); n == 0 {
		t.Error("no cells are counted under the old key")
	}
	report, err := reseal.Run(t.Context(), w.db, reseal.Options{})
	if err != nil || report.Left() != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if n := w.under(t, old[0].ID); n != 0 {
		t.Errorf("%d cells are left under the old key", n)
	}
	if _, err := w.admin.Retire(t.Context(), old[0].ID, "changed"); err != nil {
		t.Fatal(err)
	}
	w.open(t)
}

// refused: what the tags do not answer is refused before it is sent, and so is what a pattern asks beyond them.
func (w *world) refused(t *testing.T) {
	t.Helper()
	for _, tt := range []struct {
		sql  string
		arg  any
		want string
	}{
		{"name LIKE $1", "A%", "a beginning of 1 character is asked for, and the column has prefix=2-6"},
		{"name LIKE $1", "Alice B%", "tag the column prefix=2-7"},
		{"name LIKE $1", "%d", "an end of 1 character is asked for"},
		{"name LIKE $1", "a_c%", "with _"},
		{"name LIKE $1", "a%c", "% inside"},
		{"name LIKE $1", "%ab%", "% on both sides"},
		{"name LIKE $1", `ab\`, "escape character"},
		{"code LIKE $1", "%ab", "no suffix="},
		{"code LIKE $1", "ab", "tag the column equal"},
		{"code ILIKE $1", "ab%", "needs a column with fold"},
		{"lower(code) = $1", "ab", "tag the column fold"},
		{"code = $1", "ab", `seal:"random,equal"`},
		{"starts_with(name, $1)", "A", "a beginning of 1"},
		{"left(code, 3) = $1", "ab", "the whole value is asked for"},
		{"left(name, $1) = 'ab'", 2, "a length that is not a number"},
		{"left(name, -1) = $1", "ab", "negative"},
		{"name LIKE $1 ESCAPE 'ab'", "x", "not one character"},
		{"name LIKE lower(email) || $1", "x", "something else than a parameter"},
		{"pin = lower($1)", "x", "something else than a parameter"},
		{"tags @> lower($1)", "{A}", "something else than a parameter"},
		{"name LIKE upper($1)", "x", "something else than a parameter"},
		{"name SIMILAR TO $1", "x", "SIMILAR TO cannot work"},
		{"name ~ $1", "x", "the operator ~ cannot work"},
		{"name < $1", "x", "cannot work"},
		{"name = email AND id = $1", 1, "identities meet"},
		{"$1 = ANY (tags) IS NULL", "a", "outside of a condition"},
		{"$1 <> ANY (tags)", "a", "write $1 = ANY (column)"},
		{"tags <@ $1", "{a}", "cannot work"},
		{"id::text LIKE $1 OR name LIKE $1", "Al%", "also an operand of LIKE"},
		{"tags @> ARRAY[]::text[] OR id = $1", 1, "as one parameter"},
		{"name = ANY ($1)", "{" + strings.Repeat("a,", 256) + "b}", "more than 256 values"},
	} {
		query := "SELECT id FROM people WHERE " + tt.sql
		_, err := w.db.QueryContext(t.Context(), query, tt.arg) //nolint:rowserrcheck,sqlclosecheck // it is refused
		if !errors.Is(err, driver.ErrRefused) || !strings.Contains(fmt.Sprintf("%+v", err), tt.want) {
			t.Errorf("%s with %v: %v, want a refusal with %q", tt.sql, tt.arg, err, tt.want)
		}
		rows, err := w.pool.Query(t.Context(), query, tt.arg)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		if !errors.Is(err, driver.ErrRefused) {
			t.Errorf("pgxseal: %s with %v: %v, want a refusal", tt.sql, tt.arg, err)
		}
	}
	for _, q := range []string{"SELECT $1 = ANY (tags) FROM people", "SELECT starts_with(name, $1) FROM people", "SELECT id FROM people ORDER BY name LIKE $1, name",
		"CREATE VIEW v AS SELECT id FROM people WHERE name LIKE 'ab%'", "SELECT name, count(*) FROM people GROUP BY name", "SELECT DISTINCT name FROM people"} {
		if _, err := w.db.ExecContext(t.Context(), q, "a"); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("%s: %v, want a refusal", q, err)
		}
	}
}
