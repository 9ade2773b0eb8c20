// Package audittest records audit events in tests, and holds them to their schema.
package audittest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/colseal/colseal/internal/audit"
)

// Recorder is a slog.Handler that keeps records and reports to its test those that are no
// event, have another level than theirs, or an attribute that is not theirs. It is safe for
// concurrent use.
type Recorder struct {
	tb     testing.TB
	events map[string]audit.Event

	mu      sync.Mutex
	records []slog.Record
}

// New returns a Recorder and a logger that writes to it.
func New(tb testing.TB) (*Recorder, *slog.Logger) {
	r := &Recorder{tb: tb, events: map[string]audit.Event{}}
	for _, e := range audit.Events() {
		r.events[e.Name] = e
	}
	return r, slog.New(r)
}

// Enabled implements slog.Handler: every level is.
func (r *Recorder) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler. Colseal does not use it.
func (r *Recorder) WithAttrs([]slog.Attr) slog.Handler { return r }

// WithGroup implements slog.Handler. Colseal does not use it.
func (r *Recorder) WithGroup(string) slog.Handler { return r }

// Handle implements slog.Handler.
func (r *Recorder) Handle(_ context.Context, rec slog.Record) error {
	if why := Check(r.events, rec); why != "" {
		r.tb.Errorf("%s: %s", rec.Message, why)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, rec.Clone())
	return nil
}

// Check tells what is wrong with a record, or "".
func Check(events map[string]audit.Event, rec slog.Record) string {
	e, ok := events[rec.Message]
	if !ok {
		return "not an event of package audit"
	}
	if e.Level != rec.Level {
		return fmt.Sprintf("has level %v, the event's is %v", rec.Level, e.Level)
	}
	why, next := "", 0
	rec.Attrs(func(a slog.Attr) bool {
		at := slices.Index(e.Attrs, a.Key)
		switch {
		case at < 0:
			why = "has an attribute that the event does not have: " + a.Key
		case at < next:
			why = "has an attribute twice, or out of order: " + a.Key
		}
		next = at + 1
		return why == ""
	})
	return why
}

// Take returns the records of one event so far as text, "key=value key=value", and forgets
// them.
func (r *Recorder) Take(e audit.Event) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	r.records = slices.DeleteFunc(r.records, func(rec slog.Record) bool {
		if rec.Message != e.Name {
			return false
		}
		texts = append(texts, text(rec))
		return true
	})
	return texts
}

// Names returns the names of the events that Take has not returned, in order.
func (r *Recorder) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, rec := range r.records {
		names = append(names, rec.Message)
	}
	return names
}

func text(rec slog.Record) string {
	var parts []string
	rec.Attrs(func(a slog.Attr) bool {
		parts = append(parts, a.Key+"="+a.Value.String())
		return true
	})
	return strings.Join(parts, " ")
}
