package inout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
)

// Names that differ at their ends alone, and names that have to be quoted, are names: what belongs to one table or column is not taken for
// another's, nor is what was there before.
func TestNames(t *testing.T) {
	pg := pgtest.New(t)
	long := strings.Repeat("x", 50)
	w := newWorld(t, pg, strings.NewReplacer("LONG", long).Replace(`
CREATE TABLE LONG_1 (id bigint PRIMARY KEY, mail text NOT NULL, LONG_one text NOT NULL, LONG_two text NOT NULL);
CREATE TABLE LONG_2 (id bigint PRIMARY KEY, mail text NOT NULL);
CREATE UNIQUE INDEX LONG_index_1 ON LONG_1 (LONG_one);
CREATE UNIQUE INDEX LONG_index_2 ON LONG_1 (LONG_two);
CREATE SCHEMA "S""; x'";
CREATE TABLE "S""; x'"."T$$ ""(" ("%[2]s %d" bigint PRIMARY KEY, "c(*'""\ $$ %" text NOT NULL DEFAULT '''', "C" text CONSTRAINT "c'""" UNIQUE, "NEW" text, paired text);
CREATE TABLE "T$$ ""(" (id bigint PRIMARY KEY, "c(*'""\ $$ %" text);
INSERT INTO LONG_1 VALUES (1, 'm', 'one', 'two');
INSERT INTO LONG_2 VALUES (1, 'm');
INSERT INTO "S""; x'"."T$$ ""(" VALUES (1, 'a', 'b', 'c', 'd');
INSERT INTO "T$$ ""(" VALUES (1, 'a');`))
	col := func(name, stored string, mode schema.Mode) schema.Column {
		return schema.Column{Name: name, Mode: mode, Stage: schema.StageCopy, Stored: stored}
	}
	const hostile = `c(*'"\ $$ %`
	tables := func() (*schema.Schema, error) {
		return schema.New(schema.Columns(long+"_1", col("mail", "", schema.ModeRandomized), col(long+"_one", "one", schema.ModeDeterministic), col(long+"_two", "two", schema.ModeDeterministic)),
			schema.Columns(long+"_2", col("mail", "", schema.ModeRandomized)),
			schema.Columns(`"S""; x'"."T$$ ""("`, col(hostile, "", schema.ModeRandomized), col("C", "", schema.ModeDeterministic), col("NEW", "", schema.ModeRandomized), col("paired", "", schema.ModeRandomized)),
			schema.Columns(`public."T$$ ""("`, col(hostile, "", schema.ModeRandomized)))
	}
	db := w.open(t, tables)
	unique := func() []string {
		return all(t, pg.Admin, "SELECT string_agg(attname, ', ' ORDER BY attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (indkey) WHERE indisunique AND NOT indisprimary AND indisvalid AND i.indrelid = '"+long+"_1'::regclass")
	}
	before := unique()
	for i, l := range way {
		if i == 1 { // one of the tables is ahead
			if _, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealed, Columns: []string{long + "_1"}}); err != nil {
				t.Fatal(err)
			}
			if modes := all(t, pg.Admin, `SELECT count(DISTINCT tgfoid)::text FROM pg_trigger WHERE tgname = 'zz_colseal_pairs'`); modes[0] != "4" {
				t.Errorf("four tables go by %s functions", modes[0])
			}
		}
		if r, err := l.run(t.Context(), db, migrate.Options{}); err != nil || r.Unfit > 0 {
			t.Fatalf("%s: %+v, %v", l, r, err)
		}
		if i == 2 && !slices.Equal(unique(), []string{"one, two"}) {
			t.Errorf("companions are unique: %q", unique())
		}
	}
	if got := unique(); !slices.Equal(got, before) {
		t.Errorf("unique in the end: %q, before %q", got, before)
	}
	if got := all(t, pg.Admin, fmt.Sprintf(`SELECT concat_ws('|', a, b, c, d) FROM %[1]s_1 a, %[1]s_2 b, "S""; x'"."T$$ ""(" c, "T$$ ""(" d`, long)); len(got) != 1 || got[0] != "(1,m,one,two)|(1,m)|(1,a,b,c,d)|(1,a)" {
		t.Errorf("rows in the end: %q", got)
	}
}

// An index of another table is not dropped because it has the name that a companion's would get.
func TestIndexNameTaken(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, mail text); CREATE INDEX found ON people (mail); CREATE TABLE other (n int); CREATE UNIQUE INDEX found_sealed ON other (n)`)
	db := w.open(t, func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "mail", Mode: schema.ModeDeterministic, Stage: schema.StageCopy}))
	})
	r, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealed})
	if !errors.Is(err, migrate.ErrProblems) || !strings.Contains(strings.Join(r.Problems, "\n"), "found_sealed") {
		t.Errorf("the name is taken: %q, %v", r.Problems, err)
	}
	if n := all(t, pg.Admin, "SELECT count(*)::text FROM pg_index WHERE indrelid = 'other'::regclass"); n[0] != "1" {
		t.Errorf("%s indexes are left", n[0])
	}
}
