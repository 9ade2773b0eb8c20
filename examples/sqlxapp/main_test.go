package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/XSAM/otelsql"
	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/examples/internal/guide"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
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
	address := "localkms://" + filepath.ToSlash(filepath.Join(t.TempDir(), "kek"))
	config := func(p driver.PlaintextPolicy) driver.Config {
		key, err := kms.Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		return driver.Config{KMS: key, Plaintext: p}
	}
	with := func(t *testing.T, db *sqlx.DB, err error, f func(Store)) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		f(Store{db})
	}
	guide.Walk{Page: "../../docs/adopt-sqlx.md", DSN: pg.DSN(), KMS: address, Admin: pg.Admin, Steps: map[string]func(*testing.T, string){
		"plain": func(t *testing.T, _ string) {
			db, err := openPlain(pg.DSN())
			with(t, db, err, func(s Store) {
				add(t, s, patients[:2])
				works(t, s, patients[:2])
			})
		},
		"allow read": func(t *testing.T, _ string) {
			db, err := openSealed(pg.DSN(), config(driver.PlaintextAllowRead))
			with(t, db, err, func(s Store) {
				add(t, s, patients[2:])
				holds(t, s, patients)
				if p, err := s.ByEmail(t.Context(), "cleo@example.com"); err != nil || p.ID != 3 {
					t.Error(p, err)
				}
			})
		},
		"checks": func(t *testing.T, printed string) {
			if _, err := pg.Admin.Exec(printed, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
		},
		"sealed": func(t *testing.T, _ string) {
			guide.NoPlaintext(t, pg.Admin, "patients", "Canary", "name")
			guide.NoPlaintext(t, pg.Admin, "patients", "@example.com", "email")
			above, below := newRecorder(), newRecorder()
			db, err := openTraced(pg.DSN(), config(driver.PlaintextReject), above.options(), below.options())
			with(t, db, err, func(s Store) {
				works(t, s, patients)
				if stats, err := driver.Stats(t.Context(), db.DB); err != nil || stats.Hits == 0 {
					t.Errorf("Stats through the wrapper: %+v, %v", stats, err)
				}
			})
			const query = "SELECT id, name, email, born, ward FROM patients WHERE email = $1"
			if texts := above.texts(); !slices.Contains(texts, query) {
				t.Errorf("above there is %q", texts)
			}
			if texts := below.texts(); slices.Contains(texts, query) || !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, `FROM "public".patients WHERE email = $1`) }) {
				t.Errorf("below there is %q", texts)
			}
		},
		"copy out": func(t *testing.T, _ string) {
			db, err := openSealed(pg.DSN(), config(driver.PlaintextReject))
			with(t, db, err, func(Store) {
				if err := copyOut(t.Context(), db); err != nil {
					t.Fatal(err)
				}
			})
		},
		"out": func(t *testing.T, _ string) {
			db, err := openPlain(pg.DSN())
			with(t, db, err, func(s Store) { works(t, s, patients) })
		},
	}}.Follow(t)
}

func add(t *testing.T, s Store, patients []Patient) {
	t.Helper()
	for _, p := range patients {
		if id, err := s.Add(t.Context(), p); err != nil || id != p.ID {
			t.Fatal(id, err)
		}
	}
}

// holds compares all rows.
func holds(t *testing.T, s Store, want []Patient) {
	t.Helper()
	got, err := s.OfWard(t.Context(), "A")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("there are %v, %v, want %v", got, err, want)
	}
}

// works goes through all that the application does.
func works(t *testing.T, s Store, want []Patient) {
	t.Helper()
	ctx := t.Context()
	holds(t, s, want)
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
