package pgxseal_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
)

// TestTelemetry: the same work has the same metrics and spans through both fronts, and no value is in them.
func TestTelemetry(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		twin := pgtest.Twin(t, server)
		native, both := newWatch(), newWatch()
		native.observe(t, func(cfg driver.Config) frontUse {
			exec(t, server.Admin, tables("bytea"))
			pool := newPool(t, server, cfg)
			return frontUse{
				exec: func(query string, args ...any) error { _, err := pool.Exec(t.Context(), query, args...); return err },
				read: func(query string, args ...any) error {
					rows, err := pool.Query(t.Context(), query, args...)
					if err != nil {
						return err
					}
					_, err = pgx.ForEachRow(rows, []any{new(string), new(*string)}, func() error { return nil })
					return err
				},
				copy: func(rows [][]any) error {
					_, err := pool.CopyFrom(t.Context(), pgx.Identifier{"users"}, []string{"id", "email", "ssn"}, pgx.CopyFromRows(rows))
					return err
				},
				admin: server.Admin,
			}
		})
		both.observe(t, func(cfg driver.Config) frontUse {
			exec(t, twin.Admin, tables("bytea"))
			config, err := pgx.ParseConfig(twin.DSN())
			must(t, err)
			connector, err := driver.NewConnector(stdlib.GetConnector(*config), cfg)
			must(t, err)
			db := sql.OpenDB(connector)
			t.Cleanup(func() { must(t, db.Close()) })
			return frontUse{
				exec: func(query string, args ...any) error { _, err := db.Exec(query, args...); return err },
				read: func(query string, args ...any) error {
					rows, err := db.Query(query, args...)
					if err != nil {
						return err
					}
					defer func() { _ = rows.Close() }()
					for rows.Next() {
						if err := rows.Scan(new(string), new(*string)); err != nil {
							return err
						}
					}
					return rows.Err()
				},
				copy: func(rows [][]any) error {
					conn, err := db.Conn(t.Context())
					must(t, err)
					defer func() { must(t, conn.Close()) }()
					_, err = driver.CopyFrom(t.Context(), conn, "users", []string{"id", "email", "ssn"}, rows)
					return err
				},
				admin: twin.Admin,
			}
		})
		if got, want := native.text(), both.text(); got != want {
			t.Errorf("through pgxseal:\n%s\nthrough the driver:\n%s", got, want)
		}
		for _, part := range []string{"colseal.cells.sealed{colseal.suite=randomized} 12", "colseal.cells.opened{colseal.suite=deterministic} 12",
			"colseal.refusals{colseal.refusal.class=mode} 1", "colseal.cells.rejected{error.type=auth} 1", "span colseal.kms.generate"} {
			if !strings.Contains(native.text(), part) {
				t.Errorf("there is no %q in\n%s", part, native.text())
			}
		}
	})
}

// frontUse is a front with the two sealed columns of users.
type frontUse struct {
	exec, read func(query string, args ...any) error
	copy       func(rows [][]any) error
	admin      *sql.DB
}

// watch is what OpenTelemetry's SDK saw, in lines.
type watch struct {
	reader *sdkmetric.ManualReader
	spans  *tracetest.InMemoryExporter
	lines  map[string]bool
}

func newWatch() *watch {
	return &watch{reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter(), lines: map[string]bool{}}
}

func (w *watch) text() string { return strings.Join(slices.Sorted(maps.Keys(w.lines)), "\n") }

// observe does some of everything, and notes what was measured.
func (w *watch) observe(t *testing.T, open func(driver.Config) frontUse) {
	t.Helper()
	cfg := sealConfig(t)
	cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))
	cfg.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans))
	f := open(cfg)
	for i := range 3 {
		must(t, f.exec("INSERT INTO users (id, email, ssn) VALUES ($1, $2, $3)", i, fmt.Sprint(secret, i), secret))
	}
	must(t, f.exec("INSERT INTO users (id, email, ssn) VALUES (3, '"+secret+"', NULL)"))
	var rows [][]any
	for i := 4; i < 13; i++ {
		rows = append(rows, []any{int64(i), fmt.Sprint(secret, i), secret})
	}
	must(t, f.copy(rows))
	must(t, f.read("SELECT email, ssn FROM users WHERE id < 12 ORDER BY id"))
	must(t, f.read("SELECT note, note FROM users WHERE id < 0"))
	if err := f.read("SELECT email, ssn FROM users WHERE ssn = $1", secret); !errors.Is(err, driver.ErrRefused) {
		t.Errorf("a search in a randomized column: %v", err)
	}
	exec(t, f.admin, "UPDATE users SET ssn = set_byte(ssn, length(ssn) - 1, get_byte(ssn, length(ssn) - 1) # 1) WHERE id = 12")
	if err := f.read("SELECT note, ssn FROM users WHERE id = 12"); err == nil {
		t.Error("an altered cell is read")
	}

	var rm metricdata.ResourceMetrics
	must(t, w.reader.Collect(t.Context(), &rm))
	raw, err := json.Marshal(rm.ScopeMetrics)
	must(t, err)
	for _, text := range [][]byte{raw, fmt.Appendf(nil, "%+v", w.spans.GetSpans())} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("a value is in what was measured: %s", text)
		}
	}
	for _, s := range rm.ScopeMetrics {
		for _, m := range s.Metrics {
			w.note(m)
		}
	}
	for _, s := range w.spans.GetSpans() {
		w.lines["span "+s.Name+attributes(attribute.NewSet(s.Attributes...))] = true
	}
}

// note notes a metric: its value too where it counts what the program did, rather than how it was found.
func (w *watch) note(m metricdata.Metrics) {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			line := m.Name + attributes(p.Attributes)
			if !strings.HasSuffix(m.Name, "_cache.hits") && !strings.HasSuffix(m.Name, "_cache.misses") && m.Name != "colseal.plan_cache.entries" {
				line += fmt.Sprintf(" %d", p.Value)
			}
			w.lines[line] = true
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			w.lines[m.Name+attributes(p.Attributes)] = true
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			w.lines[fmt.Sprintf("%s%s %d", m.Name, attributes(p.Attributes), p.Count)] = true
		}
	}
}

// attributes are written with their values, but for a key's id and what all have.
func attributes(set attribute.Set) string {
	var words []string
	for _, kv := range set.ToSlice() {
		switch kv.Key {
		case "colseal.keyring":
		case "colseal.key.id", "colseal.kek":
			words = append(words, string(kv.Key))
		default:
			words = append(words, string(kv.Key)+"="+kv.Value.String())
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "{" + strings.Join(words, ",") + "}"
}
