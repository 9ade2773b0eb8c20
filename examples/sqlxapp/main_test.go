package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/XSAM/otelsql"
	"github.com/jmoiron/sqlx"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/examples/internal/guide"
	"github.com/colseal/colseal/examples/sqlxapp/before"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var patients = []Patient{
	{ID: 1, Name: "Ana Canary", Email: "ana@example.com", Born: time.Date(1984, 3, 9, 0, 0, 0, 0, time.UTC), Ward: "A"},
	{ID: 2, Name: "Björn Canary", Email: "bjorn@example.com", Born: time.Date(1991, 11, 30, 0, 0, 0, 0, time.UTC), Ward: "A"},
	{ID: 3, Name: "Cleo Canary", Email: "cleo@example.com", Born: time.Date(1960, 2, 29, 0, 0, 0, 0, time.UTC), Ward: "A"},
}

// TestGuide follows docs/adopt-sqlx.md.
func TestGuide(t *testing.T) {
	pg := pgtest.New(t)
	tables, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pg.Admin.Exec(string(tables)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address := "localkms://" + filepath.ToSlash(filepath.Join(dir, "kek"))
	log, err := os.Create(filepath.Join(dir, "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var above, below recorder // of the program that was started last
	app := guide.App[Store]{Rows: len(patients),
		Open: func(t *testing.T, stage schema.Stage) Store {
			var db *sqlx.DB
			var err error
			if stage == schema.StageNone {
				db, err = openPlain(pg.DSN())
			} else {
				key, kmsErr := kms.Open(t.Context(), address)
				if kmsErr != nil {
					t.Fatal(kmsErr)
				}
				above, below = newRecorder(), newRecorder()
				db, err = openSealed(pg.DSN(), driver.Config{KMS: key, Stages: in(stage), CatalogMaxAge: 20 * time.Millisecond, Logger: slog.New(slog.NewJSONHandler(log, nil))},
					above.options(), below.options())
			}
			if err != nil {
				t.Fatal(err)
			}
			return Store{db}
		},
		End: func(t *testing.T, s Store) {
			if err := s.db.Close(); err != nil {
				t.Error(err)
			}
		},
		Works: func(t *testing.T, s Store, rows int) { works(t, s, patients[:rows]) },
		Add: func(t *testing.T, s Store, row int) {
			if id, err := s.Add(t.Context(), patients[row]); err != nil || id != patients[row].ID {
				t.Fatal(id, err)
			}
		},
	}
	guide.Walk{Page: "../../docs/adopt-sqlx.md", DSN: pg.DSN(), KMS: address, Env: []string{"APP_LOG=" + log.Name()}, Admin: pg.Admin, Steps: map[string]func(*testing.T, string){
		"plain": app.Deploy(schema.StageNone),
		"copy":  app.Deploy(schema.StageCopy),
		"forgotten": func(t *testing.T, _ string) {
			guide.AwaitCompanions(t, pg.Admin, func() {
				if ids, err := before.Find(t.Context(), app.Running.db, "A", "canary"); err != nil || len(ids) != app.Added {
					t.Fatalf("%v, %v", ids, err)
				}
			})
		},
		"sealed": app.Deploy(schema.StageSealed),
		"only": func(t *testing.T, _ string) {
			app.Deploy(schema.StageOnly)(t, "")
			if stats, err := driver.Stats(t.Context(), app.Running.db.DB); err != nil || stats.Hits == 0 {
				t.Errorf("Stats through the wrapper: %+v, %v", stats, err)
			}
			const query = "SELECT id, name, email, born, ward FROM patients WHERE email = $1"
			if texts := above.texts(); !slices.Contains(texts, query) {
				t.Errorf("above there is %q", texts)
			}
			if texts := below.texts(); slices.Contains(texts, query) || !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, `FROM "public".patients WHERE "email_sealed" = $1`) }) {
				t.Errorf("below there is %q", texts)
			}
			if strings.Contains(fmt.Sprintf("%+v", below.spans.GetSpans()), "anary") {
				t.Error("below there is plaintext")
			}
		},
		"finished": func(t *testing.T, _ string) {
			works(t, app.Running, patients)
			guide.NoPlaintext(t, pg.Admin, "patients", "Canary", "name_sealed")
			guide.NoPlaintext(t, pg.Admin, "patients", "@example.com", "email_sealed")
			guide.Emptied(t, pg.Admin, "patients", "name", "email", "born")
		},
		"sealed again": app.Deploy(schema.StageSealed),
		"copy again":   app.Deploy(schema.StageCopy),
		"plain again":  app.Deploy(schema.StageNone),
		"out": func(t *testing.T, _ string) {
			works(t, app.Running, patients)
			app.End(t, app.Running)
		},
	}}.Follow(t)
}

// holds compares all rows.
func holds(t *testing.T, s Store, want []Patient) {
	t.Helper()
	got, err := s.OfWard(t.Context(), "A")
	if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("there are %v, %v, want %v", got, err, want)
	}
}

// works goes through all that the application does.
func works(t *testing.T, s Store, want []Patient) {
	t.Helper()
	ctx := t.Context()
	holds(t, s, want)
	if len(want) == 0 {
		return
	}
	for _, p := range want {
		if got, err := s.ByEmail(ctx, p.Email); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%v, %v, want %v", got, err, p)
		}
	}
	if err := s.Rename(ctx, want[0].Email, "Dora"); err != nil {
		t.Error(err)
	}
	if found, err := s.Find(ctx, "A", "dor"); err != nil || len(found) != 1 || found[0].ID != want[0].ID {
		t.Errorf("found %v, %v", found, err)
	}
	if err := s.Rename(ctx, want[0].Email, want[0].Name); err != nil {
		t.Error(err)
	}
	if _, err := s.Add(ctx, want[0]); err == nil || !strings.Contains(err.Error(), "23505") {
		t.Errorf("a second row with an e-mail address: %v", err)
	}
	if _, err := s.db.ExecContext(ctx, "SELECT setval('patients_id_seq', $1)", len(want)); err != nil { // which the attempt moved on
		t.Error(err)
	}
}

// recorder keeps the spans of a wrapper.
type recorder struct{ spans *tracetest.InMemoryExporter }

func newRecorder() recorder { return recorder{tracetest.NewInMemoryExporter()} }

func (r recorder) options() []otelsql.Option {
	return []otelsql.Option{otelsql.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans)))}
}

// texts are the statements in the spans.
func (r recorder) texts() (texts []string) {
	for _, s := range r.spans.GetSpans() {
		for _, a := range s.Attributes {
			if a.Key == "db.query.text" || a.Key == "db.statement" {
				texts = append(texts, a.Value.AsString())
			}
		}
	}
	return texts
}
