package sqlplan

import (
	"errors"
	"fmt"
	"strings"
)

// ErrRefused is wrapped by every refusal: the statement was not sent.
var ErrRefused = errors.New("statement refused")

// Refusal says why a statement was refused and what to do. Its text never holds a
// value: Query has every literal blanked.
type Refusal struct {
	Class  Class  // what kind of refusal it is
	Query  string // the statement with the inside of each literal blanked; "" if it has no tokens
	Pos    int    // byte offset in Query of what was refused
	Table  string // the sealed table concerned, if one
	Column string // the sealed column concerned, if one
	Reason string // what was not allowed
	Hint   string // what to write or do instead

	Cause error // an error that it is besides ErrRefused, or nil

	// Undecided: no catalog was at hand, and with one the statement may not be refused.
	Undecided bool
}

// Error implements error. It does not print Query.
func (r *Refusal) Error() string {
	var b strings.Builder
	b.WriteString("colseal: refused before sending: ")
	b.WriteString(r.Reason)
	if r.Table != "" {
		b.WriteString(" — ")
		b.WriteString(r.Table)
		if r.Column != "" {
			b.WriteByte('.')
			b.WriteString(r.Column)
		}
	}
	if r.Query != "" {
		line, col := r.Position()
		fmt.Fprintf(&b, " at line %d, column %d", line, col)
	}
	if r.Hint != "" {
		b.WriteString(" — ")
		b.WriteString(r.Hint)
	}
	return b.String()
}

// Unwrap makes errors.Is(err, ErrRefused) hold.
func (r *Refusal) Unwrap() []error {
	if r.Cause != nil {
		return []error{ErrRefused, r.Cause}
	}
	return []error{ErrRefused}
}

// Position returns Pos as a line and a column, in characters, both from 1.
func (r *Refusal) Position() (line, col int) {
	before := r.Query[:min(max(r.Pos, 0), len(r.Query))]
	line = 1 + strings.Count(before, "\n")
	col = 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
	return line, col
}
