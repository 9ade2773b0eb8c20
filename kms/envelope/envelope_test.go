package envelope_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

// late is a service that notices the end of a time limit before the caller does, as one can that is told the limit.
type late struct{ envelope.Service }

func (late) KeyID() string { return "late" }

func (late) Check(context.Context) error { return &kms.Error{Class: kms.ErrTimeout} }

func TestWhoseTimeLimit(t *testing.T) {
	for name, c := range map[string]struct {
		caller, service time.Duration
		callers         bool
	}{
		"the caller's":  {time.Hour, 2 * time.Hour, true},
		"the service's": {2 * time.Hour, time.Hour, false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.caller)
		defer cancel()
		err := envelope.New(late{}, envelope.Config{Timeout: c.service}).Check(ctx)
		if !errors.Is(err, kms.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) != c.callers {
			t.Errorf("%s time limit: %v, is context.DeadlineExceeded: %t, want %t", name, err, !c.callers, c.callers)
		}
	}
}
