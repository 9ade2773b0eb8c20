package vet

import (
	"go/ast"
	"go/types"
	"strconv"
	"strings"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dialect"
)

// style is how a text names its arguments before a library rewrites it to what the server reads.
type style uint8

const (
	native    style = iota // as the server does
	question               // sqlx.Rebind and In: every ?
	colon                  // sqlx: :name, and :: for a colon
	at                     // pgx.NamedArgs: @name
	perhapsAt              // an argument may be pgx.NamedArgs
	rewritten              // by code that is not known
	gorm                   // GORM: ? and @name
	bun                    // bun: ?, ?0 and ?name
)

// bound is a text with the parameters that the server will see.
type bound struct {
	sql     string
	changed bool  // it is not the text of the source
	from    []int // the byte of the source that each byte comes from
}

// origin returns the byte of the source's text that byte n comes from.
func (b *bound) origin(n int) int {
	if !b.changed || len(b.from) == 0 {
		return n
	}
	return b.from[min(max(n, 0), len(b.from)-1)]
}

// bind rewrites a text as the library of a call does. ok is false if that depends on the values of
// the arguments, or if the library would refuse it.
func bind(d dialect.Dialect, s *site, sql string, info *types.Info) (b *bound, ok bool) {
	switch s.style {
	case native:
		return &bound{sql: sql}, true
	case perhapsAt:
		return &bound{sql: sql}, !hasAt(sql)
	}
	r := &rebinder{src: sql, dialect: d, names: map[string]int{}}
	switch s.style {
	case question:
		ok = r.questions()
	case colon:
		ok = r.colons()
	case at:
		ok = r.ats()
	case rewritten:
		return &bound{}, false
	case gorm:
		ok = r.gorm(s, info)
	case bun:
		ok = r.bun(s, info)
	}
	return &bound{sql: string(r.out), changed: true, from: r.from}, ok
}

// rebinder rewrites a text.
type rebinder struct {
	src     string
	dialect dialect.Dialect
	out     []byte
	from    []int
	n       int            // parameters so far
	marks   bool           // a ? is one, in a file of SQL
	names   map[string]int // their numbers, where a name is one parameter wherever it stands
}

// keep copies the bytes of the source from i to j.
func (r *rebinder) keep(i, j int) {
	for ; i < j; i++ {
		r.put(r.src[i:i+1], i)
	}
}

// put writes what comes from byte i of the source.
func (r *rebinder) put(s string, i int) {
	for range len(s) {
		r.from = append(r.from, i)
	}
	r.out = append(r.out, s...)
}

// param writes the next parameter.
func (r *rebinder) param(i int) {
	r.n++
	r.numbered(r.n, i)
}

func (r *rebinder) numbered(n, i int) {
	mark := "$"
	if r.dialect == driver.DialectSQLite {
		mark = "?"
	}
	r.put(mark+strconv.Itoa(n), i)
}

func (r *rebinder) questions() bool {
	for i := range len(r.src) {
		if r.src[i] == '?' {
			r.param(i)
		} else {
			r.keep(i, i+1)
		}
	}
	return true
}

// colons reads names as sqlx does: literals and comments mean nothing to it.
func (r *rebinder) colons() bool {
	for i := 0; i < len(r.src); {
		if r.src[i] != ':' {
			r.keep(i, i+1)
			i++
			continue
		}
		switch name := nameAt(r.src[i+1:], "."); {
		case strings.HasPrefix(r.src[i:], "::"):
			r.put(":", i)
			i += 2
		case strings.HasPrefix(r.src[i:], ":="):
			r.keep(i, i+2)
			i += 2
		case name == "" || digit(name[0]):
			return false // an error of sqlx
		default:
			r.param(i)
			i += 1 + len(name)
		}
	}
	return true
}

// ats reads names as pgx does: outside of literals, quoted names and comments.
func (r *rebinder) ats() bool {
	for i := 0; i < len(r.src); {
		name := ""
		if r.src[i] == '@' {
			name = nameAt(r.src[i+1:], "")
		}
		if name != "" && !digit(name[0]) {
			if r.names[name] == 0 {
				r.names[name] = len(r.names) + 1
			}
			r.numbered(r.names[name], i)
			i += 1 + len(name)
			continue
		}
		end := i + opaque(r.src[i:])
		r.keep(i, end)
		i = end
	}
	return true
}

// hasAt reports whether a text may have named arguments.
func hasAt(sql string) bool {
	for i, c := range sql {
		if c == '@' && nameAt(sql[i+1:], "") != "" {
			return true
		}
	}
	return false
}

// opaque returns the length of a literal, quoted name or comment at the start of a text, or 1.
func opaque(s string) int {
	end := func(skip int, mark string) int {
		if j := strings.Index(s[skip:], mark); j >= 0 {
			return skip + j + len(mark)
		}
		return len(s)
	}
	switch {
	case s[0] == '\'' || s[0] == '"': // a doubled quote ends one and begins the next
		return end(1, s[:1])
	case strings.HasPrefix(s, "--"):
		return end(2, "\n")
	case strings.HasPrefix(s, "/*"):
		return end(2, "*/")
	}
	return 1
}

// nameAt returns the name at the start of a text, of letters, digits, _ and what more has.
func nameAt(s, more string) string {
	end := strings.IndexFunc(s, func(c rune) bool {
		return c != '_' && !strings.ContainsRune(more, c) && (c > 0x7f || !digit(byte(c)) && (c|0x20 < 'a' || c|0x20 > 'z'))
	})
	if end < 0 {
		return s
	}
	return s[:end]
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// gorm reads a text as GORM does. A slice becomes a list, in parentheses unless it stands in some.
func (r *rebinder) gorm(s *site, info *types.Info) bool {
	if strings.Contains(r.src, "@") { // it may be a name or not, and in a literal all the same
		return !s.spread && !strings.ContainsAny(r.src, `'"?`) && r.ats()
	}
	for i := range len(r.src) {
		if r.src[i] != '?' || r.n >= len(s.args) {
			r.keep(i, i+1)
			continue
		}
		kind := argKind(info, s.args[r.n])
		if s.spread || kind == unclear {
			return false
		}
		list := kind == list && (i == 0 || r.src[i-1] != '(')
		if list {
			r.put("(", i)
		}
		r.param(i)
		if list {
			r.put(")", i)
		}
	}
	return true
}

// bun reads a text as bun does, which writes its arguments into it.
func (r *rebinder) bun(s *site, info *types.Info) bool {
	for i := range len(r.src) {
		if r.src[i] != '?' || r.n >= len(s.args) {
			r.keep(i, i+1)
			continue
		}
		escaped := i > 0 && r.src[i-1] == '\\'
		if s.spread || escaped || nameAt(r.src[i+1:], "") != "" || argKind(info, s.args[r.n]) != single {
			return false
		}
		r.param(i)
	}
	return true
}

// kind is what an argument's type says of what becomes of it in a text.
type kind uint8

const (
	unclear kind = iota
	single
	list
)

// argKind looks at an argument's type. Types of GORM and bun can be any part of a statement.
func argKind(info *types.Info, e ast.Expr) kind {
	t := info.TypeOf(e)
	if t == nil {
		return unclear
	}
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	if name, ok := typeIn(t, is("time")); ok && name == "Time" {
		return single
	}
	if n, ok := types.Unalias(t).(*types.Named); ok && n.NumMethods() > 0 {
		return unclear // it may say itself what it becomes
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if _, ok := types.Unalias(t).(*types.Named); ok {
			return unclear // bun.Safe and bun.Ident are strings
		}
		return single
	case *types.Slice:
		if b, ok := u.Elem().Underlying().(*types.Basic); ok && b.Kind() == types.Byte {
			return single
		} else if ok {
			return list
		}
	}
	return unclear
}
