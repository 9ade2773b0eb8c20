package colseal

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/colseal/colseal/internal/hint"
)

// ErrRefused is wrapped by each [QueryError]: the statement was not sent.
var ErrRefused = errors.New("statement refused")

// A Class is the kind of a refusal, as a short stable word. There are few of them: use it as the
// label of a metric.
type Class string

// The classes of refusals.
const (
	ClassUnreadable  Class = "unreadable"  // the text cannot be parsed, or is too long, too deep or too costly to analyse
	ClassUnsupported Class = "unsupported" // a kind of statement or expression that is not analysed
	ClassOperation   Class = "operation"   // the database would have to compute with a sealed value
	ClassMode        Class = "mode"        // equality was asked of a randomized column
	ClassIdentity    Class = "identity"    // two columns of different identities, or roles, meet
	ClassPlaintext   Class = "plaintext"   // a value would be stored, or compared, unsealed
	ClassName        Class = "name"        // a name is unknown, ambiguous, or stands for unknown columns
	ClassStorage     Class = "storage"     // the table on the server does not fit the schema
	ClassSession     Class = "session"     // a setting or an earlier statement changes what the text means
	ClassSeveral     Class = "several"     // several statements in one text
	ClassRewriting   Class = "rewriting"   // the text cannot be edited as it is written
	ClassValue       Class = "value"       // a literal or cast whose value is not computed here, or does not fit
	ClassSearchKeys  Class = "search_keys" // not while two search keys are live
	ClassScope       Class = "scope"       // a scope is missing, or there is one where there must be none
	ClassWriteOnly   Class = "write_only"  // the program is write-only, and would open or compare a sealed value
	ClassKeyring     Class = "keyring"     // the keyring table would be changed
)

// QueryError says why a statement was refused before it was sent, where, and what to write instead.
// It wraps [ErrRefused]. Neither its text nor its Query holds a value.
type QueryError struct {
	Class  Class  // what kind of refusal it is
	Query  string // the statement with the inside of each literal blanked; "" if it has no tokens
	Pos    int    // byte offset in Query of what was refused
	Table  string // the sealed table concerned, if one
	Column string // the sealed column concerned, if one
	Reason string // what was not allowed
	Hint   string // what to write or do instead
	Cause  error  // an error that it is besides ErrRefused, or nil

	// Undecided: no catalog was at hand, and with one the statement may not be refused.
	Undecided bool
}

// Error returns the reason, the column and the place, on one line. It prints neither Query nor
// Hint.
func (e *QueryError) Error() string {
	var b strings.Builder
	b.WriteString("colseal: refused before sending: ")
	b.WriteString(e.Reason)
	if e.Table != "" {
		b.WriteString(": ")
		b.WriteString(e.Table)
		if e.Column != "" {
			b.WriteByte('.')
			b.WriteString(e.Column)
		}
	}
	if e.Query != "" {
		line, col := e.Position()
		fmt.Fprintf(&b, " at line %d, column %d", line, col)
	}
	return b.String()
}

// Unwrap returns [ErrRefused], and the Cause if there is one.
func (e *QueryError) Unwrap() []error {
	if e.Cause != nil {
		return []error{ErrRefused, e.Cause}
	}
	return []error{ErrRefused}
}

// Advice returns the Hint, for [Hint].
func (e *QueryError) Advice() string { return e.Hint }

// Format prints the hint on a line of its own for %+v, and what Error returns for any other verb.
func (e *QueryError) Format(s fmt.State, verb rune) { hint.Format(s, verb, e) }

// LogValue returns the text, the class and the hint.
func (e *QueryError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("error", e.Error()), slog.String("class", string(e.Class)), slog.String("hint", e.Hint))
}

// Position returns Pos as a line and a column, in characters, both from 1.
func (e *QueryError) Position() (line, col int) {
	before := e.Query[:min(max(e.Pos, 0), len(e.Query))]
	line = 1 + strings.Count(before, "\n")
	col = 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
	return line, col
}

// CellError says which value could not be sealed or opened. It wraps the cause, which is an error
// of package codec, keyring or kms, or of the caller's own driver.Valuer. Its text holds no value.
type CellError struct {
	Op     string // "seal", "open" or "find the key of"
	Table  string // the table of the sealed column
	Column string // the sealed column
	Where  string // the argument, literal or result column concerned
	Err    error  // the cause
	Hint   string // what to do; may be ""
}

// Error returns what could not be done with which column, and the cause, on one line.
func (e *CellError) Error() string {
	var b strings.Builder
	b.WriteString("colseal: cannot ")
	b.WriteString(e.Op)
	b.WriteByte(' ')
	b.WriteString(e.Table)
	b.WriteByte('.')
	b.WriteString(e.Column)
	if e.Where != "" {
		b.WriteString(" (")
		b.WriteString(e.Where)
		b.WriteByte(')')
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns the cause.
func (e *CellError) Unwrap() error { return e.Err }

// Advice returns the Hint, for [Hint].
func (e *CellError) Advice() string { return e.Hint }

// Format prints the hint on a line of its own for %+v, and what Error returns for any other verb.
func (e *CellError) Format(s fmt.State, verb rune) { hint.Format(s, verb, e) }

// LogValue returns the text and the hint.
func (e *CellError) LogValue() slog.Value { return hint.LogValue(e) }

// Hint returns what to do about err: the hint of the first error in its tree that has one, of
// whichever package of Colseal it is. It returns "" if none has.
func Hint(err error) string { return hint.Of(err) }
