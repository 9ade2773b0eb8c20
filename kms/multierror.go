package kms

import (
	"context"
	"errors"
	"strings"
)

// failures are what several KEKs said to one request.
type failures struct {
	op   string
	errs []error
}

func (f *failures) add(err error) { f.errs = append(f.errs, err) }

// err returns one error of one class: that of the gravest.
func (f *failures) err(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if len(f.errs) == 0 {
		return &Error{Op: f.op, Class: ErrInvalidWrapped, Reason: "none of the configured KEKs wrapped it", Hint: "configure the KEK that did"}
	}
	worst := f.errs[0]
	for _, err := range f.errs[1:] {
		if gravity(err) > gravity(worst) {
			worst = err
		}
	}
	out := &Error{Op: f.op, Class: classOf(worst), Cause: ctx.Err()}
	if e, ok := errors.AsType[*Error](worst); ok {
		out.Hint = e.Hint
	}
	if out.Cause == nil && !errors.Is(worst, context.DeadlineExceeded) { // that deadline was not the caller's
		out.Cause = worst
	}
	said := make([]string, len(f.errs))
	for i, err := range f.errs {
		said[i] = err.Error()
		if e, ok := errors.AsType[*Error](err); ok {
			brief := *e
			brief.Hint = ""
			said[i] = strings.TrimPrefix(brief.Error(), "kms: ")
		}
	}
	out.Reason = strings.Join(said, "; and ")
	return out
}

// gravity orders the classes.
func gravity(err error) int {
	switch class := classOf(err); {
	case errors.Is(class, ErrDenied):
		return 2
	case errors.Is(class, ErrUnavailable):
		return 1
	}
	return 0
}

// classOf returns the finest class of an error. One that is in none is taken for no
// answer.
func classOf(err error) error {
	if c, ok := errors.AsType[*class](err); ok {
		return c
	}
	return ErrUnavailable
}
