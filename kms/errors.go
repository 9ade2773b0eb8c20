package kms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/colseal/colseal/internal/hint"
)

// The error classes. Every error of a [Wrapper], but for a cancelled context, is
// in exactly one of the first three, as told by [errors.Is]. The others are
// finer: each is also in the class that its comment names.
var (
	// ErrDenied: the service gave a definite refusal that no retry repairs.
	// Plaintext keys that were unwrapped earlier must no longer be used.
	ErrDenied error = &class{name: "denied", text: "refused by the key management service"}

	// ErrUnavailable: there was no usable answer (time-out, throttling, server
	// fault, no connection). The same call may succeed later.
	ErrUnavailable error = &class{name: "unavailable", text: "key management service is unavailable"}

	// ErrInvalidWrapped: the wrapped key is damaged, was wrapped under another
	// KEK, or was wrapped with another encryption context.
	ErrInvalidWrapped error = &class{name: "invalid_wrapped", text: "wrapped key cannot be opened"}

	// ErrKeyDisabled (is ErrDenied): the KEK is switched off.
	ErrKeyDisabled error = &class{name: "key_disabled", text: "key encryption key is disabled", parent: ErrDenied}

	// ErrKeyPendingDeletion (is ErrDenied): the KEK is about to be deleted.
	ErrKeyPendingDeletion error = &class{name: "key_pending_deletion", text: "key encryption key is pending deletion", parent: ErrDenied}

	// ErrKeyNotFound (is ErrDenied): there is no such KEK.
	ErrKeyNotFound error = &class{name: "key_not_found", text: "key encryption key does not exist", parent: ErrDenied}

	// ErrThrottled (is ErrUnavailable): too many requests.
	ErrThrottled error = &class{name: "throttled", text: "key management service is throttling", parent: ErrUnavailable}

	// ErrTimeout (is ErrUnavailable): no answer in time. When it was the
	// caller's deadline that passed, the error is context.DeadlineExceeded too.
	ErrTimeout error = &class{name: "timeout", text: "key management service did not answer in time", parent: ErrUnavailable}
)

// class is a sentinel that may be a finer case of another.
type class struct {
	name, text string
	parent     error
}

func (c *class) Error() string { return "kms: " + c.text }
func (c *class) Unwrap() error { return c.parent }

// ErrorClass returns the finest class of err as a short stable word for a metric
// label: "denied", "unavailable", "invalid_wrapped", "key_disabled",
// "key_pending_deletion", "key_not_found", "throttled", "timeout"; "canceled"
// for a cancelled context, "other" for any other error and "" for nil.
func ErrorClass(err error) string {
	var c *class
	switch {
	case err == nil:
		return ""
	case errors.As(err, &c):
		return c.name
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "other"
}

// An Error is what an implementation of [Wrapper] returns, for people to read.
// Callers branch on its class with errors.Is. Its text is made only of the
// fields below; none of them may hold a plaintext key, and neither may anything
// that Cause leads to.
type Error struct {
	Op     string // what was tried: "generate data key", "unwrap data key", …
	KeyID  string // the KEK: key id, ARN, alias or file; "" when none is known
	Class  error  // one of the sentinels above
	Reason string // what happened, in the service's words where it gave any
	Hint   string // what to do about it; may be ""
	Cause  error  // the error behind it, for errors.As; may be nil; not printed
}

// Error returns what happened and where, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("kms: ")
	b.WriteString(e.Op)
	if e.KeyID != "" {
		b.WriteString(" with ")
		b.WriteString(e.KeyID)
	}
	var c *class
	if errors.As(e.Class, &c) {
		b.WriteString(": ")
		b.WriteString(c.text)
	}
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	return b.String()
}

// Advice returns the Hint, for colseal.Hint.
func (e *Error) Advice() string { return e.Hint }

// Format prints the hint on a line of its own for %+v, and what Error returns for any other verb.
func (e *Error) Format(s fmt.State, verb rune) { hint.Format(s, verb, e) }

// LogValue returns the text and the hint.
func (e *Error) LogValue() slog.Value { return hint.LogValue(e) }

// Unwrap returns the class and the cause.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 2)
	if e.Class != nil {
		errs = append(errs, e.Class)
	}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}
