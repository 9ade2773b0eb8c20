// Package hint is what the error types of all packages share: an error is one line, and its hint
// stands beside it.
package hint

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Of returns the hint of the first error in err's tree that has one, or "".
func Of(err error) string {
	if a, ok := err.(interface{ Advice() string }); ok {
		if hint := a.Advice(); hint != "" {
			return hint
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return Of(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if hint := Of(err); hint != "" {
				return hint
			}
		}
	}
	return ""
}

// With returns err with a hint. Its text stays err's. Without a hint it is err.
func With(err error, hint string) error {
	if hint == "" {
		return err
	}
	return &hinted{err, hint}
}

// Errorf is [fmt.Errorf] for an error that wraps one with a hint: its %+v prints the hint, too.
func Errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return With(err, Of(err))
}

// Join is [errors.Join]. %+v prints each error's hint below it.
func Join(errs ...error) error {
	if err, ok := errors.Join(errs...).(joinedError); ok {
		return joined{err}
	}
	return nil
}

type joinedError interface {
	error
	Unwrap() []error
}

type joined struct{ joinedError }

func (e joined) Format(s fmt.State, verb rune) { Format(s, verb, e) }
func (e joined) LogValue() slog.Value          { return slog.StringValue(Text(e)) }

type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error                 { return e.error }
func (e *hinted) Advice() string                { return e.hint }
func (e *hinted) Format(s fmt.State, verb rune) { Format(s, verb, e) }
func (e *hinted) LogValue() slog.Value          { return LogValue(e) }

// Text returns err's text with its hint on a line of its own: for people, at a terminal or in a
// panic. Of errors that are joined each has its own.
func Text(err error) string {
	if several, ok := err.(joinedError); ok {
		plain, full := []string{}, []string{}
		for _, err := range several.Unwrap() {
			plain, full = append(plain, err.Error()), append(full, Text(err))
		}
		if strings.Join(plain, "\n") == err.Error() { // as errors.Join writes them
			return strings.Join(full, "\n")
		}
	}
	if hint := Of(err); hint != "" {
		return err.Error() + "\nhint: " + hint
	}
	return err.Error()
}

// Format implements [fmt.Formatter] for an error: %+v prints the hint on a line of its own.
func Format(s fmt.State, verb rune, err error) {
	text := err.Error()
	if verb == 'v' && s.Flag('+') {
		text = Text(err)
	}
	_, _ = fmt.Fprintf(s, fmt.FormatString(s, verb), text)
}

// LogValue implements [slog.LogValuer] for an error.
func LogValue(err error) slog.Value {
	return slog.GroupValue(slog.String("error", err.Error()), slog.String("hint", Of(err)))
}
