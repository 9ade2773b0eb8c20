package sqlplan

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/dialect"
)

// mentions reports whether a text could name a registered table or the keyring, rename or drop
// a schema, or change how texts are read. It looks at bytes only, so that texts that cannot touch a sealed column
// are forwarded whatever else they hold, and errs on the side of true.
func (p *Planner) mentions(sql string) bool {
	lower := strings.ToLower(sql)
	if strings.Contains(lower, "standard_conforming_strings") || strings.Contains(lower, "client_encoding") || containsName(lower, "names") {
		return true
	}
	if p.dialect == dialect.SQLite && containsName(lower, "pragma") {
		return true
	}
	if len(p.words) > 0 && strings.Contains(lower, "u&") {
		return true // an identifier may be spelled with escapes
	}
	if len(p.words) > 0 && containsName(lower, "schema") && (containsName(lower, "drop") || containsName(lower, "alter")) {
		return true // a registered table may be inside
	}
	if p.keyring.Table != "" && containsName(lower, "owned") && containsName(lower, "drop") {
		return true
	}
	for _, w := range p.words {
		if containsName(lower, w) {
			return true
		}
		for _, quote := range p.quotes() {
			if strings.Contains(w, quote) && strings.Contains(lower, strings.ReplaceAll(w, quote, quote+quote)) {
				return true
			}
		}
	}
	for _, w := range p.long {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
}

// quotes are the quotation marks of names, which are doubled inside a name.
func (p *Planner) quotes() []string {
	if p.dialect == dialect.SQLite {
		return []string{`"`, "`", "'"}
	}
	return []string{`"`}
}

// containsName reports whether name stands in text other than as a part of a longer
// name.
func containsName(text, name string) bool {
	for i := 0; ; {
		j := strings.Index(text[i:], name)
		if j < 0 {
			return false
		}
		start, end := i+j, i+j+len(name)
		before, _ := utf8.DecodeLastRuneInString(text[:start])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if !nameRune(before) && !nameRune(after) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		i = start + size
	}
}

func nameRune(r rune) bool {
	return r == '_' || r == '$' || r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}
