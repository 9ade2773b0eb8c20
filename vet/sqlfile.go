package vet

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/colseal/colseal/internal/dialect"
)

// FileResult is what was seen of a file of SQL.
type FileResult struct {
	Checked   int
	Found     []FileNote
	NotJudged []FileNote
}

// FileNote is a place in a file of SQL, and what is to be said of it.
type FileNote struct {
	Line, Column int // from 1, in bytes
	What         string
	Catalog      bool // a database's catalog would decide it
}

// CheckSQL judges a file of SQL: statements with semicolons between them, or queries that begin at
// comments such as
//
//	-- name: GetUser :one
//
// as goyesql, dotsql and sqlc read them. Of sqlc it knows sqlc.arg, sqlc.narg, sqlc.slice,
// sqlc.embed, and @name. A comment -- colseal:ignore REASON on the line, or on the one above,
// silences a report.
func CheckSQL(content, dialectName string, ask Explain) (FileResult, error) {
	var r FileResult
	d, err := (&Config{Dialect: dialectName}).dialect()
	if err != nil {
		return r, err
	}
	f := &fileChecker{content: content, dialect: d, ask: ask, out: &r}
	for _, s := range split(content) {
		if err := f.statement(s); err != nil {
			return r, err
		}
	}
	return r, nil
}

type fileChecker struct {
	content string
	dialect dialect.Dialect
	ask     Explain
	out     *FileResult
}

func (f *fileChecker) statement(s statementAt) error {
	b, err := f.bind(s.sql)
	if err != nil {
		return err
	}
	e, err := f.ask(b.sql)
	if err != nil {
		return err
	}
	sure, rest := certain(e, b)
	at := s.at
	if all := faults(e); len(sure) == 0 && len(all) > 0 {
		at += b.origin(all[0].Pos)
	}
	switch {
	case len(sure) == 0 && (f.silenced(s.at) || f.silenced(at)):
		return nil
	case len(sure) == 0 && rest.Why != "":
		f.out.NotJudged = append(f.out.NotJudged, f.note(at, "not judged: "+rest.Why, rest.Catalog))
		return nil
	}
	before := len(f.out.Found)
	for _, r := range sure {
		if at := s.at + b.origin(r.Pos); !f.silenced(at) && !f.silenced(s.at) {
			f.out.Found = append(f.out.Found, f.note(at, join(refused(e)+": "+r.Reason, column(r), r.Hint), false))
		}
	}
	if len(sure) == 0 || len(f.out.Found) > before {
		f.out.Checked++
	}
	return nil
}

func (f *fileChecker) note(at int, what string, catalog bool) FileNote {
	before := f.content[:min(at, len(f.content))]
	return FileNote{strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n'), what, catalog}
}

var sqlIgnore = regexp.MustCompile(`--\s*colseal:ignore\s+\S`)

// silenced reports whether a comment on the line of a byte, or alone on the one above, silences
// what is said there.
func (f *fileChecker) silenced(at int) bool {
	lines := strings.Split(f.content, "\n")
	n := strings.Count(f.content[:min(at, len(f.content))], "\n")
	return sqlIgnore.MatchString(lines[n]) || n > 0 && sqlIgnore.MatchString(lines[n-1]) && strings.HasPrefix(strings.TrimSpace(lines[n-1]), "--")
}

// bind rewrites the parameters of tools as the tools do. If the text cannot be read then, it takes
// every ? for a parameter, too.
func (f *fileChecker) bind(sql string) (*bound, error) {
	r := &rebinder{src: sql, dialect: f.dialect, names: map[string]int{}}
	r.n = greatest(sql)
	r.named()
	b := &bound{sql: string(r.out), changed: string(r.out) != sql, from: r.from}
	if !strings.Contains(sql, "?") || f.dialect == dialect.SQLite {
		return b, nil
	}
	e, err := f.ask(b.sql)
	if err != nil || !unreadable(e) {
		return b, err
	}
	r = &rebinder{src: sql, dialect: f.dialect, names: map[string]int{}, marks: true}
	r.named()
	return &bound{sql: string(r.out), changed: true, from: r.from}, nil
}

var numbered = regexp.MustCompile(`\$([0-9]{1,5})`)

// greatest returns the greatest number of a parameter.
func greatest(sql string) (n int) {
	for _, m := range numbered.FindAllStringSubmatch(sql, -1) {
		i, _ := strconv.Atoi(m[1]) // digits
		n = max(n, i)
	}
	return n
}

var sqlcCall = regexp.MustCompile(`^sqlc\.(arg|narg|slice|embed)\(\s*['"]?([A-Za-z_][A-Za-z0-9_]*)['"]?\s*\)`)

// named reads sqlc's calls and names after : and @, outside of literals and comments.
func (r *rebinder) named() {
	for i := 0; i < len(r.src); {
		rest := r.src[i:]
		if m := sqlcCall.FindStringSubmatch(rest); m != nil {
			if m[1] == "embed" {
				r.put(m[2]+".*", i)
			} else {
				r.name(m[2], i)
			}
			i += len(m[0])
			continue
		}
		native := r.dialect == dialect.SQLite
		switch name := nameAt(rest[1:], ""); {
		case strings.HasPrefix(rest, "::"), strings.HasPrefix(rest, ":="):
			r.keep(i, i+2)
			i += 2
		case !native && rest[0] == '?' && r.marks:
			r.param(i)
			i++
		case !native && (rest[0] == '@' || rest[0] == ':') && name != "" && !digit(name[0]) && !r.afterName(i):
			r.name(name, i)
			i += 1 + len(name)
		default:
			end := i + opaque(rest)
			r.keep(i, end)
			i = end
		}
	}
}

// afterName reports whether a byte follows another of a name or a bracket: a[1:n] is a slice.
func (r *rebinder) afterName(i int) bool {
	return i > 0 && (nameAt(r.src[i-1:i], "") != "" || r.src[i-1] == ']')
}

// name writes the parameter of a name, one wherever it stands.
func (r *rebinder) name(name string, i int) {
	if r.names[name] == 0 {
		r.n++
		r.names[name] = r.n
	}
	r.numbered(r.names[name], i)
}

// statementAt is a part of a file, and where it begins.
type statementAt struct {
	sql string
	at  int
}

var (
	nameComment = regexp.MustCompile(`(?m)^[ \t]*--[ \t]*name[ \t]*:[ \t]*\S.*$`)
	dollarQuote = regexp.MustCompile(`^\$([A-Za-z_][A-Za-z0-9_]*)?\$`)
	gooseBegin  = regexp.MustCompile(`^--\s*\+goose\s+StatementBegin`)
	gooseEnd    = regexp.MustCompile(`^--\s*\+goose\s+StatementEnd`)
)

// split returns the texts of a file as they are sent: each query that has a name, or else each
// statement.
func split(content string) []statementAt {
	var out []statementAt
	starts := nameComment.FindAllStringIndex(content, -1)
	if len(starts) == 0 {
		return statements(content)
	}
	out = append(out, statements(content[:starts[0][0]])...)
	for i, s := range starts {
		end := len(content)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		out = appendStatement(out, content, s[1], end)
	}
	return out
}

// statements cuts a text at its semicolons.
func statements(content string) []statementAt {
	var out []statementAt
	begin, whole, depth := 0, false, 0
	for i := 0; i < len(content); {
		rest := content[i:]
		if mark := dollarQuote.FindString(rest); mark != "" {
			end := strings.Index(rest[len(mark):], mark)
			if end < 0 {
				break
			}
			i += end + 2*len(mark)
			continue
		}
		switch {
		case gooseBegin.MatchString(rest):
			whole = true
		case gooseEnd.MatchString(rest):
			out = appendStatement(out, content, begin, i)
			begin, whole = i, false
		case rest[0] == '(':
			depth++
		case rest[0] == ')':
			depth--
		case rest[0] == ';' && !whole && depth <= 0:
			out = appendStatement(out, content, begin, i)
			begin, depth = i+1, 0
		}
		i += opaqueEscaped(content, i)
	}
	return appendStatement(out, content, begin, len(content))
}

// opaqueEscaped is opaque for byte i of a text, and knows literals such as E'it\'s'.
func opaqueEscaped(s string, i int) int {
	rest := s[i:]
	if rest[0] != '\'' || i == 0 || s[i-1]|0x20 != 'e' || i > 1 && nameAt(s[i-2:i-1], "$") != "" {
		return opaque(rest)
	}
	for j := 1; j < len(rest); j++ {
		switch rest[j] {
		case '\\':
			j++
		case '\'':
			return j + 1
		}
	}
	return len(rest)
}

// appendStatement adds a part of a file, unless there is nothing in it.
func appendStatement(out []statementAt, content string, from, to int) []statementAt {
	for from < to {
		rest := content[from:to]
		switch {
		case strings.ContainsRune(" \t\r\n;", rune(rest[0])):
			from++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "/*"):
			from += opaque(rest)
		default:
			return append(out, statementAt{strings.TrimRight(rest, " \t\r\n"), from})
		}
	}
	return out
}

// String renders the place and what is said of it.
func (n FileNote) String() string { return fmt.Sprintf("%d:%d: %s", n.Line, n.Column, n.What) }
