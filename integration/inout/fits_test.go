package inout

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/schema"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A value that the type of the plain column does not hold is counted on the way out, and is in no error. The others are opened.
func TestOpenedDoesNotFit(t *testing.T) {
	for _, lock := range []bool{false, true} {
		pg := pgtest.New(t)
		w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, age integer, name varchar(5)); INSERT INTO people VALUES (1, 1, 'a')`)
		tables := func() (*schema.Schema, error) {
			return schema.New(schema.Columns("people", schema.Column{Name: "age", Kind: schema.KindInt, Stage: schema.StageCopy}, schema.Column{Name: "name", Stage: schema.StageCopy}))
		}
		db := w.open(t, tables)
		for _, l := range way[:4] {
			if _, err := l.run(t.Context(), db, migrate.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		cfg, err := pgx.ParseConfig(pg.DSN())
		if err != nil {
			t.Fatal(err)
		}
		s, err := tables()
		if err != nil {
			t.Fatal(err)
		}
		cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: s, KMS: w.kms, Stages: map[string]schema.Stage{"people": schema.StageOnly}})
		if err != nil {
			t.Fatal(err)
		}
		only := sql.OpenDB(cn)
		mustExec(t, only, "INSERT INTO people (id, age, name) VALUES (2, 9876543210, 'b'), (3, 3, 'canary'), (4, 4, 'd'), (5, 9876543210, 'canary')")
		_ = only.Close()
		if !lock {
			if _, err := migrate.Unseal(t.Context(), db, migrate.Options{For: migrate.ReadyOnly}); err != nil {
				t.Fatal(err)
			}
		}
		r, err := migrate.Unseal(t.Context(), db, migrate.Options{For: migrate.ReadySealed, Lock: lock})
		if !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 3 {
			t.Errorf("%d unfit, %v", r.Unfit, err)
		}
		if err != nil && (strings.Contains(err.Error(), "9876543210") || strings.Contains(err.Error(), "canary")) {
			t.Errorf("the error has a value: %v", err)
		}
		want := []string{"1|1|a", "2|-|b", "3|3|-", "4|4|d", "5|-|-"}
		if lock { // nothing is done
			want = []string{"1|-|-", "2|-|-", "3|-|-", "4|-|-", "5|-|-"}
		}
		if got := all(t, pg.Admin, "SELECT concat_ws('|', id, coalesce(age::text, '-'), coalesce(name, '-')) FROM people ORDER BY id"); !slices.Equal(got, want) {
			t.Errorf("rows %q", got)
		}
	}
}
