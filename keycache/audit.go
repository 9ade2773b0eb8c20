package keycache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/colseal/colseal/internal/audit"
)

// emitKey emits an event about one key: audit.KeyCreated and its like. What is empty in
// rec, and among more, is left out.
func emitKey(ctx context.Context, log *audit.Log, e audit.Event, rec Record, more ...slog.Attr) {
	log.Emit(ctx, e, append(keyFacts(rec), said(more)...)...)
}

// keyFacts are a key's attributes in an event. The scope stands there even when it is
// empty: that is the default one's name.
func keyFacts(rec Record) []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	if rec.ID != 0 {
		attrs = append(attrs, slog.String(audit.KeyID, hexID(rec.ID)))
	}
	if rec.Purpose != "" {
		attrs = append(attrs, slog.String(audit.Purpose, string(rec.Purpose)), slog.String(audit.Scope, rec.Scope))
	}
	if rec.Epoch != 0 {
		attrs = append(attrs, slog.Int64(audit.Epoch, rec.Epoch))
	}
	if rec.Wrapped.KeyID != "" {
		attrs = append(attrs, slog.String(audit.KEK, rec.Wrapped.KeyID))
	}
	return attrs
}

// said drops attributes that say nothing: no reason was given, say.
func said(attrs []slog.Attr) []slog.Attr {
	kept := attrs[:0:0]
	for _, a := range attrs {
		if a.Value.Kind() != slog.KindString || a.Value.String() != "" {
			kept = append(kept, a)
		}
	}
	return kept
}

// failureFacts tells of an error, as audit.Failure does, which does not know this package's.
func failureFacts(err error) []slog.Attr {
	var own *Error
	if !errors.As(err, &own) || own.Cause != nil {
		return audit.Failure(err)
	}
	class := "other"
	switch own.Class {
	case ErrKeyDestroyed:
		class = "key_destroyed"
	case ErrKeyNotFound:
		class = "key_missing" // key_not_found is what KMS says of a KEK
	}
	return []slog.Attr{slog.String(audit.ErrorClass, class), slog.String(audit.ErrorText, own.Error())}
}

func hexID(id uint32) string { return fmt.Sprintf("%08x", id) }

// made is the event of a key that was just made.
func made(rec Record) audit.Event {
	if rec.Epoch > 1 {
		return audit.KeyRotated
	}
	return audit.KeyCreated
}

// reportStale tells, once a minute for all keys together, that keys serve past MaxAge
// because they cannot be renewed.
func (c *Cache) reportStale(ctx context.Context, l *lease, rec Record, err error) {
	if l.state() == leaseStale {
		c.log.EmitSparse(ctx, audit.KeyStale, []string{string(rec.Purpose)}, append(keyFacts(rec), failureFacts(err)...)...)
	}
}
