package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/kms"
)

// busy is a handle of which everything has happened.
func busy() Snapshot {
	return Snapshot{
		Open: true,
		Keys: keycache.Stats{
			Hits: 1, Misses: 2, Refreshes: 3, StaleHits: 4, Evictions: 5, Created: 6, Rotations: 7, KMSOpen: true, Entries: 8, Scopes: 9,
			KMSErrorClasses: map[string]uint64{"throttled": 10}, DataKeyAge: time.Hour, SearchKeyAge: time.Minute, BudgetLeft: 0.25,
		},
		Plans: sqlplan.Stats{Hits: 11, Misses: 12, Plans: 13},
	}
}

// start returns a handle whose every instrument has a value, and what the SDK collects.
func start(t *testing.T, read func() Snapshot) (*Handle, func() map[string]metricdata.Metrics) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	h := Start(Config{Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Keyring: "keys"}, read)
	var cells Cells
	cells.Add(codec.SuiteRandomized)
	cells.Add(codec.SuiteDeterministic)
	h.Counts.Sealed(cells)
	h.Counts.Opened(cells, 1)
	h.Counts.Plaintext()
	h.Counts.Refused("mode")
	h.Counts.Rejected("auth")
	_, done := h.ObserveKMS(t.Context(), keycache.KMSCall{Op: keycache.OpUnwrap, Purpose: keycache.PurposeData})
	done(keycache.KMSAnswer{Err: fmt.Errorf("x: %w", kms.ErrThrottled)})
	return h, func() map[string]metricdata.Metrics {
		var rm metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &rm); err != nil {
			t.Fatal(err)
		}
		all := map[string]metricdata.Metrics{}
		for _, s := range rm.ScopeMetrics {
			for _, m := range s.Metrics {
				all[m.Name] = m
			}
		}
		return all
	}
}

// What the list says is what the SDK sees, and what the page says.
func TestInstruments(t *testing.T) {
	_, collect := start(t, busy)
	seen := collect()
	for _, want := range Instruments() {
		m, ok := seen[want.Name]
		delete(seen, want.Name)
		if !ok {
			t.Errorf("%s is not registered, or has no value", want.Name)
			continue
		}
		if m.Unit != want.Unit || m.Description != want.Description || kindOf(m) != want.Kind {
			t.Errorf("%s is a %s in %s (%s), want a %s in %s (%s)", want.Name, kindOf(m), m.Unit, m.Description, want.Kind, want.Unit, want.Description)
		}
		keys := attributesOf(m)
		for _, key := range want.Attributes {
			if !slices.Contains(keys, string(key)) {
				t.Errorf("%s has no attribute %s: %v", want.Name, key, keys)
			}
		}
		if len(keys) != len(want.Attributes)+1 {
			t.Errorf("%s has the attributes %v, want %v and the keyring", want.Name, keys, want.Attributes)
		}
	}
	for name := range seen {
		t.Errorf("%s is not in the list", name)
	}
}

func kindOf(m metricdata.Metrics) Kind {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		if data.IsMonotonic {
			return Counter
		}
		return UpDownCounter
	case metricdata.Gauge[float64]:
		return Gauge
	case metricdata.Histogram[float64]:
		return Histogram
	}
	return Kind(fmt.Sprintf("%T", m.Data))
}

func attributesOf(m metricdata.Metrics) []string {
	keys := map[string]bool{}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			for _, kv := range p.Attributes.ToSlice() {
				keys[string(kv.Key)] = true
			}
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			for _, kv := range p.Attributes.ToSlice() {
				keys[string(kv.Key)] = true
			}
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			for _, kv := range p.Attributes.ToSlice() {
				keys[string(kv.Key)] = true
			}
		}
	}
	var all []string
	for k := range keys {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func TestPageListsInstruments(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | kind | unit | attributes | what |\n|---|---|---|---|---|\n")
	for _, i := range Instruments() {
		attrs := make([]string, len(i.Attributes))
		for n, key := range i.Attributes {
			attrs[n] = "`" + string(key) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n", i.Name, i.Kind, i.Unit, strings.Join(attrs, " "), i.Description)
	}
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), b.String()) {
		t.Errorf("docs/operating.md must hold this table:\n%s", b.String())
	}
}

func TestNothingBeforeTheFirstKey(t *testing.T) {
	_, collect := start(t, func() Snapshot { return Snapshot{} })
	for _, name := range []string{"colseal.key_cache.hits", "colseal.key.age", "colseal.key.budget_left", "colseal.kms.paused"} {
		if _, ok := collect()[name]; ok {
			t.Errorf("%s has a value before a key was used", name)
		}
	}
}

func TestClose(t *testing.T) {
	reads := 0
	h, collect := start(t, func() Snapshot { reads++; return busy() })
	collect()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	collect()
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
	if err := (*Handle)(nil).Close(); err != nil {
		t.Error(err)
	}
}

// Without an SDK nothing happens, and nothing fails.
func TestWithoutAnSDK(t *testing.T) {
	h := Start(Config{}, busy)
	_, done := h.ObserveKMS(t.Context(), keycache.KMSCall{Op: keycache.OpGenerate})
	done(keycache.KMSAnswer{Err: errors.New("x")})
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
