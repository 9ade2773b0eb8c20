package driver_test

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest/wiretap"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/audit/audittest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/ops/reseal"
)

// watch is the SDK in memory.
type watch struct {
	reader *sdkmetric.ManualReader
	spans  *tracetest.InMemoryExporter
	meters *sdkmetric.MeterProvider
	traces *sdktrace.TracerProvider
}

func newWatch() *watch {
	w := &watch{reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	w.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))
	w.traces = sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans))
	return w
}

func (w *watch) configure(c *driver.Config) {
	c.MeterProvider, c.TracerProvider = w.meters, w.traces
	c.TelemetryAttributes = []attribute.KeyValue{attribute.String("db.namespace", "test")}
}

func (w *watch) collect(t *testing.T) []metricdata.Metrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := w.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	var all []metricdata.Metrics
	for _, s := range rm.ScopeMetrics {
		all = append(all, s.Metrics...)
	}
	return all
}

// counts returns the whole-number metrics, "name{attribute=value}" to value, without the
// attributes that all have.
func (w *watch) counts(t *testing.T) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, m := range w.collect(t) {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
			for _, p := range sum.DataPoints {
				all[label(t, m.Name, p.Attributes)] = p.Value
			}
		}
	}
	return all
}

func label(t *testing.T, name string, set attribute.Set) string {
	t.Helper()
	var words []string
	for _, kv := range set.ToSlice() {
		switch kv.Key {
		case "colseal.keyring", "db.namespace":
			continue
		}
		words = append(words, string(kv.Key)+"="+kv.Value.String())
	}
	if len(words) != set.Len()-2 {
		t.Errorf("%s lacks one of the attributes that all have: %v", name, set.ToSlice())
	}
	if len(words) == 0 {
		return name
	}
	return name + "{" + strings.Join(words, ",") + "}"
}

func TestMetrics(t *testing.T) {
	w := newWatch()
	db, plain, _ := openLite(t, w.configure)
	if got := w.counts(t); got["colseal.plan_cache.hits"] != 0 || len(got) == 0 {
		t.Errorf("before the first statement: %v", got)
	}
	mustExec(t, db, liteTable)
	insert := "INSERT INTO users (id, email, ssn, note) VALUES (?, ?, ?, 'n')"
	for i := range 5 {
		mustExec(t, db, insert, i, "a@x", "ssn")
	}
	mustExec(t, db, insert, 5, "a@x", nil) // NULL is no cell
	drain(t, db, "SELECT email, ssn, note FROM users")
	drain(t, db, "SELECT note FROM users") // nothing sealed
	_, err := db.Exec("SELECT id FROM users WHERE ssn = 'x'")
	if !errors.Is(err, driver.ErrRefused) {
		t.Fatal(err)
	}
	mustExec(t, plain, "UPDATE users SET email = x'00' WHERE id = 1")
	mustExec(t, plain, "UPDATE users SET ssn = substr(ssn, 1, length(ssn)-4) || 'AAAA' WHERE id = 2")
	for range 2 {
		_ = read(db, "SELECT email, ssn FROM users WHERE id IN (1, 2)")
	}
	_ = read(db, "SELECT ssn FROM users WHERE id = 2")

	got := w.counts(t)
	for name, want := range map[string]int64{
		"colseal.cells.sealed{colseal.suite=randomized}":    5,
		"colseal.cells.sealed{colseal.suite=deterministic}": 6,
		"colseal.cells.opened{colseal.suite=randomized}":    5,
		"colseal.cells.opened{colseal.suite=deterministic}": 6,
		"colseal.rows.opened":                               9,
		"colseal.refusals{colseal.refusal.class=mode}":      1,
		"colseal.cells.rejected{error.type=not_sealed}":     2,
		"colseal.keys.created":                              2,
		"colseal.keys.rotated":                              0,
		"colseal.key_cache.entries":                         2,
		"colseal.key_cache.scopes":                          2,
		"colseal.kms.paused":                                0,
	} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s is %d, %v, want %d", name, n, ok, want)
		}
	}
	for _, name := range []string{"colseal.key_cache.hits", "colseal.plan_cache.hits", "colseal.plan_cache.misses", "colseal.plan_cache.entries"} {
		if got[name] == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	w.checkOthers(t)
}

// checkOthers looks at the metrics that are no whole numbers.
func (w *watch) checkOthers(t *testing.T) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range w.collect(t) {
		switch data := m.Data.(type) {
		case metricdata.Gauge[float64]:
			for _, p := range data.DataPoints {
				name := label(t, m.Name, p.Attributes)
				seen[name] = true
				if p.Value <= 0 || m.Unit == "1" && p.Value > 1 || m.Unit == "s" && p.Value > 60 {
					t.Errorf("%s is %v %s", name, p.Value, m.Unit)
				}
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				name := label(t, m.Name, p.Attributes)
				seen[name] = true
				if p.Count != 1 || len(p.Bounds) != 13 {
					t.Errorf("%s counts %d in %v", name, p.Count, p.Bounds)
				}
			}
		}
	}
	for _, name := range []string{
		"colseal.key.age{colseal.purpose=data}", "colseal.key.age{colseal.purpose=search}", "colseal.key.budget_left",
		"colseal.kms.duration{colseal.kms.operation=generate,colseal.purpose=data}",
		"colseal.kms.duration{colseal.kms.operation=generate,colseal.purpose=search}",
	} {
		if !seen[name] {
			t.Errorf("no %s among %v", name, seen)
		}
	}
}

// drain reads a query to its end.
func drain(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if err := read(db, query, args...); err != nil {
		t.Fatal(err)
	}
}

func read(db *sql.DB, query string, args ...any) error {
	rows, err := db.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	dest := make([]any, len(cols))
	for i := range dest {
		dest[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
	}
	return rows.Err()
}

func TestTelemetryOfReseal(t *testing.T) {
	w := newWatch()
	db, plain, _ := openLite(t, w.configure)
	mustExec(t, db, liteTable)
	mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, 'a')")
	mustExec(t, db, "INSERT INTO users (id, ssn) VALUES (2, 'a'), (3, 'b')")
	mustExec(t, plain, "UPDATE colseal_keys SET retired_at = created_at WHERE purpose = 'data'")
	w.spans.Reset()
	report, err := reseal.Run(t.Context(), db, reseal.Options{})
	if err != nil || report.Resealed != 2 {
		t.Fatal(report, err)
	}
	if n := w.counts(t)["colseal.cells.sealed{colseal.suite=randomized}"]; n != 2+2 {
		t.Errorf("%d cells", n)
	}
	if len(w.spans.GetSpans()) == 0 {
		t.Error("no request to KMS was seen")
	}
}

func TestMetricsEndWithTheHandle(t *testing.T) {
	w := newWatch()
	db, _, _ := openLite(t, w.configure)
	mustExec(t, db, liteTable)
	if len(w.counts(t)) == 0 {
		t.Fatal("no metrics")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.counts(t); len(got) != 0 {
		t.Errorf("after Close: %v", got)
	}
}

// Two handles with one provider and the same attributes: their counts are added up.
func TestMetricsOfTwoHandles(t *testing.T) {
	w := newWatch()
	for range 2 {
		db, _, _ := openLite(t, w.configure)
		mustExec(t, db, liteTable)
		mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, 'a@x')")
	}
	if n := w.counts(t)["colseal.cells.sealed{colseal.suite=deterministic}"]; n != 2 {
		t.Errorf("%d cells", n)
	}
}

func TestSpans(t *testing.T) {
	w := newWatch()
	mem := newMemKMS(t)
	db, _, _ := openLite(t, w.configure, func(c *driver.Config) { c.KMS = mem })
	mustExec(t, db, liteTable)
	mustExec(t, db, "INSERT INTO users (id, email) VALUES (1, 'a@x')")
	spans := w.spans.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	s := spans[0]
	got := map[string]string{}
	for _, kv := range s.Attributes {
		got[string(kv.Key)] = kv.Value.String()
	}
	if s.Name != "colseal.kms.generate" || s.Status.Code != codes.Unset || len(got["colseal.key.id"]) != 8 {
		t.Errorf("%s %v %v", s.Name, s.Status, got)
	}
	delete(got, "colseal.key.id")
	want := map[string]string{
		"colseal.keyring": driver.DefaultKeyTable, "db.namespace": "test", "colseal.purpose": "search", "colseal.key.epoch": "1", "colseal.kek": "mem",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("attributes %v, want %v", got, want)
	}
	w.spans.Reset()
	ctx, parent := w.traces.Tracer("test").Start(t.Context(), "request")
	if _, err := db.ExecContext(ctx, "INSERT INTO users (id, ssn) VALUES (2, 'a')"); err != nil {
		t.Fatal(err)
	}
	if spans = w.spans.GetSpans(); len(spans) != 1 || spans[0].Parent.SpanID() != parent.SpanContext().SpanID() {
		t.Errorf("%d spans, or not of the caller's trace", len(spans))
	}
	w.spans.Reset()
	mem.down.Store(true)
	db, _, _ = openLite(t, w.configure, func(c *driver.Config) { c.KMS = mem })
	mustExec(t, db, liteTable)
	if _, err := db.Exec("INSERT INTO users (id, ssn) VALUES (1, 'a')"); !errors.Is(err, driver.ErrKeyUnavailable) {
		t.Fatal(err)
	}
	spans = w.spans.GetSpans()
	if len(spans) != 3 {
		t.Errorf("%d spans of three tries", len(spans))
	}
	for _, s := range spans {
		if s.Status.Code != codes.Error || s.Status.Description != "unavailable" || len(s.Events) != 0 {
			t.Errorf("%v %v", s.Status, s.Events)
		}
	}
	if n := w.counts(t)["colseal.kms.errors{error.type=unavailable}"]; n != 3 {
		t.Errorf("%d errors", n)
	}
}

func TestAuditOfRefusals(t *testing.T) {
	rec, logger := audittest.New(t)
	db, _, _ := openLite(t, func(c *driver.Config) { c.Logger = logger })
	mustExec(t, db, liteTable)
	if got := rec.Take(audit.KeyringCreated); len(got) != 0 {
		t.Errorf("%q", got)
	}
	const first, second = "SELECT id FROM users\n WHERE ssn = '" + canary + "'", "SELECT id FROM users\n WHERE ssn = 'other'"
	for _, query := range []string{first, first, second} {
		if _, err := db.Exec(query); !errors.Is(err, driver.ErrRefused) {
			t.Fatal(err)
		}
	}
	if _, err := db.Prepare("SELECT max(ssn) FROM users"); !errors.Is(err, driver.ErrRefused) {
		t.Fatal(err)
	}
	got := rec.Take(audit.Refused)
	if len(got) != 2 {
		t.Fatalf("%q", got)
	}
	want := "class=mode reason== needs a deterministic column table=users column=ssn line=2 position="
	if !strings.HasPrefix(got[0], want) || !strings.Contains(got[0], " statement=") {
		t.Errorf("%q, want %q…", got[0], want)
	}
	if !strings.HasPrefix(got[1], "class=operation reason=the function max cannot work on a sealed column table=users column=ssn line=1 ") {
		t.Errorf("%q", got[1])
	}
}

func TestAuditOfCells(t *testing.T) {
	rec, logger := audittest.New(t)
	w := newWatch()
	db, plain, _ := openLite(t, w.configure, func(c *driver.Config) { c.Logger = logger })
	mustExec(t, db, liteTable)
	mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (1, 'a', 'b')")
	if got := rec.Take(audit.KeyringCreated); !slices.Equal(got, []string{"table=colseal_keys"}) {
		t.Errorf("%q", got)
	}
	if got := rec.Take(audit.KeyCreated); len(got) != 2 {
		t.Errorf("%q", got)
	}
	mustExec(t, plain, "INSERT INTO users (id, ssn) VALUES (2, 'plain'), (3, 'text')")
	mustExec(t, plain, "UPDATE users SET email = substr(email, 1, 20) WHERE id = 1")
	for range 3 {
		if err := read(db, "SELECT ssn FROM users WHERE id > 1"); !errors.Is(err, driver.ErrNotSealed) {
			t.Fatal(err)
		}
		if err := read(db, "SELECT email FROM users WHERE id = 1"); !errors.Is(err, driver.ErrFormat) {
			t.Fatal(err)
		}
	}
	if got := rec.Take(audit.CellRejected); !slices.Equal(got, []string{"table=users column=ssn error_class=not_sealed", "table=users column=email error_class=format"}) {
		t.Errorf("%q", got)
	}
	if n := w.counts(t)["colseal.cells.rejected{error.type=not_sealed}"]; n != 3 {
		t.Errorf("%d plaintext values were counted", n)
	}
}

// spy keeps the plaintext keys that pass it, and may refuse with what no log may hold.
type spy struct {
	kms.Wrapper
	keys []wiretap.Canary
	fail error
}

func (s *spy) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	if s.fail != nil {
		return kms.DataKey{}, s.fail
	}
	dk, err := s.Wrapper.GenerateDataKey(ctx, ec)
	if err == nil {
		s.keys = append(s.keys, wiretap.Bytes("data key", bytes.Clone(dk.Plaintext)))
	}
	return dk, err
}

// brokenConnector is a database that cannot be reached, and says more than it should.
type brokenConnector struct{ sqldriver.Connector }

func (brokenConnector) Connect(context.Context) (sqldriver.Conn, error) {
	return nil, errors.New("cannot connect to postgres://app:" + dsnCanary + "@db/app")
}

const dsnCanary = "hunter2-hunter2"

// Whatever happens, no log, metric or span holds a value, a key or a DSN.
func TestTelemetryHoldsNoSecret(t *testing.T) {
	w := newWatch()
	var text, js bytes.Buffer
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	logger := slog.New(slog.NewMultiHandler(slog.NewTextHandler(&text, debug), slog.NewJSONHandler(&js, debug)))
	s := &spy{Wrapper: newMemKMS(t)}
	configure := func(c *driver.Config) { c.Logger, c.KMS = logger, s }
	db, plain, _ := openLite(t, w.configure, configure)
	mustExec(t, db, liteTable)
	secretWork(t, db, plain)
	s.fail = &kms.Error{Op: "generate data key", Class: kms.ErrDenied, Cause: errors.New(dsnCanary)}
	other, _, _ := openLite(t, w.configure, configure)
	mustExec(t, other, liteTable)
	if _, err := other.Exec("INSERT INTO users (email) VALUES ('" + canary + "')"); !errors.Is(err, kms.ErrDenied) {
		t.Fatal(err)
	}
	broken, _, _ := openLite(t, w.configure, configure, func(c *driver.Config) { c.KeyConnector = brokenConnector{} })
	mustExec(t, broken, liteTable)
	if err := read(broken, "SELECT id FROM users WHERE email = '"+canary+"'"); err == nil {
		t.Fatal("a keyring that cannot be reached")
	}

	metrics, err := json.Marshal(w.collect(t))
	if err != nil {
		t.Fatal(err)
	}
	spans := fmt.Appendf(nil, "%+v", w.spans.GetSpans())
	canaries := append(s.keys, wiretap.Text("value", canary), wiretap.Text("DSN", dsnCanary))
	if len(canaries) != 4 {
		t.Errorf("%d canaries", len(canaries))
	}
	for where, b := range map[string][]byte{"log": text.Bytes(), "JSON log": js.Bytes(), "metrics": metrics, "spans": spans} {
		for _, f := range wiretap.InText(where, b, canaries...) {
			t.Error(f)
		}
		if !bytes.Contains(b, []byte("colseal.")) {
			t.Errorf("the %s hold nothing", where)
		}
	}
	for _, e := range []audit.Event{audit.Refused, audit.CellRejected, audit.KMSRefused, audit.KeyCreated, audit.KeyringCreated} {
		if !strings.Contains(text.String(), e.Name) {
			t.Errorf("no %s was logged", e.Name)
		}
	}
}

// secretWork seals, opens, is refused, and fails, with the canary each time.
func secretWork(t *testing.T, db, plain *sql.DB) {
	t.Helper()
	mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (1, ?, ?)", canary, canary)
	mustExec(t, db, "INSERT INTO users (id, email, ssn) VALUES (2, '"+canary+"', '"+canary+"')")
	drain(t, db, "SELECT email, ssn FROM users WHERE email = ?", canary)
	for _, query := range []string{
		"SELECT id FROM users WHERE ssn = '" + canary + "'", "SELECT id FROM users WHERE email LIKE '" + canary + "%'",
		"UPDATE users SET ssn = lower('" + canary + "')", "SELECT '" + canary + " FROM users", "SELECT id FROM users -- " + canary + "\n WHERE nowhere.x = 1",
		"INSERT INTO users (id, age) VALUES (3, '" + canary + "')",
	} {
		if err := read(db, query); err == nil {
			t.Errorf("%s was run", query)
		}
	}
	if _, err := db.Exec("INSERT INTO users (id, age) VALUES (3, ?)", canary); !errors.Is(err, driver.ErrValue) {
		t.Error(err)
	}
	mustExec(t, plain, "UPDATE users SET ssn = ? WHERE id = 2", canary)
	if err := read(db, "SELECT ssn FROM users WHERE id = 2"); !errors.Is(err, driver.ErrNotSealed) {
		t.Error(err)
	}
	mustExec(t, plain, "UPDATE users SET email = CAST(? AS BLOB) WHERE id = 2", canary)
	if err := read(db, "SELECT email FROM users WHERE id = 2"); !errors.Is(err, driver.ErrFormat) {
		t.Error(err)
	}
}
