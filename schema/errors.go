package schema

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/hint"
)

// FieldError is one mistake in a schema. The error of [New] joins one for
// each; errors.As finds the first. It holds names from the program's source,
// never data.
type FieldError struct {
	Struct string // the Go type of the model, such as "main.User"; "" without one
	Field  string // the Go path, such as "User.Address.Email"; "" when it is not about a field
	Table  string // the relation as it was registered; "" when it is not known
	Column string // the column, where no struct field declares it
	Reason string // what is wrong
	Hint   string // what to do
}

// Error says where and what, on one line.
func (e *FieldError) Error() string {
	var b strings.Builder
	b.WriteString("schema: ")
	b.WriteString(e.where())
	b.WriteString(": ")
	b.WriteString(e.Reason)
	return b.String()
}

// Advice returns the Hint, for colseal.Hint.
func (e *FieldError) Advice() string { return e.Hint }

// Format prints the hint on a line of its own for %+v, and what Error returns for any other verb.
func (e *FieldError) Format(s fmt.State, verb rune) { hint.Format(s, verb, e) }

// LogValue returns the text and the hint.
func (e *FieldError) LogValue() slog.Value { return hint.LogValue(e) }

func (e *FieldError) where() string {
	at, strct := e.Field, e.Struct
	if !strings.HasPrefix(strct, "struct{") {
		strct = "struct " + strct
	}
	switch {
	case at != "":
		if e.Struct != "" {
			at += " (" + strct
			if e.Table != "" {
				at += ", table " + e.Table
			}
			at += ")"
		}
		return at
	case e.Struct != "" && e.Table != "":
		return strct + " (table " + e.Table + ")"
	case e.Struct != "":
		return strct
	case e.Column != "":
		return "table " + e.Table + ", column " + identText(e.Column)
	case e.Table != "":
		return "table " + e.Table
	}
	return "source"
}

// didYouMean returns a clause that names the candidate nearest to got, or
// lists the candidates when none is near.
func didYouMean(got string, candidates []string) string {
	if c, ok := nearest(got, candidates); ok {
		return "did you mean " + c + "?"
	}
	return "write one of " + strings.Join(candidates, ", ")
}

// nearest finds the candidate that got misspells: at most two edits away, or
// one is the start of the other.
func nearest(got string, candidates []string) (string, bool) {
	got = strings.ToLower(got)
	best, bestDist := "", 3
	for _, c := range candidates {
		d := editDistance(got, c)
		if len(got) >= 3 && (strings.HasPrefix(c, got) || strings.HasPrefix(got, c)) {
			d = min(d, 1)
		}
		if d < bestDist && d < len(c) {
			best, bestDist = c, d
		}
	}
	return best, best != ""
}

// editDistance returns the Levenshtein distance in bytes; both are short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j]+cost, prev[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
