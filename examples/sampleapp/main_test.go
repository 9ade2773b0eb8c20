package main

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/examples/sampleapp/store"
	"github.com/colseal/colseal/integration/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSampleApp(t *testing.T) {
	pg := pgtest.New(t)
	tables, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pg.Admin.Exec(string(tables)); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), pg.DSN(), "localkms://"+filepath.ToSlash(filepath.Join(t.TempDir(), "kek"))); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx-colseal", pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := store.Store{DB: db}
	_, search := s.Search(t.Context(), "alice")
	for name, err := range map[string]error{
		"Search":  search,
		"BySSN":   s.BySSN(t.Context(), "078-05-1120").Err(),
		"Oldest":  s.Oldest(t.Context()).Err(),
		"Publish": s.Publish(t.Context()),
	} {
		if !errors.Is(err, driver.ErrRefused) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}
