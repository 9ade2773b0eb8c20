// Package telemetry tells OpenTelemetry what a *sql.DB does: metrics by
// instruments that are read when they are collected, spans for the requests to KMS.
//
// What happens for each cell, row or key lookup is only counted, in atomics that are there
// anyway: no OpenTelemetry code runs on those paths. Nothing here ever gets a value, a
// key, a DSN or a statement's text; the scopes of keys are left out because there may be
// as many as there are tenants.
package telemetry

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
)

// scopeName is the name of the instrumentation.
const scopeName = "github.com/colseal/colseal"

// Config says where metrics and spans go.
type Config struct {
	Meters     metric.MeterProvider // nil: OpenTelemetry's global one
	Tracers    trace.TracerProvider // nil: OpenTelemetry's global one
	Attributes []attribute.KeyValue // of every metric and span
	Keyring    string               // the key table, an attribute of every metric and span
}

// A Snapshot is what a handle says of itself when metrics are collected.
type Snapshot struct {
	Open  bool // a key was used; before that Keys says nothing
	Keys  keycache.Stats
	Plans sqlplan.Stats
}

// A Handle reports one *sql.DB. Its methods are safe for concurrent use.
type Handle struct {
	Counts Counts

	attrs    attribute.Set
	tracer   trace.Tracer
	duration metric.Float64Histogram
	callback metric.Registration // nil when it could not be registered
}

// The attributes' keys, as on the page docs/operating.md.
const (
	keyKeyring   = attribute.Key("colseal.keyring")
	keyPurpose   = attribute.Key("colseal.purpose")
	keySuite     = attribute.Key("colseal.suite")
	keyRefusal   = attribute.Key("colseal.refusal.class")
	keyOperation = attribute.Key("colseal.kms.operation")
	keyKeyID     = attribute.Key("colseal.key.id")
	keyEpoch     = attribute.Key("colseal.key.epoch")
	keyKEK       = attribute.Key("colseal.kek")
	keyErrorType = attribute.Key("error.type")
)

// Start registers the metrics. read is called whenever they are collected, from any
// goroutine, until Close. What goes wrong is OpenTelemetry's error handler's to tell: a
// program does not stop because it cannot be watched.
func Start(cfg Config, read func() Snapshot) *Handle {
	if cfg.Meters == nil {
		cfg.Meters = otel.GetMeterProvider()
	}
	if cfg.Tracers == nil {
		cfg.Tracers = otel.GetTracerProvider()
	}
	h := &Handle{
		attrs:  attribute.NewSet(append([]attribute.KeyValue{keyKeyring.String(cfg.Keyring)}, cfg.Attributes...)...),
		tracer: cfg.Tracers.Tracer(scopeName),
	}
	if err := h.register(cfg.Meters.Meter(scopeName), read); err != nil {
		otel.Handle(err)
	}
	return h
}

// Close ends the metrics. A nil Handle has none.
func (h *Handle) Close() error {
	if h == nil || h.callback == nil {
		return nil
	}
	return h.callback.Unregister()
}

// register makes the instruments and the callback that fills them.
func (h *Handle) register(meter metric.Meter, read func() Snapshot) (err error) {
	h.duration, err = meter.Float64Histogram(kmsDuration.Name, metric.WithUnit(kmsDuration.Unit),
		metric.WithDescription(kmsDuration.Description), metric.WithExplicitBucketBoundaries(durationBounds...))
	if err != nil {
		return err
	}
	integers := make([]metric.Int64Observable, len(counts))
	floats := make([]metric.Float64Observable, len(gauges))
	var all []metric.Observable
	for i, c := range counts {
		if integers[i], err = c.make(meter); err != nil {
			return err
		}
		all = append(all, integers[i])
	}
	for i, g := range gauges {
		floats[i], err = meter.Float64ObservableGauge(g.Name, metric.WithUnit(g.Unit), metric.WithDescription(g.Description))
		if err != nil {
			return err
		}
		all = append(all, floats[i])
	}
	h.callback, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := h.state(read())
		for i, c := range counts {
			c.read(&s, func(n uint64, attrs ...attribute.KeyValue) {
				o.ObserveInt64(integers[i], int64(n), metric.WithAttributeSet(h.attrs), metric.WithAttributes(attrs...)) //nolint:gosec // a count
			})
		}
		for i, g := range gauges {
			g.read(&s, func(v float64, attrs ...attribute.KeyValue) {
				o.ObserveFloat64(floats[i], v, metric.WithAttributeSet(h.attrs), metric.WithAttributes(attrs...))
			})
		}
		return nil
	}, all...)
	return err
}
