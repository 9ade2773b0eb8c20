package dbcatalog

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is how many bytes of a name PostgreSQL keeps.
const MaxName = 63

// ClipName cuts a name as PostgreSQL does, at the end of a character.
func ClipName(name string) string {
	if len(name) <= MaxName {
		return name
	}
	n := MaxName
	for n > 0 && !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n]
}

// QuoteIdent writes a name as a quoted identifier, which both dialects read back.
func QuoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// QuoteLiteral writes a string constant of PostgreSQL, which means the same whatever
// standard_conforming_strings is.
func QuoteLiteral(s string) string {
	s = "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(s, `\`, `\\`)
	}
	return s
}

// Name is the name of a table as the catalog has it. An empty Schema means that the server
// looks the table up along its search path.
type Name struct{ Schema, Table string }

// SQL writes the name with its parts quoted.
func (n Name) SQL() string {
	if n.Schema == "" {
		return QuoteIdent(n.Table)
	}
	return QuoteIdent(n.Schema) + "." + QuoteIdent(n.Table)
}

// ParseName reads a table name as it is written in SQL: users, app.users, "Users",
// "we.ird"."Users". Letters outside quotes fold to lower case, as the server folds them.
func ParseName(s string) (Name, error) {
	parts, err := SplitName(s)
	if err != nil {
		return Name{}, err
	}
	last := len(parts) - 1
	n := Name{Table: parts[last].fold()}
	if last > 0 {
		n.Schema = parts[0].fold()
	}
	return n, nil
}

// Ident is one part of a name, as written but for its quotes.
type Ident struct {
	Text   string
	Quoted bool
}

// fold returns the name that the server takes an identifier for. It folds ASCII only.
func (id Ident) fold() string {
	if id.Quoted {
		return id.Text
	}
	return FoldASCII(id.Text)
}

// FoldASCII lowers the ASCII letters of a name and no others.
func FoldASCII(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// SplitName reads the one or two parts of a table name written in SQL. It refuses names that
// no catalog holds: empty, longer than MaxName, or with control characters.
func SplitName(s string) ([]Ident, error) {
	var parts []Ident
	for rest, more := s, true; more; {
		id, after, err := cutIdent(rest)
		if err == nil {
			err = CheckName(id.Text)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a table name: %w", s, err)
		}
		parts = append(parts, id)
		rest, more = strings.CutPrefix(after, ".")
		if !more && rest != "" {
			return nil, fmt.Errorf("%q is not a table name: it goes on after its closing quote", s)
		}
	}
	if len(parts) > 2 {
		return nil, fmt.Errorf("%q is not a table name: it has %d parts, and a table has at most a schema and a name", s, len(parts))
	}
	return parts, nil
}

// cutIdent cuts one identifier off the front of s.
func cutIdent(s string) (id Ident, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s[1:])
	}
	bare, _, _ := strings.Cut(s, ".")
	for i, r := range bare {
		first := r == '_' || unicode.IsLetter(r)
		if !first && (i == 0 || r != '$' && !unicode.IsDigit(r) && !unicode.IsMark(r)) {
			return id, "", fmt.Errorf("it has the character %q outside quotes: write %s", r, QuoteIdent(bare))
		}
	}
	return Ident{Text: bare}, s[len(bare):], nil
}

func cutQuoted(s string) (id Ident, rest string, err error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `"`)
		if !found {
			return id, "", errors.New("it has no closing quote")
		}
		b.WriteString(before)
		if !strings.HasPrefix(after, `"`) {
			return Ident{Text: b.String(), Quoted: true}, after, nil
		}
		b.WriteByte('"')
		s = after[1:]
	}
}

// CheckName refuses names that no catalog holds.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("%d bytes long, and PostgreSQL keeps %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return errors.New("not valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("control character in the name")
	}
	return nil
}
