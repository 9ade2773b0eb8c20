package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/kms"
)

// Failure returns the attributes that tell of an error: its class, and a text for people.
//
// The text is that of the key service's error, which promises to hold no secret, or the
// SQLSTATE of a database's. Any other error is told by its type alone: the text of a
// driver's may hold parts of a DSN.
func Failure(err error) []slog.Attr {
	return []slog.Attr{slog.String(ErrorClass, FailureClass(err)), slog.String(ErrorText, failureText(err))}
}

// FailureClass returns a short stable word for an error: one of kms.ErrorClass, "keyring"
// for a database's, or "other".
func FailureClass(err error) string {
	if class := kms.ErrorClass(err); class != "other" {
		return class
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case dbcatalog.SQLState(err) != "":
		return "keyring"
	}
	return "other"
}

func failureText(err error) string {
	var ke *kms.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &ke):
		return ke.Error()
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
