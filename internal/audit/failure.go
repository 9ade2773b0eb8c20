package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/kms"
)

// Failure returns the attributes that tell of an error: its class, and a text for people.
//
// The text is that of the key service's error, which promises to hold no secret, or the
// SQLSTATE of a database's. Any other error is told by its type alone: the text of a
// driver's may hold parts of a DSN.
func Failure(err error) []slog.Attr {
	return []slog.Attr{slog.String(ErrorClass, failureClass(err)), slog.String(ErrorText, failureText(err))}
}

// failureClass returns a short stable word for an error: one of kms.ErrorClass, "keyring"
// for a database's, or "other".
func failureClass(err error) string {
	if class := kms.ErrorClass(err); class != "other" {
		return class
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case dbcatalog.SQLState(err) != "":
		return "keyring"
	case errors.As(err, new(*PanicError)):
		return "panic"
	}
	return "other"
}

func failureText(err error) string {
	var (
		ke       *kms.Error
		panicked *PanicError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &ke):
		return ke.Error()
	case errors.As(err, &panicked):
		return panicked.Error()
	}
	if state := dbcatalog.SQLState(err); state != "" {
		return "SQLSTATE " + state
	}
	return "an error of type " + fmt.Sprintf("%T", innermost(err))
}

// innermost follows an error to the first one that wraps nothing, or several.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// A PanicError is a panic that was caught. Its text names the type of what was thrown and
// where, but not the value: nobody knows what is in it. Of a fault that the Go runtime
// found, such as an index out of range, it has the words.
type PanicError struct {
	what  string
	where string
}

func (e *PanicError) Error() string { return "panic: " + e.what + e.where }

// Caught turns a panic into an error. Call it in a deferred function with what recover
// returned; it returns nil for nil.
func Caught(thrown any) error {
	if thrown == nil {
		return nil
	}
	e := &PanicError{what: fmt.Sprintf("%T", thrown)}
	if fault, ok := thrown.(runtime.Error); ok {
		e.what = fault.Error()
	}
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for range 6 {
		frame, more := frames.Next()
		for more && strings.HasPrefix(frame.Function, "runtime.") {
			frame, more = frames.Next()
		}
		if frame.Function == "" {
			break
		}
		e.where += fmt.Sprintf(" < %s:%d", frame.Function, frame.Line)
		if !more {
			break
		}
	}
	return e
}
