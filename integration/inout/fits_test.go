package inout

import (
	"database/sql"
	"errors"
	"fmt"
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

// A value that the type of the plain column does not hold is counted on the way out, and is in no
// error. The others are opened.
func TestOpenedDoesNotFit(t *testing.T) {
	for _, lock := range []bool{false, true} {
		pg := pgtest.New(t)
		w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, age integer, name varchar(5), price numeric(6,2), seen timestamp(0), notes varchar(3)[], counts smallint[], doc jsonb); INSERT INTO people VALUES (1, 1, 'a', 1.5, '2026-01-02 03:04:05', '{abc}')`)
		tables := func() (*schema.Schema, error) {
			return schema.New(schema.Columns("people", schema.Column{Name: "age", Kind: schema.KindInt, Stage: schema.StageCopy}, schema.Column{Name: "name", Stage: schema.StageCopy},
				schema.Column{Name: "price", Kind: schema.KindNumeric, Stage: schema.StageCopy}, schema.Column{Name: "seen", Kind: schema.KindTimestamp, Stage: schema.StageCopy},
				schema.Column{Name: "notes", Kind: schema.KindTextArray, Stage: schema.StageCopy}, schema.Column{Name: "counts", Kind: schema.KindIntArray, Stage: schema.StageCopy},
				schema.Column{Name: "doc", Kind: schema.KindJSON, Stage: schema.StageCopy}))
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
		// What the server would round, or cut, in silence.
		mustExec(t, only, "INSERT INTO people (id, price, seen) VALUES (6, 1.234, '2026-01-02 03:04:05.5'), (7, 1.20, '2026-01-02 03:04:05')")
		mustExec(t, only, "INSERT INTO people (id, name, notes) VALUES (8, 'abcde   ', $1), (9, 'abc  ', $2), (10, 'abcde', $3)", `{"ab  ",c}`, `{"ab "}`, "{}")
		mustExec(t, only, "INSERT INTO people (id, counts, doc) VALUES (11, $1, NULL), (12, NULL, $2), (13, NULL, $3), (14, NULL, $4)", "{9876543210}",
			`{"a": "canary\u0000"}`, `["canary\ud83d"]`, `["\ud83d\ude00", "\\u0000", "canary"]`)
		_ = only.Close()
		log := func() string {
			return all(t, pg.Admin, "SELECT encode(pg_read_binary_file(pg_current_logfile()), 'escape')")[0]
		}
		logged := len(log())
		if !lock {
			if _, err := migrate.Unseal(t.Context(), db, migrate.Options{For: migrate.ReadyOnly}); err != nil {
				t.Fatal(err)
			}
		}
		r, err := migrate.Unseal(t.Context(), db, migrate.Options{For: migrate.ReadySealed, Lock: lock})
		if !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 8 {
			t.Errorf("%d unfit, %v", r.Unfit, err)
		}
		if err != nil && (strings.Contains(err.Error(), "9876543210") || strings.Contains(err.Error(), "canary")) {
			t.Errorf("the error has a value: %v", err)
		}
		for line := range strings.SplitSeq(log()[logged:], "\n") {
			if strings.Contains(line, "9876543210") || strings.Contains(line, "canary") {
				t.Errorf("the server's log has a value: %s", line)
			}
		}
		want := []string{"1|1|a|1.50|2026-01-02 03:04:05|{abc}", "2|-|b|-|-|-", "3|3|-|-|-|-", "4|4|d|-|-|-", "5|-|-|-|-|-",
			"6|-|-|-|-|-", "7|-|-|1.20|2026-01-02 03:04:05|-", "8|-|-|-|-|-", `9|-|abc  |-|-|{"ab "}`, "10|-|abcde|-|-|{}", "11|-|-|-|-|-", "12|-|-|-|-|-", "13|-|-|-|-|-", "14|-|-|-|-|-"}
		if lock { // nothing is done
			for i := range want {
				want[i] = fmt.Sprint(i+1, "|-|-|-|-|-")
			}
		}
		if got := all(t, pg.Admin, "SELECT concat_ws('|', id, coalesce(age::text, '-'), coalesce(name, '-'), coalesce(price::text, '-'), coalesce(seen::text, '-'), coalesce(notes::text, '-')) FROM people ORDER BY id"); !slices.Equal(got, want) {
			t.Errorf("rows %q", got)
		}
	}
}
