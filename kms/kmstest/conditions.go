package kmstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/colseal/colseal/kms"
)

// A Condition is what a test server of a key service can be put into for [Conditions].
type Condition string

// The conditions of a key service, and what an implementation makes of each.
const (
	ConditionHealthy            Condition = "healthy"
	ConditionAccessDenied       Condition = "access denied"         // ErrDenied: the caller may not use the key
	ConditionKeyDisabled        Condition = "key disabled"          // ErrDenied
	ConditionKeyDestroyed       Condition = "key destroyed"         // ErrDenied
	ConditionKeyMissing         Condition = "key missing"           // ErrDenied: there is no such key
	ConditionCredentialsExpired Condition = "credentials expired"   // ErrUnavailable: new credentials repair it
	ConditionThrottling         Condition = "throttling"            // ErrThrottled
	ConditionServerError        Condition = "server error"          // ErrUnavailable
	ConditionHanging            Condition = "hanging"               // ErrTimeout: no answer
	ConditionUnreachable        Condition = "unreachable"           // ErrUnavailable: connections are cut
	ConditionAnswerOfOtherKey   Condition = "answer of another key" // not nil: the answer names another key
	ConditionAnswerTooShort     Condition = "short answer"          // not nil: the plaintext is too short
	ConditionAnswerHuge         Condition = "huge answer"           // not nil: the answer does not end
	ConditionAnswerMalformed    Condition = "malformed answer"      // ErrUnavailable: it is not the service's
	ConditionAnswerCorrupt      Condition = "corrupt answer"        // not nil: its checksum is wrong
	ConditionKeyRotated         Condition = "key rotated"           // nil: a new version wraps, old ones unwrap
)

var conditions = []struct {
	in   Condition
	want error // the class of all calls; nil is any error
}{
	{ConditionAccessDenied, kms.ErrDenied}, {ConditionKeyDisabled, kms.ErrDenied}, {ConditionKeyDestroyed, kms.ErrDenied}, {ConditionKeyMissing, kms.ErrDenied},
	{ConditionCredentialsExpired, kms.ErrUnavailable}, {ConditionThrottling, kms.ErrThrottled}, {ConditionServerError, kms.ErrUnavailable},
	{ConditionHanging, kms.ErrTimeout}, {ConditionUnreachable, kms.ErrUnavailable},
	{ConditionAnswerOfOtherKey, nil}, {ConditionAnswerTooShort, nil}, {ConditionAnswerHuge, nil}, {ConditionAnswerMalformed, kms.ErrUnavailable}, {ConditionAnswerCorrupt, nil},
}

// Conditions checks how an implementation handles each condition of its service. set puts the
// service into one. It returns false if the service has no such condition, which is then left out.
// w must answer within a second when its service does not.
func Conditions(t *testing.T, w kms.Wrapper, set func(Condition) bool) {
	t.Helper()
	reset := func() {
		if !set(ConditionHealthy) {
			t.Fatal("the service cannot be made healthy")
		}
	}
	reset()
	k := conformNew(t, w, conformEC)
	for _, c := range conditions {
		t.Run(string(c.in), func(t *testing.T) {
			defer reset()
			if !set(c.in) {
				t.Skip("this service has no such condition")
			}
			began := time.Now()
			got, unwrap := w.Unwrap(t.Context(), k.Wrapped, conformEC)
			if got != nil {
				t.Errorf("Unwrap returned %d bytes", len(got))
			}
			requireClass(t, "Unwrap", unwrap, c.want, k.Plaintext)
			_, rewrap := w.Rewrap(t.Context(), k.Wrapped, conformEC, conformEC)
			requireClass(t, "Rewrap", rewrap, c.want, k.Plaintext)
			if c.in != ConditionAnswerTooShort { // no plaintext is in that answer
				made, generate := w.GenerateDataKey(t.Context(), conformEC)
				if made.Plaintext != nil {
					t.Error("GenerateDataKey returned a plaintext")
				}
				requireClass(t, "GenerateDataKey", generate, c.want, k.Plaintext)
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("three calls took %v", d)
			}
			reset()
			awaitHealthy(t, w, k.Wrapped)
		})
	}
	t.Run("caller's deadline", func(t *testing.T) {
		defer reset()
		if !set(ConditionHanging) {
			t.Skip("this service cannot hang")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := w.Unwrap(ctx, k.Wrapped, conformEC)
		requireClass(t, "Unwrap", err, kms.ErrTimeout, k.Plaintext)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Unwrap: %v, want context.DeadlineExceeded", err)
		}
	})
	t.Run(string(ConditionKeyRotated), func(t *testing.T) {
		if !set(ConditionKeyRotated) {
			t.Skip("this service does not rotate")
		}
		fresh := conformNew(t, w, conformEC)
		for name, wrapped := range map[string]kms.Wrapped{"old": k.Wrapped, "new": fresh.Wrapped} {
			if _, err := w.Unwrap(t.Context(), wrapped, conformEC); err != nil {
				t.Errorf("Unwrap under the %s version: %v", name, err)
			}
		}
		re, err := w.Rewrap(t.Context(), k.Wrapped, conformEC, conformEC)
		if err != nil {
			t.Fatalf("Rewrap: %v", err)
		}
		if re.KeyID != fresh.Wrapped.KeyID {
			t.Errorf("Rewrap gave key id %q, want that of new keys, %q", re.KeyID, fresh.Wrapped.KeyID)
		}
	})
}

// awaitHealthy waits until a client has connected again.
func awaitHealthy(t *testing.T, w kms.Wrapper, wrapped kms.Wrapped) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		_, err := w.Unwrap(t.Context(), wrapped, conformEC)
		if err == nil {
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("Unwrap of a service that is healthy again: %v", err)
		}
	}
}

func requireClass(t *testing.T, op string, err, want error, plaintext []byte) {
	t.Helper()
	RequireNoKey(t, err, plaintext)
	classes := 0
	for _, class := range []error{kms.ErrDenied, kms.ErrUnavailable, kms.ErrInvalidWrapped} {
		if errors.Is(err, class) {
			classes++
		}
	}
	if classes != 1 || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: %v, want one class, %v", op, err, want)
	}
}
