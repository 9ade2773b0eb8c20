package reseal

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/reseal"
)

// Rows that a policy hides would be neither counted nor sealed, and their key would seem unused. A role for which there
// is a policy is refused.
func TestHiddenRows(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, people, "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bytea)")
		mustExec(t, w.db, "INSERT INTO people VALUES (1, $1, $2, $3)", "m", "s", 1)
		mustExec(t, pg.Admin, "DO $$ BEGIN CREATE ROLE clerk; EXCEPTION WHEN duplicate_object THEN END $$")
		mustExec(t, pg.Admin, "GRANT SELECT, INSERT, UPDATE ON people, colseal_keys TO clerk")
		dsn, err := url.Parse(pg.DSN())
		if err != nil {
			t.Fatal(err)
		}
		query := dsn.Query()
		query.Set("role", "clerk")
		dsn.RawQuery = query.Encode()
		db, err := open(dsn.String(), driver.Config{Schema: w.tables, KMS: w.kms})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if uses, err := reseal.Usage(t.Context(), db); err != nil || len(uses) != 3 {
			t.Fatalf("%v, %v", uses, err)
		}
		// One that comes meanwhile is noticed at the end at the latest.
		w.renew(t, "")
		r, err := reseal.Run(t.Context(), db, reseal.Options{Progress: func(reseal.Progress) { mustExec(t, pg.Admin, "ALTER TABLE people ENABLE ROW LEVEL SECURITY") }})
		if err == nil || !strings.Contains(err.Error(), "row-level security") {
			t.Errorf("%+v, %v", r, err)
		}
		_, counted := reseal.Usage(t.Context(), db)
		_, sealed := reseal.Run(t.Context(), db, reseal.Options{})
		for _, err := range []error{counted, sealed} {
			if err == nil || !strings.Contains(err.Error(), "table people: row-level security hides rows") {
				t.Error(err)
			}
		}
		// Its owner sees all.
		if uses, err := reseal.Usage(t.Context(), w.db); err != nil || len(uses) != 3 {
			t.Errorf("%v, %v", uses, err)
		}
	})
}

// A primary key does not hold between a table and its inheritance children. Two rows of one key are told apart
// all the same.
func TestInheritedRows(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, people, "CREATE TABLE people (n bigint PRIMARY KEY, mail bytea, ssn text, age bytea); CREATE TABLE pupils () INHERITS (people)")
		mustExec(t, w.db, "INSERT INTO people VALUES (1, 'a', 'sa', 1), (2, 'b', 'sb', 2)")
		mustExec(t, pg.Admin, "WITH x AS (DELETE FROM ONLY people WHERE n = 2 RETURNING *) INSERT INTO pupils SELECT 1, mail, ssn, age FROM x")
		w.renew(t, "")
		want := all(t, w.db, "SELECT ssn FROM people ORDER BY tableoid")
		if r := w.reseal(t, reseal.Options{}); r.Resealed != 6 {
			t.Errorf("report: %+v", r)
		}
		if got := all(t, w.db, "SELECT ssn FROM people ORDER BY tableoid"); !slices.Equal(got, want) || !slices.Equal(got, []string{"sa", "sb"}) {
			t.Errorf("%v, before %v", got, want)
		}
	})
}

// A table without a primary key that grows while it is gone through: rows that a writer moved behind what was its end are
// found, too.
func TestGrowingTable(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg, people, "CREATE TABLE people (n bigint, mail bytea, ssn text, age bytea)")
		for i := range 40 {
			mustExec(t, w.db, "INSERT INTO people VALUES ($1, $2, $3, $4)", i, fmt.Sprint("m", i), "s", i)
		}
		mustExec(t, pg.Admin, "CREATE TABLE old AS TABLE people")
		w.renew(t, "")
		grown := false
		r := w.reseal(t, reseal.Options{Batch: 10, Progress: func(reseal.Progress) {
			if !grown {
				grown = true
				mustExec(t, pg.Admin, "INSERT INTO people SELECT old.* FROM old, generate_series(1, 40)")
			}
		}})
		if !grown || r.Left() != 0 || r.Resealed != 3*40*41 {
			t.Errorf("%d left, %d done, %d passes", r.Left(), r.Resealed, r.Passes)
		}
	})
}
