package corpus

import (
	"regexp"
	"strings"
)

// piece cuts PostgreSQL's SQL into pieces. It knows nothing of the analysis and shares nothing with it: what it says
// of a statement is a second opinion. It is wrong in rare cases (nested comments, identifiers in Unicode escapes),
// which a statement of the corpus would have to be made of to go unnoticed.
var piece = regexp.MustCompile(`(?is)` + strings.Join([]string{
	`--[^\n]*`,              // a comment
	`/\*.*?\*/`,             // a comment
	`e'(?:[^'\\]|\\.|'')*'`, // a string with escapes
	`'(?:[^']|'')*'`,        // a string
	`\$[a-z_]*\$`,           // the beginning of a string in dollars
	`"(?:[^"]|"")*"`,        // a quoted name
	`[a-z_\x{80}-\x{10ffff}][a-z0-9_$\x{80}-\x{10ffff}]*`, // a name
	`\d[\w.]*`,
	`\S`,
}, "|"))

// words are the names in a statement as the server compares them, and whether there is a star that stands for columns. A
// name is false if it only stands before a dot, where it can name a table that stands elsewhere, but brings in none.
func words(sql string) (names map[string]bool, star bool) {
	names = map[string]bool{}
	last := ""
	for sql != "" {
		at := piece.FindStringIndex(sql)
		if at == nil {
			break
		}
		p := sql[at[0]:at[1]]
		sql = sql[at[1]:]
		switch {
		case strings.HasPrefix(p, "--") || strings.HasPrefix(p, "/*"):
			continue
		case len(p) > 1 && p[0] == '$': // a string up to the same again
			_, sql, _ = strings.Cut(sql, p)
		case p[0] == '"':
			add(names, strings.ReplaceAll(strings.Trim(p, `"`), `""`, `"`), sql)
		case p == "*":
			star = star || last == "." || last == "," || strings.EqualFold(last, "select") || strings.EqualFold(last, "returning") ||
				strings.EqualFold(last, "all") || strings.EqualFold(last, "distinct")
		default:
			add(names, strings.ToLower(p), sql)
		}
		last = p
	}
	return names, star
}

func add(names map[string]bool, name, rest string) {
	names[name] = names[name] || !strings.HasPrefix(rest, ".")
}
