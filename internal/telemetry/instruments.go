package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
)

// Instrument describes one metric.
type Instrument struct {
	Name        string
	Kind        Kind
	Unit        string // UCUM
	Attributes  []attribute.Key
	Description string
}

// Kind is the kind of an instrument.
type Kind string

// The kinds.
const (
	Counter       Kind = "counter"
	UpDownCounter Kind = "up-down counter"
	Gauge         Kind = "gauge"
	Histogram     Kind = "histogram"
)

// state is what the instruments are read from.
type state struct {
	Snapshot
	totals
}

// A count is an instrument whose value is a whole number.
type count struct {
	Instrument
	read func(*state, func(uint64, ...attribute.KeyValue))
}

func (c count) make(m metric.Meter) (metric.Int64Observable, error) {
	if c.Kind == UpDownCounter {
		return m.Int64ObservableUpDownCounter(c.Name, metric.WithUnit(c.Unit), metric.WithDescription(c.Description))
	}
	return m.Int64ObservableCounter(c.Name, metric.WithUnit(c.Unit), metric.WithDescription(c.Description))
}

// A gauge is an instrument whose value is not.
type gauge struct {
	Instrument
	read func(*state, func(float64, ...attribute.KeyValue))
}

var counts = []count{
	{Instrument{"colseal.key_cache.hits", Counter, "{lookup}", nil, "Key lookups answered from memory"},
		ofKeys(func(s *keycache.Stats) uint64 { return s.Hits })},
	{Instrument{"colseal.key_cache.misses", Counter, "{lookup}", nil, "Key lookups that waited for the keyring or KMS"},
		ofKeys(func(s *keycache.Stats) uint64 { return s.Misses })},
	{Instrument{"colseal.key_cache.stale_hits", Counter, "{lookup}", nil, "Key lookups answered past MaxAge, because KMS or the keyring was unavailable"},
		ofKeys(func(s *keycache.Stats) uint64 { return s.StaleHits })},
	{Instrument{"colseal.key_cache.refreshes", Counter, "{key}", nil, "Keys unwrapped again ahead of MaxAge"},
		ofKeys(func(s *keycache.Stats) uint64 { return s.Refreshes })},
	{Instrument{"colseal.key_cache.evictions", Counter, "{key}", nil, "Keys dropped from memory: for space, for age, or because KMS refused"},
		ofKeys(func(s *keycache.Stats) uint64 { return s.Evictions })},
	{Instrument{"colseal.key_cache.entries", UpDownCounter, "{key}", nil, "Data keys in memory now"},
		ofKeys(func(s *keycache.Stats) uint64 { return uint64(s.Entries) })}, //nolint:gosec // a length
	{Instrument{"colseal.key_cache.scopes", UpDownCounter, "{scope}", nil, "Pairs of purpose and scope in memory now"},
		ofKeys(func(s *keycache.Stats) uint64 { return uint64(s.Scopes) })}, //nolint:gosec // a length
	{Instrument{"colseal.keys.created", Counter, "{key}", nil, "Data keys that this process made"},
		ofKeys(func(s *keycache.Stats) uint64 { return s.Created })},
	{Instrument{"colseal.keys.rotated", Counter, "{key}", nil, "Those of them that followed an earlier key"},
		ofKeys(func(s *keycache.Stats) uint64 { return s.Rotations })},
	{Instrument{"colseal.kms.errors", Counter, "{request}", []attribute.Key{keyErrorType}, "Requests to KMS that failed, retries included"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) {
			byWord(s.Keys.KMSErrorClasses, keyErrorType, emit)
		}},
	{Instrument{"colseal.kms.paused", UpDownCounter, "{breaker}", nil, "1 while the circuit breaker keeps requests from KMS, else 0"},
		ofKeys(func(s *keycache.Stats) uint64 {
			if s.KMSOpen {
				return 1
			}
			return 0
		})},
	{Instrument{"colseal.plan_cache.hits", Counter, "{statement}", nil, "Statements whose plan was in memory"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { emit(s.Plans.Hits) }},
	{Instrument{"colseal.plan_cache.misses", Counter, "{statement}", nil, "Statements that were analysed"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { emit(s.Plans.Misses) }},
	{Instrument{"colseal.plan_cache.entries", UpDownCounter, "{plan}", nil, "Plans in memory now"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { emit(uint64(s.Plans.Plans)) }}, //nolint:gosec // a length
	{Instrument{"colseal.refusals", Counter, "{statement}", []attribute.Key{keyRefusal}, "Statements that were refused, and not sent"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { byWord(s.refused, keyRefusal, emit) }},
	{Instrument{"colseal.observed", Counter, "{statement}", []attribute.Key{keyRefusal}, "Statements of columns in the stage `copy` that will be refused in `sealed`, and values that were not copied"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { byWord(s.observed, keyRefusal, emit) }},
	{Instrument{"colseal.cells.sealed", Counter, "{cell}", []attribute.Key{keySuite}, "Cells sealed"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { bySuite(s.sealed, emit) }},
	{Instrument{"colseal.cells.opened", Counter, "{cell}", []attribute.Key{keySuite}, "Cells opened; counted when the rows are closed"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { bySuite(s.opened, emit) }},
	{Instrument{"colseal.cells.rejected", Counter, "{cell}", []attribute.Key{keyErrorType}, "Stored values that could not be opened"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { byWord(s.rejected, keyErrorType, emit) }},
	{Instrument{"colseal.cells.unscoped", Counter, "{cell}", nil, "Values sealed without a scope while the keyring has scopes"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { emit(s.unscoped) }},
	{Instrument{"colseal.rows.opened", Counter, "{row}", nil, "Rows read that have sealed columns; counted when the rows are closed"},
		func(s *state, emit func(uint64, ...attribute.KeyValue)) { emit(s.rows) }},
}

var gauges = []gauge{
	{Instrument{"colseal.key.age", Gauge, "s", []attribute.Key{keyPurpose}, "Age of the oldest key that seals, over the scopes in memory"},
		func(s *state, emit func(float64, ...attribute.KeyValue)) {
			if s.Keys.DataKeyAge > 0 {
				emit(s.Keys.DataKeyAge.Seconds(), keyPurpose.String(string(keyring.PurposeData)))
			}
			if s.Keys.SearchKeyAge > 0 {
				emit(s.Keys.SearchKeyAge.Seconds(), keyPurpose.String(string(keyring.PurposeSearch)))
			}
		}},
	{Instrument{"colseal.key.budget_left", Gauge, "1", nil, "The least share of MaxSeals that a data key which seals has left, over the scopes in memory"},
		func(s *state, emit func(float64, ...attribute.KeyValue)) {
			if s.Keys.DataKeyAge > 0 {
				emit(s.Keys.BudgetLeft)
			}
		}},
}

var kmsDuration = Instrument{"colseal.kms.duration", Histogram, "s", []attribute.Key{keyOperation, keyPurpose, keyErrorType},
	"Duration of requests to KMS, each try by itself"}

// durationBounds suits a service that answers in milliseconds and is given seconds.
var durationBounds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Instruments lists all instruments.
func Instruments() []Instrument {
	var all []Instrument
	for _, c := range counts {
		all = append(all, c.Instrument)
	}
	for _, g := range gauges {
		all = append(all, g.Instrument)
	}
	return append(all, kmsDuration)
}

func ofKeys(get func(*keycache.Stats) uint64) func(*state, func(uint64, ...attribute.KeyValue)) {
	return func(s *state, emit func(uint64, ...attribute.KeyValue)) {
		if s.Open {
			emit(get(&s.Keys))
		}
	}
}

func byWord(counts map[string]uint64, key attribute.Key, emit func(uint64, ...attribute.KeyValue)) {
	for word, n := range counts {
		emit(n, key.String(word))
	}
}

func bySuite(c Cells, emit func(uint64, ...attribute.KeyValue)) {
	for i, n := range c {
		emit(n, keySuite.String(codec.Suite(i+1).String()))
	}
}
