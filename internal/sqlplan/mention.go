package sqlplan

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// mentions reports whether a text could name a registered table, what depends on one, or the
// keyring, rename or drop a schema, or change how texts are read. It looks at bytes only, so that
// texts that cannot touch a sealed column are forwarded whatever else they hold, and errs on the
// side of true.
func (p *Planner) mentions(sql string, known *Known) bool {
	lower := strings.ToLower(sql)
	if strings.Contains(lower, "standard_conforming_strings") || strings.Contains(lower, "client_encoding") || containsName(lower, "names") {
		return true
	}
	if (p.words.beyond || known.words.beyond) && !utf8.ValidString(sql) {
		return true // in the encoding of the connection it may be such a name
	}
	if p.dialect == dialect.SQLite && containsName(lower, "pragma") {
		return true
	}
	if !p.words.empty() && (strings.Contains(lower, "u&") || p.dialect == dialect.Postgres && hidesWords(lower)) {
		return true // an identifier may be spelled with escapes
	}
	if !p.words.empty() && containsName(lower, "schema") && (containsName(lower, "drop") || containsName(lower, "alter")) {
		return true // a registered table may be inside
	}
	if p.keyring.Table != "" && containsName(lower, "owned") && containsName(lower, "drop") {
		return true
	}
	return p.words.in(lower) || known.words.in(lower)
}

// hidesWords reports whether a text in lower case may have a program, of DO, CREATE FUNCTION or a function that runs texts, in
// a string that does not show its words: with escapes, or in pieces that stand on several lines.
func hidesWords(lower string) bool {
	if !strings.Contains(lower, `\`) && !strings.Contains(lower, "\n") && !strings.Contains(lower, "\r") {
		return false
	}
	program := containsName(lower, "create") && (containsName(lower, "function") || containsName(lower, "procedure"))
	if !program && !doBlock.MatchString(lower) && !sqlparse.MayRunText(lower) {
		return false
	}
	return escapes.MatchString(lower) || pieces.MatchString(lower)
}

var (
	doBlock = regexp.MustCompile(`(^|\W)do\s*('|e'|\$|--|/\*|language)`)
	escapes = regexp.MustCompile(`(^|\W)e'(?s:.*)\\`)
	pieces  = regexp.MustCompile(`'\s*(--[^\r\n]*)?[\r\n](\s|--[^\r\n]*[\r\n])*'`)
)

// words are names that are looked for in texts, in lower case.
type words struct {
	dialect dialect.Dialect
	whole   map[string]bool // that are one word
	odd     []string        // with other characters in them
	long    []string        // so long that the server cuts longer names to them
	beyond  bool            // one has letters beyond ASCII
}

func (w *words) empty() bool { return len(w.whole)+len(w.odd) == 0 }

// add adds a name, folded.
func (w *words) add(name string) {
	lower := strings.ToLower(name)
	if w.whole == nil {
		w.whole = map[string]bool{}
	}
	w.beyond = w.beyond || !isASCII(name)
	if w.dialect == dialect.Postgres && len(name) >= dbcatalog.MaxName {
		w.long = append(w.long, lower)
	}
	if isWord(lower) {
		w.whole[lower] = true
		if w.dialect == dialect.Postgres {
			w.whole["_"+lower] = true // the array type of its rows
		}
		return
	}
	w.odd = append(w.odd, lower)
	for _, quote := range w.quotes() {
		if strings.Contains(lower, quote) {
			w.odd = append(w.odd, strings.ReplaceAll(lower, quote, quote+quote))
		}
	}
}

// in reports whether a text in lower case has one of the names.
func (w *words) in(lower string) bool {
	if len(w.whole) > 0 && wordsOf(lower, func(s string) bool { return w.whole[s] }) {
		return true
	}
	for _, s := range w.odd {
		if strings.Contains(lower, s) {
			return true
		}
	}
	for _, s := range w.long {
		if strings.Contains(lower, s) {
			return true
		}
	}
	return false
}

// quotes returns the quotation marks of names, which are doubled inside a name.
func (w *words) quotes() []string {
	if w.dialect == dialect.SQLite {
		return []string{`"`, "`", "'"}
	}
	return []string{`"`}
}

// wordsOf calls f for each word of a text until it returns true, and reports whether it did.
func wordsOf(text string, f func(word string) bool) bool {
	start := -1
	for i, r := range text {
		switch in := wordRune(r); {
		case in && start < 0:
			start = i
		case !in && start >= 0:
			if f(text[start:i]) {
				return true
			}
			start = -1
		}
	}
	return start >= 0 && f(text[start:])
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
		if !wordRune(before) && !wordRune(after) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		i = start + size
	}
}

// wordRune reports whether a rune is one of a word. A dollar sign is not, although names have it: in $$TABLE users$$ it ends a name.
func wordRune(r rune) bool { return r != '$' && nameRune(r) }

// isWord reports whether a name is one word.
func isWord(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return !wordRune(r) })
}

func nameRune(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '$'
	case r == utf8.RuneError:
		return false
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}
