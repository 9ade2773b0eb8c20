package lite

import (
	"strconv"

	"github.com/sqlc-dev/meyer/token"

	"github.com/colseal/colseal/internal/sqlparse"
)

// binding is how the driver finds the argument of a parameter: by its ordinal, or
// by its name.
type binding struct {
	number int
	name   string
}

// maxVariable is SQLite's limit of a parameter's number.
const maxVariable = 32766

// numberParams numbers the parameters of one statement as SQLite does. The
// grammar's own numbers will not do: they run on through the whole text.
func numberParams(text string, toks []token.Token) (map[int]binding, error) {
	var params map[int]binding
	var numbers map[string]int // by name, prefix included
	highest := 0
	for _, t := range toks {
		if t.Kind != token.VARIABLE {
			continue
		}
		if params == nil {
			params = make(map[int]binding)
		}
		raw := text[t.Pos:t.End]
		switch {
		case raw == "?":
			if highest++; highest > maxVariable {
				return nil, &sqlparse.Error{Pos: t.Pos, Reason: "there are more than 32766 parameters"}
			}
			params[t.Pos] = binding{number: highest}
		case raw[0] == '?':
			n, ok := ordinal(raw[1:])
			if !ok || n > maxVariable {
				return nil, &sqlparse.Error{Pos: t.Pos, Reason: "a parameter's number is not one of 1 to 32766"}
			}
			highest = max(highest, n)
			params[t.Pos] = binding{number: n}
		default:
			if _, seen := numbers[raw]; !seen {
				if numbers == nil {
					numbers = make(map[string]int)
				}
				highest++
				numbers[raw] = highest
			}
			params[t.Pos] = named(raw)
		}
	}
	return params, nil
}

// named returns the binding of :a, @a, #a, $a and $1.
func named(raw string) binding {
	if raw[0] == '$' {
		if n, ok := ordinal(raw[1:]); ok {
			return binding{number: n}
		}
	}
	return binding{name: raw[1:]}
}

// ordinal parses a number as strconv.Itoa writes it, which is how the driver
// compares it.
func ordinal(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && strconv.Itoa(n) == s
}
