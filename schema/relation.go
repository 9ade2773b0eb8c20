package schema

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is PostgreSQL's limit in bytes. A longer name would be cut by the
// server without a word, and then never match what the catalog says.
const maxName = 63

// parseRelation reads a relation name as SQL writes it: users, app.users,
// "Users", "we.ird"."Users". Unquoted upper-case letters are refused: SQL
// would fold them and an ORM would quote them, so they name two tables.
func parseRelation(s string) (schemaName, name string, err error) {
	if s == "" {
		return "", "", errors.New("the table name is empty")
	}
	var parts []string
	rest := s
	for {
		var part string
		part, rest, err = nextIdent(rest)
		if err != nil {
			return "", "", err
		}
		if err := checkIdent(part); err != nil {
			return "", "", fmt.Errorf("bad table name %q: %w", s, err)
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		rest = rest[1:] // nextIdent stops at the end or at a dot
	}
	switch len(parts) {
	case 1:
		return "", parts[0], nil
	case 2:
		return parts[0], parts[1], nil
	}
	return "", "", fmt.Errorf("bad table name %q: it has %d parts, and a table has at most a schema and a name", s, len(parts))
}

// nextIdent cuts one identifier from the front of s. What remains is empty or
// starts with a dot.
func nextIdent(s string) (ident, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return nextQuoted(s)
	}
	ident, rest = s, ""
	if i := strings.IndexByte(s, '.'); i >= 0 {
		ident, rest = s[:i], s[i:]
	}
	if ident == "" {
		return "", "", errors.New("the table name has an empty part")
	}
	for i, r := range ident {
		switch {
		case r >= 'A' && r <= 'Z':
			return "", "", fmt.Errorf("the table name %q has upper-case letters outside quotes, which SQL folds: write %s or %s", ident,
				strings.ToLower(ident), quoted(ident))
		case r == '_' || unicode.IsLetter(r) || i > 0 && (r == '$' || r >= '0' && r <= '9' || unicode.IsMark(r)):
		default:
			return "", "", fmt.Errorf("the table name %q has the character %q outside quotes: write %s", ident, r, quoted(ident))
		}
	}
	return ident, rest, nil
}

func nextQuoted(s string) (ident, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		rest = s[i+1:]
		if rest != "" && rest[0] != '.' {
			return "", "", fmt.Errorf("the table name %q goes on after its closing quote", s)
		}
		return b.String(), rest, nil
	}
	return "", "", fmt.Errorf("the table name %q has no closing quote", s)
}

// checkIdent refuses names that no catalog can hold.
func checkIdent(s string) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case len(s) > maxName:
		return fmt.Errorf("%d bytes long, and PostgreSQL keeps %d", len(s), maxName)
	case !utf8.ValidString(s):
		return errors.New("not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("control character in the name")
	}
	return nil
}

func quoted(ident string) string {
	return `"` + strings.ReplaceAll(ident, `"`, `""`) + `"`
}

// relationText writes a name so that parseRelation reads it back.
func relationText(schemaName, name string) string {
	if schemaName == "" {
		return identText(name)
	}
	return identText(schemaName) + "." + identText(name)
}

func identText(s string) string {
	if got, rest, err := nextIdent(s); err == nil && got == s && rest == "" {
		return s
	}
	return quoted(s)
}
