package codec

import "errors"

// The errors of this package form classes, so that a caller branches on as little as it needs:
//
//	ErrFormat            the bytes are not a cell that this version can read
//	├ ErrVersion         a cell of another version
//	├ ErrSuite           a cell of a suite that this version does not have
//	├ ErrHexText         a cell as bytea's hexadecimal text, where a column of bytea became one of text
//	└ ErrNotSealed       not a cell at all: plaintext
//	ErrAuth              a well-formed cell that was not sealed by this key as it stands
//	└ ErrColumnMismatch  …because it belongs to another column
//	ErrKind              an authentic cell, but of another kind than declared (see KindError)
//	ErrValue             a value that does not fit the declared kind
//	├ ErrTooLong         …because its cell would be longer than PostgreSQL stores
//	└ ErrNull            …because it is NULL, which is stored as NULL and never sealed
//
// They are compared with [errors.Is]; the text of what is returned adds where and what, never a
// value.
var (
	ErrFormat          = errors.New("codec: malformed cell")
	ErrVersion   error = &class{"codec: cell of an unknown version", ErrFormat}
	ErrSuite     error = &class{"codec: cell of an unknown suite", ErrFormat}
	ErrHexText   error = &class{"codec: cell as hexadecimal text", ErrFormat}
	ErrNotSealed error = &class{"codec: not a sealed cell", ErrFormat}

	ErrAuth                 = errors.New("codec: cell failed authentication")
	ErrColumnMismatch error = &class{"codec: cell of another column", ErrAuth}

	ErrKind = errors.New("codec: cell of another kind")

	ErrValue         = errors.New("codec: value does not fit the kind")
	ErrTooLong error = &class{"codec: value too long", ErrValue}
	ErrNull    error = &class{"codec: NULL is not sealed", ErrValue}
)

// class is a sentinel that belongs to a wider one.
type class struct {
	text   string
	parent error
}

func (c *class) Error() string { return c.text }
func (c *class) Unwrap() error { return c.parent }

// valueError says why a value was refused. The cause of a refusal (encoding/json's, a Valuer's
// error) often quotes the value. So errors.Is and errors.As find it, and neither the text nor
// whoever unwraps errors one by one, as reporters of errors do, has it.
type valueError struct {
	kind   Kind
	reason string
	cause  error
}

func (e *valueError) Error() string {
	return ErrValue.Error() + " " + e.kind.String() + ": " + e.reason
}

func (e *valueError) Unwrap() error { return ErrValue }

// Is reports whether target is one of the cause's errors.
func (e *valueError) Is(target error) bool { return errors.Is(e.cause, target) }

// As finds an error of the cause's.
func (e *valueError) As(target any) bool { return errors.As(e.cause, target) }

func refuse(kind Kind, reason string) error {
	return &valueError{kind: kind, reason: reason}
}

// KindError says that an authentic cell holds another kind than its column is declared to hold, as
// when the declaration was changed. It is an ErrKind.
type KindError struct {
	Holds    Kind // may be one that this version does not know
	Declared Kind
}

func (e *KindError) Error() string {
	return ErrKind.Error() + ": it holds " + e.Holds.String() + ", the column is declared " + e.Declared.String()
}

func (e *KindError) Unwrap() error { return ErrKind }
