package inout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/ops/migrate"
	"github.com/colseal/colseal/pgxseal"
	"github.com/colseal/colseal/schema"
)

// Kinds change: born was text and gets to be a date, code was a number and gets to be text. What
// does not fit, or would be another value when it is had back, is counted by a dry run in either
// direction, before anything is changed.
func TestKindsChange(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, born bytea, code bytea)`)
	was := func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "born"}, schema.Column{Name: "code", Kind: schema.KindInt}))
	}
	tables := func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people",
			schema.Column{Name: "born", Kind: schema.KindDate, Mode: schema.ModeDeterministic, Stage: schema.StageCopy, Stored: "born_on", Was: &schema.Column{}},
			schema.Column{Name: "code", Stage: schema.StageCopy, Stored: "code_text", Was: &schema.Column{Kind: schema.KindInt}}))
	}
	program := func(stage schema.Stage) *sql.DB {
		t.Helper()
		s, err := tables()
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := pgx.ParseConfig(pg.DSN())
		if err != nil {
			t.Fatal(err)
		}
		cn, err := driver.NewConnector(stdlib.GetConnector(*cfg), driver.Config{Schema: s, KMS: w.kms, Stages: map[string]schema.Stage{"people": stage}})
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(cn)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	before := w.open(t, was)
	mustExec(t, before, `INSERT INTO people VALUES (1, '2024-01-02', 1), (2, '02/01/2024', 2), (3, 'canary', 3), (4, '2024-1-2', 4), (5, NULL, NULL), (6, '1963-11-22', 6)`)
	db, dump := w.open(t, tables), w.dumpOf(t, "people", "people")
	for _, to := range []migrate.Ready{migrate.ReadyCopy, migrate.ReadySealed} {
		r, err := migrate.Seal(t.Context(), db, migrate.Options{For: to, DryRun: true})
		if !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 3 || strings.Contains(err.Error(), "canary") {
			t.Errorf("dry run for %s: %d unfit, %v", to, r.Unfit, err)
		}
	}
	if got := w.dumpOf(t, "people", "people"); got != dump {
		t.Errorf("a dry run has changed:\n%s", diff(dump, got))
	}
	mustExec(t, before, `UPDATE people SET born = '2024-01-02' WHERE id IN (2, 4)`)
	step := func(i int) {
		t.Helper()
		if r, err := way[i].run(t.Context(), db, migrate.Options{}); err != nil || r.Unfit > 0 {
			t.Fatalf("%s: %+v, %v", way[i], r, err)
		}
	}
	if r, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadyCopy}); !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 1 {
		t.Errorf("%d unfit, %v, %v", r.Unfit, err, r.Problems) // it is left to be corrected, and the others are sealed
	}
	copies := program(schema.StageCopy)
	mustExec(t, copies, `UPDATE people SET born = '1901-02-03' WHERE id = 3`)
	var text string
	if err := copies.QueryRow(`SELECT born FROM people WHERE id = 3`).Scan(&text); err != nil || text != "1901-02-03" {
		t.Errorf("in copy: %q, %v", text, err)
	}
	mustExec(t, copies, `INSERT INTO people VALUES (7, 'no date', 7)`) // its companion is NULL
	if _, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealed}); !errors.Is(err, migrate.ErrUnfit) {
		t.Errorf("a value that does not fit is left: %v", err)
	}
	mustExec(t, copies, `DELETE FROM people WHERE id = 7`)
	step(1)
	sealed := program(schema.StageSealed)
	var id int
	day := time.Date(1901, 2, 3, 0, 0, 0, 0, time.UTC)
	if err := sealed.QueryRow(`SELECT id FROM people WHERE born = $1`, day).Scan(&id); err != nil || id != 3 {
		t.Errorf("in sealed: row %d, %v", id, err)
	}
	mustExec(t, sealed, `UPDATE people SET born = '1902-03-04', code = '66' WHERE id = 6`)
	if err := copies.QueryRow(`SELECT born FROM people WHERE id = 6 AND born IS NOT NULL`).Scan(&text); err != nil || text != "1902-03-04" {
		t.Errorf("in copy beside sealed: %q, %v", text, err)
	}
	if _, err := sealed.Exec(`UPDATE people SET code = 'sixty' WHERE id = 6`); err == nil {
		t.Error("in sealed a value is written that the former kind does not hold")
	}
	_, _ = copies.Close(), before.Close()
	step(2)
	_ = sealed.Close()
	only := program(schema.StageOnly)
	step(3)
	mustExec(t, only, `INSERT INTO people (id, born, code) VALUES (8, $1, 'eight'), (9, $1, '09')`, day)
	r, err := migrate.Unseal(t.Context(), db, migrate.Options{DryRun: true})
	if !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 2 {
		t.Errorf("dry run of the way out: %d unfit, %v, %v", r.Unfit, err, r.Problems)
	}
	mustExec(t, only, `UPDATE people SET code = '8' WHERE id IN (8, 9)`)
	_ = only.Close()
	for i := 4; i < 8; i++ {
		step(i)
	}
	rows, err := lines(w.open(t, was).Query(`SELECT id, born, code FROM people ORDER BY id`))(3)
	if want := []string{"1 2024-01-02 1", "2 2024-01-02 2", "3 1901-02-03 3", "4 2024-01-02 4", "5 <nil> <nil>", "6 1902-03-04 66", "8 1901-02-03 8", "9 1901-02-03 8"}; err != nil || !slices.Equal(rows, want) {
		t.Errorf("rows %q, %v", rows, err)
	}
	if got := w.dumpOf(t, "people", "people"); got != dump {
		t.Errorf("the schema differs in the end:\n%s", diff(dump, got))
	}
}

// What is written while kinds change is held to what holds for what was there before: a value that
// the two kinds take for different ones leaves the companion NULL in copy, from where it is sealed
// as the former kind has it, or found to fit not; and is refused in sealed.
func TestKindsChangeWritten(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, number bytea, code bytea, day bytea)`)
	tables := func(stage schema.Stage) func() (*schema.Schema, error) {
		return func() (*schema.Schema, error) {
			return schema.New(schema.Columns("people",
				schema.Column{Name: "number", Kind: schema.KindInt, Stage: stage, Stored: "number_int", Was: &schema.Column{Mode: schema.ModeDeterministic}},
				schema.Column{Name: "code", Mode: schema.ModeDeterministic, Stage: stage, Stored: "code_text", Was: &schema.Column{Mode: schema.ModeDeterministic, Kind: schema.KindInt}},
				schema.Column{Name: "day", Kind: schema.KindTimestamp, Stage: stage, Stored: "day_time", Was: &schema.Column{Kind: schema.KindDate}}))
		}
	}
	db := w.open(t, tables(schema.StageCopy))
	if _, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadyCopy}); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `INSERT INTO people (id, number, code) VALUES (1, '7', '7'), (2, '007', '7'), (3, '7', '007')`)
	mustExec(t, db, `INSERT INTO people (id, number, code) VALUES (4, $1, $2), (5, $2, $1)`, "7", "007")
	mustExec(t, db, `INSERT INTO people (id, number, code) SELECT 6, unnest($1::text[]), $2`, "{+7}", "+7")
	mustExec(t, db, `INSERT INTO people (id, day) VALUES (7, $1)`, time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC))
	mustExec(t, db, `UPDATE people SET code = $1 WHERE code = $1`, "07")
	s, err := tables(schema.StageCopy)()
	if err != nil {
		t.Fatal(err)
	}
	native, err := pgxseal.Connect(t.Context(), pg.DSN(), driver.Config{Schema: s, KMS: w.kms})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = native.Close(context.Background()) }()
	if _, err := native.CopyFrom(t.Context(), pgx.Identifier{"people"}, []string{"id", "number", "code"}, pgx.CopyFromRows([][]any{{8, "7", "07"}})); err != nil {
		t.Error(err)
	}
	if _, err := native.Exec(t.Context(), `INSERT INTO people (id, number, code) VALUES (9, $1, $2)`, "07", "07"); err != nil {
		t.Error(err)
	}
	r, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealed})
	if !errors.Is(err, migrate.ErrUnfit) || r.Unfit != 4 {
		t.Errorf("%d unfit, %v: texts that are no int, in rows 2, 5, 6 and 9", r.Unfit, err)
	}
	mustExec(t, db, `UPDATE people SET number = '7' WHERE id IN (2, 5, 6, 9)`)
	if _, err := migrate.Seal(t.Context(), db, migrate.Options{For: migrate.ReadySealed}); err != nil {
		t.Fatal(err)
	}
	sealed := w.open(t, tables(schema.StageSealed))
	for _, values := range []string{"number = '7', code = '007'", "code = $1", "code = CASE WHEN id = 4 THEN $1 ELSE '7' END", "number = '7', code = (SELECT $1)"} {
		var args []any
		if strings.Contains(values, "$1") {
			args = []any{"007"}
		}
		if _, err := sealed.Exec("UPDATE people SET "+values+" WHERE id = 4", args...); err == nil {
			t.Errorf("in sealed, %s is written, which the former kind has as 7", values)
		}
	}
	mustExec(t, sealed, `UPDATE people SET number = $1, code = $1 WHERE code = $1`, "7")
	for stage, db := range map[string]*sql.DB{"copy": db, "sealed": sealed} {
		var n int
		if err := db.QueryRow(`SELECT count(*) FROM people WHERE code <> '007'`).Scan(&n); stage == "sealed" && (err != nil || n != 8) {
			t.Errorf("%s: %d, %v", stage, n, err)
		}
		rows, err := lines(db.Query(`SELECT id, number, code, day FROM people ORDER BY id`))(4)
		want := []string{"1 7 7 <nil>", "2 7 7 <nil>", "3 7 7 <nil>", "4 7 7 <nil>", "5 7 7 <nil>", "6 7 7 <nil>", "7 <nil> <nil> 2024-05-06 00:00:00 +0000 UTC", "8 7 7 <nil>", "9 7 7 <nil>"}
		if err != nil || !slices.Equal(rows, want) {
			t.Errorf("%s: rows %q, %v", stage, rows, err)
		}
	}
}

// A dry run counts, too, what the new kind holds and the column does not: values beyond its bounds,
// or with more terms than a cell has room for.
func TestDryRunKnowsTheColumn(t *testing.T) {
	pg := pgtest.New(t)
	w := newWorld(t, pg, `CREATE TABLE people (id bigint PRIMARY KEY, age bytea, tags bytea)`)
	was := func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people", schema.Column{Name: "age"}, schema.Column{Name: "tags"}))
	}
	db := w.open(t, func() (*schema.Schema, error) {
		return schema.New(schema.Columns("people",
			schema.Column{Name: "age", Kind: schema.KindInt, Mode: schema.ModeOrdered, Min: "0", Max: "150", Stage: schema.StageCopy, Stored: "age_int", Was: &schema.Column{}},
			schema.Column{Name: "tags", Kind: schema.KindIntArray, Terms: codec.Terms{Elements: true}, Stage: schema.StageCopy, Stored: "tags_int", Was: &schema.Column{}}))
	})
	many := make([]string, 5462)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	mustExec(t, w.open(t, was), "INSERT INTO people VALUES (1, '150', '{1,2}'), (2, '151', NULL), (3, '-1', NULL), (4, NULL, $1)", "{"+strings.Join(many, ",")+"}")
	for _, dry := range []bool{true, false} {
		if r, _ := migrate.Seal(t.Context(), db, migrate.Options{DryRun: dry}); r.Unfit != 3 {
			t.Errorf("dry run %t: %d unfit, want 3", dry, r.Unfit)
		}
	}
}
