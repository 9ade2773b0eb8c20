package reader

import (
	"cmp"
	"database/sql"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestPostgres: the reader opens the rows of a PostgreSQL database: every kind with every option, terms among them, in scopes whose keys
// are under one KEK and under several, companions of columns in every stage, and what write-only programs sealed to inboxes of both KEMs.
// It has no driver for PostgreSQL: the rows are copied to a SQLite file as they are.
func TestPostgres(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		dir := t.TempDir()
		keks := []string{filepath.Join(dir, "kek1"), filepath.Join(dir, "kek2")}
		p := newPeople(t, true, "bytea", func(n int) string { return fmt.Sprintf("$%d", n) })
		tables := schema.Must(schema.Columns("people", p.columns...), schema.Columns("moving",
			schema.Column{Name: "a", Stage: schema.StageCopy}, schema.Column{Name: "b", Stage: schema.StageSealed, Mode: schema.ModeDeterministic},
			schema.Column{Name: "d", Stage: schema.StageOnly, Stored: "d_cells", Kind: schema.KindDate, Mode: schema.ModeOrdered}),
			schema.Columns("forms", schema.Column{Name: "tax", Inbox: true}, schema.Column{Name: "income", Kind: schema.KindNumeric, Inbox: true}))
		run(t, t.Context(), pg.Admin, "CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY, "+p.ddl+")")
		run(t, t.Context(), pg.Admin, "CREATE TABLE moving (id int GENERATED ALWAYS AS IDENTITY, a text, a_sealed bytea, b text, b_sealed text, d_cells bytea)")
		run(t, t.Context(), pg.Admin, "CREATE TABLE forms (id int GENERATED ALWAYS AS IDENTITY, tax bytea, income bytea)")

		open := func(cfg driver.Config) *sql.DB {
			cfg.Schema = tables
			under, err := pgx.ParseConfig(pg.DSN())
			if err != nil {
				t.Fatal(err)
			}
			cn, err := driver.NewConnector(stdlib.GetConnector(*under), cfg)
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(cn)
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
		scoped := keyring.WithScope(t.Context(), scope)
		both := open(driver.Config{KMS: several(t, keks...), AutoCreateKeyTable: true})
		run(t, t.Context(), both, p.insert, p.args[0]...)
		const moving = "INSERT INTO moving (a, b, d) VALUES ($1, $2, $3)"
		run(t, t.Context(), both, moving, "copied", "sealed", "2024-02-29")
		run(t, scoped, open(driver.Config{KMS: several(t, keks[1])}), p.insert, p.args[1]...)

		// The inboxes of the two scopes are of different KEMs.
		admin := keyring.NewAdmin(keyring.OpenStore(pg.Admin, keyring.DialectPostgres, ""), several(t, keks...), keyring.AdminConfig{By: "ann"})
		var pins []string
		for s, kem := range map[string]keyring.KEM{"": keyring.KEMX25519, scope: keyring.KEMP256} {
			inbox, err := admin.Inbox(t.Context(), s, kem)
			if err != nil {
				t.Fatal(err)
			}
			pins = append(pins, inbox.Pin())
		}
		form := open(driver.Config{WriteOnly: &driver.Inbox{Pins: pins}})
		const send = "INSERT INTO forms (tax, income) VALUES ($1, $2)"
		run(t, t.Context(), form, send, "12 345", "1000.50")
		run(t, scoped, form, send, "67 890", nil)
		run(t, t.Context(), both, send, "of a program that opens", 7)

		file := filepath.Join(dir, "copy.db")
		transcribe(t, pg.Admin, file, "people", "moving", "forms", "colseal_keys")
		got := ask(t, file, keks[1], tables)
		p.check(t, got)
		for column, want := range map[string][]any{
			"moving.a_sealed": {"copied"}, "moving.b_sealed": {"sealed"}, "moving.d_cells": {"2024-02-29"},
			"forms.tax": {"12 345", "67 890", "of a program that opens"}, "forms.income": {"1000.50", nil, "7"},
		} {
			if !reflect.DeepEqual(got.Rows[column], want) {
				t.Errorf("%s: the reader says %v, want %v", column, got.Rows[column], want)
			}
		}
		for _, how := range []string{"several KEKs", "localkms", "writer, KEM 647a", "writer, KEM 0050"} {
			if got.Wraps[how] == 0 {
				t.Errorf("no data key was wrapped by %s", how)
			}
		}
	})
}

// transcribe copies tables to a SQLite file.
func transcribe(t *testing.T, from *sql.DB, file string, tables ...string) {
	t.Helper()
	to := sql.OpenDB(&sqliteConnector{dsn: file})
	for _, table := range tables {
		rows, err := from.Query("SELECT * FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		names, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		run(t, t.Context(), to, "CREATE TABLE "+table+" ("+strings.Join(names, ", ")+")")
		for rows.Next() {
			row, into := make([]any, len(names)), make([]any, len(names))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			run(t, t.Context(), to, "INSERT INTO "+table+" VALUES (?"+strings.Repeat(", ?", len(names)-1)+")", row...)
		}
		if err := cmp.Or(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
}
