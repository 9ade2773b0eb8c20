package front

import (
	"context"
	"errors"
	"log/slog"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// startTelemetry has a handle's metrics collected until it is closed.
func (db *DB) startTelemetry() *telemetry.Handle {
	return telemetry.Start(telemetry.Config{
		Meters: db.cfg.MeterProvider, Tracers: db.cfg.TracerProvider,
		Attributes: db.cfg.Attributes, Keyring: db.cfg.KeyTable,
	}, func() telemetry.Snapshot {
		s := telemetry.Snapshot{Plans: db.planner.Stats()}
		if keys := db.keys.loaded(); keys != nil {
			s.Open, s.Keys = true, keys.Stats()
		}
		return s
	})
}

// cacheConfig returns the configuration with which keys are fetched: requests to KMS are traced.
func (db *DB) cacheConfig() keycache.Config {
	cfg := db.cfg.Cache
	cfg.ObserveKMS = both(cfg.ObserveKMS, db.tel.ObserveKMS)
	return cfg
}

// both has two observers called, the first one's context inside the second's.
func both(outer, inner kms.Observer) kms.Observer {
	if outer == nil {
		return inner
	}
	return func(ctx context.Context, call kms.Call) (context.Context, func(kms.Answer)) {
		ctx, endOuter := outer(ctx, call)
		ctx, endInner := inner(ctx, call)
		return ctx, func(a kms.Answer) {
			endInner(a)
			endOuter(a)
		}
	}
}

// Refused counts and logs err if it is a refusal, and returns it.
func (db *DB) Refused(ctx context.Context, err error) error {
	var q *sqlplan.Refusal
	if !errors.As(err, &q) {
		return err
	}
	db.tel.Counts.Refused(string(q.Class))
	db.tell(ctx, audit.Refused, q)
	return err
}

// Rejected counts a stored value that could not be opened, and logs it if that is the
// value's own fault. What is wrong with keys is logged where it is found out.
func (db *DB) Rejected(ctx context.Context, col *schema.Column, err error) {
	class, damaged := rejection(err)
	db.tel.Counts.Rejected(class)
	if damaged {
		table, name := col.TableName(), col.Name
		db.log.EmitSparse(ctx, audit.CellRejected, []string{table, name, class},
			slog.String(audit.Table, table), slog.String(audit.Column, name), slog.String(audit.ErrorClass, class))
	}
}

// rejections tells why a value did not open, as a short stable word; the finer class
// stands before the coarser one that it is in too. damaged: the value is at fault.
var rejections = []struct {
	err     error
	class   string
	damaged bool
}{
	{keyring.ErrKeyDestroyed, "key_destroyed", false},
	{keyring.ErrKeyNotFound, "key_missing", true},
	{codec.ErrNotSealed, "not_sealed", true},
	{codec.ErrColumnMismatch, "column_mismatch", true},
	{codec.ErrVersion, "version", true},
	{codec.ErrAuth, "auth", true},
	{codec.ErrKind, "kind", true},
	{codec.ErrFormat, "format", true},
	{kms.ErrDenied, "key_denied", false},
	{keyring.ErrKeyInvalid, "key_invalid", false},
	{keyring.ErrOtherKeyring, "other_keyring", false},
	{keyring.ErrKeyUnavailable, "key_unavailable", false},
	{context.Canceled, "canceled", false},
	{context.DeadlineExceeded, "canceled", false},
}

func rejection(err error) (class string, damaged bool) {
	for _, r := range rejections {
		if errors.Is(err, r.err) {
			return r.class, r.damaged
		}
	}
	return "other", false
}
