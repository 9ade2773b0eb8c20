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

// effectless are the first words of statements that change neither the catalog nor
// the session.
var effectless = map[string]bool{
	"select": true, "insert": true, "update": true, "delete": true, "values": true, "with": true, "merge": true,
	"table": true, "show": true, "begin": true, "start": true, "commit": true, "end": true, "savepoint": true,
	"release": true, "explain": true, "fetch": true, "close": true, "listen": true, "unlisten": true, "notify": true,
	"lock": true, "vacuum": true, "analyze": true, "truncate": true, "copy": true, "replace": true, "declare": true,
	"deallocate": true, "checkpoint": true,
}

// effectsOf guesses the effects of a text that names no sealed table, and errs on
// the side of more: they only make cached facts to be read again.
func (p *Planner) effectsOf(sql string) Effects {
	body := strings.TrimRight(skipBlank(sql), "; \t\r\n")
	end := strings.IndexFunc(body, func(r rune) bool { return !unicode.IsLetter(r) })
	if end < 0 {
		end = len(body)
	}
	word := strings.ToLower(body[:end])
	if effectless[word] && !strings.Contains(body, ";") && !p.mayChange(sql, word) {
		return 0
	}
	return ChangesCatalog | ChangesSession
}

// mayChange reports whether a statement with an effectless first word may have effects all
// the same: it sets a setting, makes a table (SELECT … INTO), or explains what does by doing it.
func (p *Planner) mayChange(sql, word string) bool {
	lower := strings.ToLower(sql)
	switch {
	case strings.Contains(lower, "set_config"):
		return true
	case p.dialect == dialect.SQLite || !containsName(lower, "into") && word != "explain":
		return false
	}
	lower = strings.ToLower(p.blank(sql)) // what literals and comments hold does not count
	if word == "explain" && (lower == "" || containsName(lower, "create") || containsName(lower, "execute")) {
		return true
	}
	words := strings.FieldsFunc(lower, func(r rune) bool { return !nameRune(r) })
	for i, w := range words {
		if w == "into" && i > 0 && words[i-1] != "insert" && words[i-1] != "merge" {
			return true
		}
	}
	return lower == ""
}

// skipBlank cuts white space and comments from the front of a text.
func skipBlank(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n\f\v;(")
		switch {
		case strings.HasPrefix(s, "--"):
			_, s, _ = strings.Cut(s, "\n")
		case strings.HasPrefix(s, "/*"):
			depth, i := 1, 2
			for ; i < len(s) && depth > 0; i++ {
				switch {
				case strings.HasPrefix(s[i:], "/*"):
					depth, i = depth+1, i+1
				case strings.HasPrefix(s[i:], "*/"):
					depth, i = depth-1, i+1
				}
			}
			s = s[min(i, len(s)):]
		default:
			return s
		}
	}
}
