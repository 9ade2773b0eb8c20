package inout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// childEnv tells this test binary to be a process that runs a command, and dies.
const childEnv = "COLSEAL_TEST_INOUT_CHILD"

func TestMain(m *testing.M) {
	child := goAndDie
	switch {
	case os.Getenv(liteChildEnv) != "":
		child = liteAndDie
	case os.Getenv(childEnv) == "":
		pgtest.Main(m)
		return
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// people is the schema of the tables of tablesDDL.
func people() (*schema.Schema, error) {
	return schema.New(
		schema.Columns("people", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail", Stage: schema.StageCopy},
			schema.Column{Name: "ssn", Stage: schema.StageCopy},
			schema.Column{Name: "age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "200", Stage: schema.StageCopy}),
		schema.Columns("letters", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, JoinGroup: "mail", Stage: schema.StageCopy}),
	)
}

// companions is a schema in which the companions are sealed columns of their own, to look into them.
func companions() (*schema.Schema, error) {
	return schema.New(
		schema.Columns("people", schema.Column{Name: "mail_sealed", Mode: schema.ModeDeterministic, JoinGroup: "mail"},
			schema.Column{Name: "ssn_sealed", ID: "people.ssn"},
			schema.Column{Name: "age_sealed", ID: "people.age", Mode: schema.ModeOrdered, Kind: schema.KindInt, Min: "0", Max: "200"}),
		schema.Columns("letters", schema.Column{Name: "mail_sealed", Mode: schema.ModeDeterministic, JoinGroup: "mail"}),
	)
}

const tablesDDL = `
CREATE TABLE people (id bigserial PRIMARY KEY, mail varchar(200) NOT NULL CONSTRAINT people_mail UNIQUE CHECK (mail <> ''), ssn text DEFAULT 'none', age integer, note text, changed timestamptz);
COMMENT ON COLUMN people.mail IS 'where it''s read';
CREATE INDEX people_age ON people (age);
CREATE INDEX people_mail_lower ON people (lower(mail));
CREATE INDEX people_note ON people (note, mail) WHERE mail IS NOT NULL;
CREATE TABLE letters (id bigserial PRIMARY KEY, mail text CONSTRAINT letters_to REFERENCES people (mail) ON DELETE SET NULL, body text);
CREATE VIEW adults AS SELECT p.id, p.mail AS address, p.age FROM people p WHERE p.note = 'n' AND p.mail IS NOT NULL;
GRANT SELECT ON adults TO pg_monitor;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.changed := now(); RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();
CREATE PUBLICATION pub FOR TABLE people;`

type world struct {
	pg     *pgtest.DB
	kms    kms.Wrapper
	kmsURL string
	db     *sql.DB
	tables func() (*schema.Schema, error) // what a process that is killed goes by; nil: people
}

func newWorld(t testing.TB, pg *pgtest.DB, ddl string) *world {
	t.Helper()
	w := &world{pg: pg, kmsURL: "localkms://" + filepath.Join(t.TempDir(), "kek")}
	var err error
	if w.kms, err = kms.Open(t.Context(), w.kmsURL); err != nil {
		t.Fatal(err)
	}
	mustExec(t, pg.Admin, ddl)
	store := keyring.OpenStore(pg.Admin, keyring.DialectPostgres, "")
	if err := errors.Join(store.Create(t.Context()), store.CreateStages(t.Context())); err != nil {
		t.Fatal(err)
	}
	w.db = w.open(t, people)
	return w
}

// fill puts rows into the tables.
func (w *world) fill(t testing.TB, n int) {
	t.Helper()
	mustExec(t, w.pg.Admin, fmt.Sprintf(`INSERT INTO people (mail, ssn, age, note) SELECT 'm' || g || '@x', NULLIF('ssn' || g, 'ssn3'), NULLIF(g %% 100, 5), 'n' FROM generate_series(1, %d) g`, n))
	mustExec(t, w.pg.Admin, fmt.Sprintf(`INSERT INTO letters (mail, body) SELECT 'm' || g || '@x', 'b' FROM generate_series(1, %d, 2) g`, n))
}

// rows reads all that a plaintext is of.
func (w *world) rows(t testing.TB) []string {
	t.Helper()
	return append(all(t, w.pg.Admin, "SELECT concat_ws('|', id, mail, coalesce(ssn, '-'), coalesce(age::text, '-'), note) FROM people ORDER BY id"),
		all(t, w.pg.Admin, "SELECT concat_ws('|', id, coalesce(mail, '-'), body) FROM letters ORDER BY id")...)
}

// sealedRows reads the same from the companions.
func (w *world) sealedRows(t testing.TB) []string {
	t.Helper()
	db := w.open(t, companions)
	defer func() { _ = db.Close() }()
	var out []string
	rows, err := db.QueryContext(t.Context(), "SELECT id, mail_sealed, ssn_sealed, age_sealed, note FROM people ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var mail, ssn, note sql.NullString
		var age sql.NullInt64
		if err := rows.Scan(&id, &mail, &ssn, &age, &note); err != nil {
			t.Fatal(err)
		}
		years := "-"
		if age.Valid {
			years = fmt.Sprint(age.Int64)
		}
		out = append(out, fmt.Sprintf("%d|%s|%s|%s|%s", id, text(mail), text(ssn), years, note.String))
	}
	letters, err := db.QueryContext(t.Context(), "SELECT id, mail_sealed, body FROM letters ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = letters.Close() }()
	for letters.Next() {
		var id int64
		var mail, body sql.NullString
		if err := letters.Scan(&id, &mail, &body); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d|%s|%s", id, text(mail), body.String))
	}
	if err := errors.Join(rows.Err(), letters.Err()); err != nil {
		t.Fatal(err)
	}
	return out
}

func text(s sql.NullString) string {
	if !s.Valid {
		return "-"
	}
	return s.String
}

// look checks what programs find in a database that is ready for something, and that it says so.
func (w *world) look(t testing.TB, ready migrate.Ready, want []string) {
	t.Helper()
	if ready <= migrate.ReadySealed {
		if got := w.rows(t); !slices.Equal(got, want) {
			t.Fatalf("ready for %s: the plain columns hold\n%s", ready, diff(strings.Join(want, "\n"), strings.Join(got, "\n")))
		}
	}
	if ready >= migrate.ReadyCopy {
		if got := w.sealedRows(t); !slices.Equal(got, want) {
			t.Fatalf("ready for %s: the companions hold\n%s", ready, diff(strings.Join(want, "\n"), strings.Join(got, "\n")))
		}
	}
	status, err := migrate.Status(t.Context(), w.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range status {
		if s.Ready != ready || !s.Done {
			t.Errorf("status: %+v, want ready for %s", s, ready)
		}
	}
}

// diff returns the lines of one text that the other has not.
func diff(want, got string) string {
	var b strings.Builder
	for _, d := range []struct{ sign, text, other string }{{"-", want, got}, {"+", got, want}} {
		lines := strings.Split(d.other, "\n")
		for line := range strings.SplitSeq(d.text, "\n") {
			if !slices.Contains(lines, line) {
				b.WriteString(d.sign + line + "\n")
			}
		}
	}
	return b.String()
}

// dump describes what the server has of the tables.
func (w *world) dump(t testing.TB) string {
	t.Helper()
	return w.dumpOf(t, "people", "letters")
}

// dumpOf describes two tables, and the view of one.
func (w *world) dumpOf(t testing.TB, first, second string) string {
	t.Helper()
	lines := all(t, w.pg.Admin, strings.NewReplacer("people", first, "letters", second).Replace(`
		SELECT concat_ws(' ', 'column', attrelid::regclass, rank() OVER (PARTITION BY attrelid ORDER BY attnum), attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attcollation, col_description(attrelid, attnum))
			FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid IN ('people'::regclass, 'letters'::regclass, to_regclass('adults')) AND attnum > 0 AND NOT attisdropped
		UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid, indisreplident) FROM pg_index WHERE indrelid IN ('people'::regclass, 'letters'::regclass)
		UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated) FROM pg_constraint WHERE conrelid IN ('people'::regclass, 'letters'::regclass)
		UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(oid)) FROM pg_trigger WHERE tgrelid IN ('people'::regclass, 'letters'::regclass) AND NOT tgisinternal
		UNION ALL SELECT concat_ws(' ', 'view', relname, pg_get_viewdef(oid), relacl, relowner::regrole) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
		UNION ALL SELECT concat_ws(' ', 'function', proname, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		UNION ALL SELECT concat_ws(' ', 'published', pubname, tablename, (SELECT array_agg(a ORDER BY a) FROM unnest(attnames) a)) FROM pg_publication_tables
		ORDER BY 1`))
	return strings.Join(lines, "\n")
}

// all reads a query's only column.
func all(tb testing.TB, db *sql.DB, query string) []string {
	tb.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		tb.Fatalf("%.200s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			tb.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// open opens the database as a process of its own would.
func (w *world) open(t testing.TB, tables func() (*schema.Schema, error)) *sql.DB {
	t.Helper()
	s, err := tables()
	if err != nil {
		t.Fatal(err)
	}
	pg, err := pgx.ParseConfig(w.pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cn, err := driver.NewConnector(stdlib.GetConnector(*pg), driver.Config{Schema: s, KMS: w.kms})
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(cn)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(tb testing.TB, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, query string, args ...any) {
	tb.Helper()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		tb.Fatalf("%.300s: %v", query, err)
	}
}
