package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/examples/gormapp/before"
	"github.com/colseal/colseal/examples/internal/guide"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/explain"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const page = "../../docs/adopt-gorm.md"

var customers = []Customer{
	{Name: "Ana Canary", Email: "ana@example.com", Born: time.Date(1984, 3, 9, 0, 0, 0, 0, time.UTC), City: "Bergen", Notes: []Note{{Text: "likes canaries"}, {Text: "pays late"}}},
	{Name: "Björn Canary", Email: "bjorn@example.com", Born: time.Date(1991, 11, 30, 0, 0, 0, 0, time.UTC), City: "Bergen"},
	{Name: "Cleo Canary", Email: "cleo@example.com", Born: time.Date(1960, 2, 29, 0, 0, 0, 0, time.UTC), City: "Bergen", Notes: []Note{{Text: "a canary, too"}}},
	{Name: "Dag Canary", Email: "dag@example.com", Born: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), City: "Bergen"},
}

// TestGuide follows docs/adopt-gorm.md.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	pg := pgtest.New(t)
	dir := t.TempDir()
	address := "localkms://" + filepath.ToSlash(filepath.Join(dir, "kek"))
	log, err := os.Create(filepath.Join(dir, "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	app := guide.App[*gorm.DB]{Rows: len(customers), End: end,
		Open: func(t *testing.T, stage schema.Stage) *gorm.DB {
			var db *gorm.DB
			var err error
			if stage == schema.StageNone {
				db, err = openPlain(pg.DSN())
			} else {
				key, kmsErr := kms.Open(t.Context(), address)
				if kmsErr != nil {
					t.Fatal(kmsErr)
				}
				db, err = openSealed(pg.DSN(), driver.Config{KMS: key, Stages: in(stage), CatalogMaxAge: 20 * time.Millisecond, Logger: slog.New(slog.NewJSONHandler(log, nil))})
			}
			if err != nil {
				t.Fatal(err)
			}
			db.Logger = logger.Discard
			return db
		},
		Works: func(t *testing.T, db *gorm.DB, rows int) { works(t, Store{db}, customers[:rows]) },
		Add: func(t *testing.T, db *gorm.DB, row int) {
			if err := (Store{db}).Add(t.Context(), &customers[row]); err != nil {
				t.Fatal(err)
			}
		},
	}
	guide.Walk{Page: page, DSN: pg.DSN(), KMS: address, Env: []string{"APP_LOG=" + log.Name()}, Admin: pg.Admin, Steps: map[string]func(*testing.T, string){
		"plain": app.Deploy(schema.StageNone),
		"judge": func(t *testing.T, _ string) {
			var found []string
			judged := app.Running.Session(&gorm.Session{NewDB: true})
			judge := Judge{tables, func(e *explain.Explanation) { found = append(found, e.String()) }}
			if err := judged.Use(judge); err != nil {
				t.Fatal(err)
			}
			works(t, Store{judged}, customers[:app.Added])
			if len(found) > 0 {
				t.Errorf("found %s", found)
			}
			if _, err := before.Find(t.Context(), judged, "Bergen", "an"); err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || !strings.Contains(string(text), "```text\n"+found[0]+"```\n") {
				t.Errorf("found, and not on the page: %s", found)
			}
		},
		"copy": app.Deploy(schema.StageCopy),
		"forgotten": func(t *testing.T, _ string) {
			guide.AwaitCompanions(t, pg.Admin, func() {
				if ids, err := before.Find(t.Context(), app.Running, "Bergen", "canary"); err != nil || len(ids) != app.Added {
					t.Fatalf("%v, %v", ids, err)
				}
			})
		},
		"sealed": app.Deploy(schema.StageSealed),
		"only":   app.Deploy(schema.StageOnly),
		"finished": func(t *testing.T, _ string) {
			works(t, Store{app.Running}, customers)
			guide.NoPlaintext(t, pg.Admin, "customers", "Canary", "name_sealed")
			guide.Emptied(t, pg.Admin, "customers", "name", "email", "born")
			guide.Emptied(t, pg.Admin, "notes", "text")
		},
		"sealed again": app.Deploy(schema.StageSealed),
		"copy again":   app.Deploy(schema.StageCopy),
		"plain again":  app.Deploy(schema.StageNone),
		"out": func(t *testing.T, _ string) {
			end(t, app.Running) // its statements with * are prepared with one column more
			db := app.Open(t, schema.StageNone)
			works(t, Store{db}, customers)
			end(t, db)
		},
	}}.Follow(t)
}

// end ends a program.
func end(t *testing.T, db *gorm.DB) {
	t.Helper()
	pool, err := db.DB()
	if err == nil {
		err = pool.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// works goes through all that the application does.
func works(t *testing.T, s Store, want []Customer) {
	t.Helper()
	ctx := t.Context()
	if err := s.Migrate(ctx); err != nil {
		t.Errorf("at the start: %v", err)
	}
	got, err := s.InCity(ctx, "Bergen")
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d customers, %v, want %d", len(got), err, len(want))
	}
	for i := range want {
		same(t, got[i], want[i])
		one, err := s.ByEmail(ctx, want[i].Email)
		if err != nil {
			t.Error(err)
		}
		same(t, one, want[i])
	}
	if len(want) == 0 {
		return
	}
	first := want[0]
	if err := s.Rename(ctx, first.Email, "Dora"); err != nil {
		t.Error(err)
	}
	if found, err := s.Find(ctx, "Bergen", "dor"); err != nil || len(found) != 1 || found[0].ID != first.ID {
		t.Errorf("found %v, %v", found, err)
	}
	if err := s.Rename(ctx, first.Email, first.Name); err != nil {
		t.Error(err)
	}
	if err := s.Add(ctx, &Customer{Name: "x", Email: first.Email, City: "Oslo"}); err == nil || !strings.Contains(err.Error(), "23505") {
		t.Errorf("a second row with an e-mail address: %v", err)
	}
	guest := Customer{Name: "Guest", Email: "guest@example.com", Born: first.Born, City: "Oslo", Notes: []Note{{Text: "leaves"}}}
	if err := s.Add(ctx, &guest); err != nil {
		t.Error(err)
	}
	if err := s.Remove(ctx, guest.Email); err != nil {
		t.Error(err)
	}
	if _, err := s.ByEmail(ctx, guest.Email); !errors.Is(err, gorm.ErrRecordNotFound) {
		t.Errorf("a customer who was removed: %v", err)
	}
	if err := s.db.WithContext(ctx).Unscoped().Select("Notes").Delete(&guest).Error; err != nil {
		t.Error(err)
	}
}

// same compares what was stored with what was found.
func same(t *testing.T, got, want Customer) {
	t.Helper()
	if got.CreatedAt.IsZero() || got.UpdatedAt.IsZero() {
		t.Errorf("%v has no times", got)
	}
	got.CreatedAt, got.UpdatedAt = want.CreatedAt, want.UpdatedAt
	got.Born = got.Born.UTC()
	if len(got.Notes) == 0 && len(want.Notes) == 0 {
		got.Notes = want.Notes
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
}
