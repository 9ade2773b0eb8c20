// Package fold compares lower() of sealed columns with lower() of plain ones, on real PostgreSQL servers.
package fold

import (
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

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/ddl"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type user struct {
	ID    int64
	Email *string `seal:"deterministic,fold"`
}

var tables = schema.Must(schema.Model("users", user{}))

// world is a sealed table, and a plain twin of it in which a value of another scope is one that equals no other.
type world struct {
	pg     *pgtest.DB
	db     *sql.DB
	pool   *pgxseal.Pool
	admin  *keyring.Admin
	config driver.Config
}

func (w *world) cfg() driver.Config { return w.config }

var emails = []string{"Alice@Example.com", "alice@example.com", "ALICE@EXAMPLE.COM", "bob@example.com", "Bob", "bob", "", "ÄRGER", "ärger", "Straße", "ÎLE", "île"}

func newWorld(t *testing.T, pg *pgtest.DB) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{pg: pg}
	key, err := kms.Open(ctx, "localkms://"+filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := ddl.Write(tables, ddl.Options{Dialect: dialect.Postgres})
	if err != nil {
		t.Fatal(err)
	}
	w.exec(t, `CREATE TABLE users (id bigint PRIMARY KEY, email bytea); CREATE TABLE twin (id bigint PRIMARY KEY, email text COLLATE "C.utf8")`)
	w.exec(t, script)
	w.exec(t, script) // again: nothing is made twice
	w.config = driver.Config{Schema: tables, KMS: key}
	cfg := w.config
	if err := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "").Check(ctx); err != nil {
		t.Fatal(err)
	}
	pgCfg, err := pgx.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pgCfg), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.db = sql.OpenDB(cn)
	t.Cleanup(func() { _ = w.db.Close() })
	poolCfg, err := pgxpool.ParseConfig(pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	if w.pool, err = pgxseal.New(ctx, poolCfg, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	w.admin = keyring.NewAdmin(keyring.OpenStore(pg.Admin, keyring.DialectPostgres, ""), key, keyring.AdminConfig{By: "test"})
	w.fill(t, 0)
	return w
}

func (w *world) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := w.pg.Admin.ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

func (w *world) fill(t *testing.T, from int) {
	t.Helper()
	for i, e := range emails {
		for scope := range 2 {
			ctx, id, plain := t.Context(), from+2*i+scope, e
			if scope == 1 {
				ctx, plain = keyring.WithScope(ctx, "tenant:1"), "tenant:1 "+e
			}
			if _, err := w.db.ExecContext(ctx, "INSERT INTO users (id, email) VALUES ($1, $2)", id, e); err != nil {
				t.Fatal(err)
			}
			if _, err := w.pg.Admin.ExecContext(ctx, "INSERT INTO twin VALUES ($1, $2)", id, plain); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := w.db.ExecContext(t.Context(), "INSERT INTO users (id, email) VALUES ($1, NULL)", from+1000); err != nil {
		t.Fatal(err)
	}
	w.exec(t, fmt.Sprintf("INSERT INTO twin VALUES (%d, NULL)", from+1000))
}

// conditions have one text argument; together: they compare stored cells with each other.
var conditions = []struct {
	sql      string
	together bool
}{
	{sql: "lower(u.email) = lower($1)"}, {sql: "lower($1) = lower(u.email)"}, {sql: "lower(u.email) = $1"}, {sql: "pg_catalog.lower(u.email) <> LOWER($1::text)"},
	{sql: "NOT lower(u.email) = lower($1)"}, {sql: "lower(u.email) IN (lower($1), 'bob')"}, {sql: "lower(u.email) NOT IN ('bob', $1)"},
	{sql: "lower(u.email) = 'Bob' OR lower(u.email) = lower('BOB') OR u.email = $1"}, {sql: "lower(u.email) IS DISTINCT FROM lower($1)"},
	{sql: "lower(u.email) IS NOT DISTINCT FROM lower($1)"}, {sql: "lower(u.email) IS NULL AND $1 <> ''"}, {sql: "NULLIF(lower(u.email), lower($1)) IS NULL"},
	{sql: "CASE WHEN lower(u.email) = lower($1) THEN u.email IS NOT NULL ELSE false END"}, {sql: "($1 = '' OR lower(u.email) = lower($1)) AND u.id < 1000"},
	{sql: "lower(u.email) = ANY (ARRAY[$1, 'alice@example.com'])"}, {sql: "lower(u.email) <> ALL (ARRAY[lower($1), 'ärger'])"}, {sql: "EXISTS (SELECT 1 FROM TABLE_ v WHERE lower(v.email) = lower($1) AND v.id < u.id)"},
	{sql: "u.email = $1 OR lower(COALESCE(u.email, u.email)) = lower($1)"}, {sql: "(lower(u.email), u.id) = (lower($1), u.id)"},
	{sql: "EXISTS (SELECT 1 FROM TABLE_ v WHERE lower(v.email) = lower(u.email) AND v.id > u.id) AND $1 <> 'x'", together: true},
	{sql: "u.id IN (SELECT min(id) FROM TABLE_ GROUP BY lower(email)) AND $1 <> 'x'", together: true},
	{sql: "2 < (SELECT count(DISTINCT lower(email)) FROM TABLE_) AND lower(u.email) = lower($1)", together: true},
	{sql: "u.id IN (SELECT s.id FROM (SELECT id, lower(email) AS l FROM TABLE_) s WHERE s.l = lower($1))"},
}

// compare runs every condition with every value through both fronts, and on the twin.
func (w *world) compare(t *testing.T, keys int) {
	t.Helper()
	n := 0
	for _, c := range conditions {
		query := "SELECT u.id FROM TABLE_ u WHERE " + c.sql
		for _, arg := range append([]string{"Nobody"}, emails...) {
			want, err := pgtest.IDs(w.pg.Admin.QueryContext(t.Context(), strings.ReplaceAll(query, "TABLE_", "twin"), arg))
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			sealed := strings.ReplaceAll(query, "TABLE_", "users")
			got, err := pgtest.IDs(w.db.QueryContext(t.Context(), sealed, arg))
			if keys > 1 && c.together && errors.Is(err, driver.ErrRefused) {
				continue
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s with %q: %v, %v; want %v", sealed, arg, got, err, want)
			}
			rows, err := w.pool.Query(t.Context(), sealed, arg)
			if err == nil {
				got, err = pgx.CollectRows(rows, pgx.RowTo[int64])
				slices.Sort(got)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("pgxseal: %s with %q: %v, %v; want %v", sealed, arg, got, err, want)
			}
			n++
		}
	}
	t.Logf("%d keys: %d comparisons", keys, n)
}

func TestLower(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		w.compare(t, 1)

		var plan string
		if err := w.db.QueryRowContext(t.Context(), "SELECT string_agg(indexdef, ' ') FROM pg_indexes WHERE tablename = 'users'").Scan(&plan); err != nil || !strings.Contains(plan, "fold1") {
			t.Errorf("indexes %s, %v", plan, err)
		}
		for _, q := range []string{"SELECT lower(email) FROM users", "SELECT id FROM users ORDER BY lower(email)", "UPDATE users SET email = lower(email)", "INSERT INTO users (id, email) VALUES (1, lower('X'))",
			"SELECT id FROM users WHERE lower(email) = email", "SELECT id FROM users WHERE upper(email) = 'X'", "CREATE INDEX ON users (lower(email))", "SELECT id FROM users WHERE lower(email) LIKE 'x%'"} {
			if _, err := w.db.ExecContext(t.Context(), q); !errors.Is(err, driver.ErrRefused) {
				t.Errorf("%s: %v, want a refusal", q, err)
			}
		}

		// The server would see in lower() what is sealed elsewhere.
		if _, err := w.db.ExecContext(t.Context(), "SELECT id FROM users WHERE lower($1) = id::text AND email = $1", "secret"); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("a parameter in both roles: %v, want a refusal", err)
		}

		if _, err := w.admin.Rotate(t.Context(), keyring.PurposeSearch, ""); err != nil {
			t.Fatal(err)
		}
		w.exec(t, "UPDATE colseal_keys SET seals_from = seals_from - interval '3 hours', created_at = created_at - interval '3 hours'")
		two := newFronts(t, w)
		two.fill(t, 100)
		two.compare(t, 2)
	})
}

// newFronts opens the database as another process would.
func newFronts(t *testing.T, w *world) *world {
	t.Helper()
	cn, err := driver.NewConnector(stdlib.GetConnector(*w.pool.Raw().Config().ConnConfig), w.cfg())
	if err != nil {
		t.Fatal(err)
	}
	two := &world{pg: w.pg, db: sql.OpenDB(cn), admin: w.admin, config: w.config}
	t.Cleanup(func() { _ = two.db.Close() })
	if two.pool, err = pgxseal.New(t.Context(), w.pool.Raw().Config(), w.cfg()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(two.pool.Close)
	return two
}

// TestUnique: an index over colseal.fold1 makes values unique that differ in case only, and ON CONFLICT finds it.
func TestUnique(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.exec(t, "DELETE FROM users; CREATE UNIQUE INDEX ON users (colseal.fold1(email))")
	const upsert = "INSERT INTO users (id, email) VALUES ($1, $2) ON CONFLICT (lower(email)) DO UPDATE SET email = excluded.email"
	for i, e := range []string{"Bob", "BOB", "bob", "Alice"} {
		if _, err := w.db.ExecContext(t.Context(), upsert, i, e); err != nil {
			t.Fatal(err)
		}
	}
	var email string
	var n int
	if err := w.db.QueryRowContext(t.Context(), "SELECT email, (SELECT count(*) FROM users) FROM users WHERE lower(email) = lower($1)", "bOB").Scan(&email, &n); err != nil || email != "bob" || n != 2 {
		t.Errorf("%q of %d, %v; want bob of 2", email, n, err)
	}
	if _, err := w.db.ExecContext(t.Context(), "INSERT INTO users (id, email) VALUES (9, 'ALICE')"); err == nil {
		t.Error("a second Alice is stored")
	}
}

// later reports whether a letter is younger than Unicode 15.0, by which Colseal folds for good: some servers know its lower case.
func later(c string) bool {
	r := []rune(c)[0]
	return slices.Contains([]rune{0x1c89, 0xa7cb, 0xa7cc, 0xa7ce, 0xa7d2, 0xa7d4, 0xa7da, 0xa7dc}, r) || r >= 0x10d50 && r <= 0x10d65 || r >= 0x16ea0 && r <= 0x16eb8
}

// TestFoldIsLower: what Colseal folds a code point to is what lower() makes of it under C.utf8.
func TestFoldIsLower(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		rows, err := pg.Admin.QueryContext(t.Context(), `SELECT chr(i), lower(chr(i) COLLATE "C.utf8") FROM generate_series(1, 1114111) i WHERE i NOT BETWEEN 55296 AND 57343 AND chr(i) <> lower(chr(i) COLLATE "C.utf8")`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		differs, n := []string{}, 0
		for rows.Next() {
			var c, lower string
			if err := rows.Scan(&c, &lower); err != nil {
				t.Fatal(err)
			}
			if n++; codec.Fold(c) != lower && !later(c) {
				differs = append(differs, fmt.Sprintf("%+q: %+q, Colseal %+q", c, lower, codec.Fold(c)))
			}
		}
		if err := rows.Err(); err != nil || n < 1300 || len(differs) > 0 {
			t.Errorf("%d code points, %v; lower() differs: %s", n, err, differs)
		}
	})
}

// TestLowerDiffers lists where lower() makes of a text what Colseal does not fold it to, by the collation.
func TestLowerDiffers(t *testing.T) {
	const other = `SELECT chr(i), lower(chr(i) COLLATE %[1]q) FROM generate_series(1, 131071) i WHERE i NOT BETWEEN 55296 AND 57343 AND (i < 128 OR lower(chr(i) COLLATE "C.utf8") <> chr(i) OR lower(chr(i) COLLATE %[1]q) <> chr(i))`
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		for collation, want := range map[string]struct {
			letters []string // nil: all beyond ASCII that have another lower case
			sigma   string   // of a word that ends in Σ
		}{
			"C":         {nil, "ΑΣ"},
			"und-x-icu": {[]string{"İ: i̇"}, "ας"},
			"tr-x-icu":  {[]string{"I: ı"}, "ας"},
		} {
			rows, err := pg.Admin.QueryContext(t.Context(), fmt.Sprintf(other, collation))
			if err != nil {
				t.Fatal(err)
			}
			var differs []string
			for rows.Next() {
				var c, lower string
				if err := rows.Scan(&c, &lower); err != nil {
					t.Fatal(err)
				}
				if codec.Fold(c) != lower && !later(c) {
					differs = append(differs, c+": "+lower)
				}
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d code points differ: %.12q", collation, len(differs), differs[:min(len(differs), 5)])
			if want.letters == nil {
				ascii := slices.ContainsFunc(differs, func(d string) bool { return d[0] < 128 })
				if ascii || len(differs) < 1300 {
					t.Errorf("%s: %d letters differ, of ASCII: %v", collation, len(differs), ascii)
				}
			} else if !slices.Equal(differs, want.letters) {
				t.Errorf("%s: %q differ, want %q", collation, differs, want.letters)
			}
			var word string
			if err := pg.Admin.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT lower('ΑΣ' COLLATE %q)`, collation)).Scan(&word); err != nil || word != want.sigma || codec.Fold("ΑΣ") != "ασ" {
				t.Errorf("%s: a word that ends in Σ is %s, %v; want %s", collation, word, err, want.sigma)
			}
		}
	})
}
