package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/kms"
)

// What a caller branches on, with errors.Is. An error that KMS caused is also in
// its class of package kms.
var (
	// ErrKeyUnavailable: KMS or the keyring cannot be reached, and nothing
	// that may still be used is cached. It passes by itself.
	ErrKeyUnavailable = errors.New("keyring: data key unavailable")
	// ErrKeyNotFound: the keyring has no key of this id.
	ErrKeyNotFound = errors.New("keyring: no such data key in the keyring")
	// ErrKeyDestroyed: the key was destroyed on purpose; what was sealed under
	// it cannot be opened again.
	ErrKeyDestroyed = errors.New("keyring: data key destroyed")
	// ErrKeyInvalid: a row of the keyring cannot be a key's. It does not pass by itself.
	ErrKeyInvalid = errors.New("keyring: invalid key")
	// ErrKeyInUse: an operator asked to end a key that is still needed. The
	// text says what comes first.
	ErrKeyInUse = errors.New("keyring: key still in use")
	// ErrReadOnly: a key would have to be made, or stored, by a program that only reads the
	// keyring (keycache.Config.ReadOnly).
	ErrReadOnly = errors.New("keyring: read-only")
	// ErrWriteOnly: a program that only writes would open a sealed value, compare with one, or seal
	// one in a column whose tag does not say inbox.
	ErrWriteOnly = errors.New("keyring: write-only")
	// ErrNoInbox: the keyring has no inbox of the scope that the program has the pin of.
	ErrNoInbox = errors.New("keyring: no inbox")
	// ErrBudget: more cells at once than one data key may seal.
	ErrBudget = errors.New("keyring: seal budget exceeded")
	// ErrForeignKEK: an operator asked to rewrap a key that is under a KEK which is neither
	// the current one, nor trusted, nor named.
	ErrForeignKEK = errors.New("keyring: key is under another KEK")
	// ErrOtherKeyring: the keyring is not the one whose id is configured, or its id was
	// lost. It does not pass by itself.
	ErrOtherKeyring = errors.New("keyring: another keyring")
	// ErrNoKeyTable: the keyring's table does not exist, or is empty in a database that holds
	// cells. The error is a [TableError], which has the statement that creates a table that is
	// missing.
	ErrNoKeyTable = errors.New("keyring: no key table")
)

var errNoFreeID = hint.With(errors.New("keyring: no free key id was found"), "see what of the key table keeps rows out, or hides them: a trigger, a rule, or row-level security")

// An Error says what could not be done with which data key, for people to read.
// It never holds key material.
type Error struct {
	Op      string  // what was tried: "unwrap", "create", …
	Purpose Purpose // PurposeData or PurposeSearch; "" when not known
	KeyID   uint32  // 0 when it is not about one key; no key has this id
	Scope   string
	Class   error  // one of this package's sentinels, or nil
	Cause   error  // the error behind it, or nil
	Hint    string // what to do about it; may be ""
}

// Error returns what happened and to which key, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("keyring: ")
	b.WriteString(e.Op)
	b.WriteByte(' ')
	if e.Purpose != "" {
		b.WriteString(string(e.Purpose) + " ")
	}
	b.WriteString("key")
	if e.KeyID != 0 {
		fmt.Fprintf(&b, " %08x", e.KeyID)
	}
	if e.Scope != "" {
		fmt.Fprintf(&b, " of scope %q", e.Scope)
	}
	for _, err := range e.Unwrap() {
		b.WriteString(": ")
		b.WriteString(strings.TrimPrefix(err.Error(), "keyring: "))
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
func (e *Error) Unwrap() []error { return present(e.Class, e.Cause) }

func present(errs ...error) []error {
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// A TableError says what is wrong with the table of the keyring.
type TableError struct {
	Table  string // as a statement names it
	Reason string // what is wrong
	Class  error  // ErrNoKeyTable, or nil
	Cause  error  // the error behind it, or nil
	Hint   string // what to do about it
	ddl    string
}

const (
	ddlMethod  = "DDL of the keyring.TableError"
	otherTable = "name another table in Config.KeyTable"
)

// DDL returns the statements that create the table, or add what it lacks. Each ends in a semicolon.
// It returns "" if no statement helps.
func (e *TableError) DDL() string { return e.ddl }

// Error returns what is wrong with which table, on one line.
func (e *TableError) Error() string {
	text := "keyring: key table "
	if e.Class != nil {
		text = e.Class.Error() + ": "
	}
	text += e.Table + " " + e.Reason
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Advice returns the Hint, for colseal.Hint.
func (e *TableError) Advice() string { return e.Hint }

// Format prints the hint on a line of its own for %+v, and what Error returns for any other verb.
func (e *TableError) Format(s fmt.State, verb rune) { hint.Format(s, verb, e) }

// LogValue returns the text and the hint.
func (e *TableError) LogValue() slog.Value { return hint.LogValue(e) }

// Unwrap returns the class and the cause.
func (e *TableError) Unwrap() []error { return present(e.Class, e.Cause) }

// Classify gives an error about a key the class that callers branch on and the hint
// that helps. An error that has both already is returned as it is.
func Classify(op string, k Key, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) || errors.Is(err, ErrNoKeyTable) {
		return err
	}
	e := &Error{Op: op, Purpose: k.Purpose, KeyID: k.ID, Scope: k.Scope, Cause: err}
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, kms.ErrDenied):
		e.Hint = hintWith(err, "check the KEK's state and policy", "until KMS agrees again nothing is sealed or opened under this key")
	case errors.Is(err, kms.ErrInvalidWrapped):
		e.Class = ErrKeyInvalid
		e.Hint = hintWith(err, "check that this keyring row is unchanged and that its KEK is the one configured", "")
	case errors.Is(err, kms.ErrUnavailable):
		e.Class = ErrKeyUnavailable
		e.Hint = hintWith(err, "check that KMS can be reached", "programs try again by themselves")
	default:
		e.Class = ErrKeyUnavailable
		e.Hint = hintWith(err, "check the database that holds the keyring", "programs try again by themselves")
	}
	return e
}

// ScopeDestroyed returns the error about a scope whose newest key is the tombstone k.
func ScopeDestroyed(k Key) error {
	return &Error{Op: "seal with", Purpose: k.Purpose, KeyID: k.ID, Scope: k.Scope, Class: ErrKeyDestroyed,
		Hint: "nothing can be sealed or searched for in this scope again"}
}

// hintWith joins what to do, which KMS may have said better, and what happens meanwhile.
func hintWith(err error, what, meanwhile string) string {
	what = cmp.Or(hint.Of(err), what)
	if meanwhile == "" {
		return what
	}
	return what + "; " + meanwhile
}
