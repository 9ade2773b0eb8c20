// Package telemetry_test holds what internal/telemetry registers to what an OpenTelemetry SDK sees.
package telemetry_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/kms"
)

// busy is a handle of which everything has happened.
func busy() telemetry.Snapshot {
	return telemetry.Snapshot{
		Open: true,
		Keys: keycache.Stats{
			Hits: 1, Misses: 2, Refreshes: 3, StaleHits: 4, Evictions: 5, Created: 6, Rotations: 7, KMSOpen: true, Entries: 8, Scopes: 9,
			KMSErrorClasses: map[string]uint64{"throttled": 10}, DataKeyAge: time.Hour, SearchKeyAge: time.Minute, BudgetLeft: 0.25,
		},
		Plans: sqlplan.Stats{Hits: 11, Misses: 12, Plans: 13},
	}
}

// start returns a handle whose every instrument has a value, and what the SDK collects.
func start(t *testing.T, read func() telemetry.Snapshot) (*telemetry.Handle, func() map[string]metricdata.Metrics) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	h := telemetry.Start(telemetry.Config{Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Keyring: "keys"}, read)
	var cells telemetry.Cells
	cells.Add(codec.SuiteRandomized)
	cells.Add(codec.SuiteDeterministic)
	h.Counts.Sealed(cells)
	h.Counts.Opened(cells, 1)
	h.Counts.Refused("mode")
	h.Counts.Rejected("auth")
	h.Counts.Observed("mode")
	_, done := h.ObserveKMS(t.Context(), kms.Call{Op: kms.OpUnwrap, Purpose: "data"})
	done(kms.Answer{Err: fmt.Errorf("x: %w", kms.ErrThrottled)})
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
	for _, want := range telemetry.Instruments() {
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

func kindOf(m metricdata.Metrics) telemetry.Kind {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		if data.IsMonotonic {
			return telemetry.Counter
		}
		return telemetry.UpDownCounter
	case metricdata.Gauge[float64]:
		return telemetry.Gauge
	case metricdata.Histogram[float64]:
		return telemetry.Histogram
	}
	return telemetry.Kind(fmt.Sprintf("%T", m.Data))
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

func TestNothingBeforeTheFirstKey(t *testing.T) {
	_, collect := start(t, func() telemetry.Snapshot { return telemetry.Snapshot{} })
	for _, name := range []string{"colseal.key_cache.hits", "colseal.key.age", "colseal.key.budget_left", "colseal.kms.paused"} {
		if _, ok := collect()[name]; ok {
			t.Errorf("%s has a value before a key was used", name)
		}
	}
}

func TestClose(t *testing.T) {
	reads := 0
	h, collect := start(t, func() telemetry.Snapshot { reads++; return busy() })
	collect()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	collect()
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
	if err := (*telemetry.Handle)(nil).Close(); err != nil {
		t.Error(err)
	}
}
