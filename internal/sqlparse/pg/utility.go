package pg

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sqlc-dev/oliphant/ast"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/colseal/colseal/internal/sqlparse"
)

// rule says what one kind of utility statement is. The relations that a statement
// names are found by a walk over all of it, so no rule can forget a field there.
type rule struct {
	what                      string
	catalog, session, carries bool
	// reads, bounded: see sqlparse.Utility.
	reads, bounded bool
	// more adds what depends on the statement; nil for nothing.
	more func(l *lowering, n *ast.Node, u *sqlparse.Utility)
	// nameless: its RangeVars do not name relations.
	nameless bool
	// types: it makes something of the types and functions in it.
	types bool
}

// utility lowers every statement but those of dml. What the rules do not list is
// unsupported.
func (l *lowering) utility(n *ast.Node) sqlparse.Stmt {
	if x := n.GetExplainStmt(); x != nil {
		return l.explain(x)
	}
	kind := kindOf(n)
	r, ok := rules[kind]
	if !ok {
		l.unsupported("a statement of the kind %s is not supported", kind)
	}
	u := &sqlparse.Utility{
		At: l.here(), What: r.what, Catalog: r.catalog, Session: r.session, Carries: r.carries,
		Reads: r.reads, Bounded: r.bounded,
	}
	if !r.nameless {
		l.relations(n.ProtoReflect(), u)
	}
	if r.carries {
		l.rowTypes(n.ProtoReflect(), func(t *ast.TypeName) { u.Names = append(u.Names, l.relationsOf(t)...) })
	}
	if r.types {
		l.rowTypes(n.ProtoReflect(), l.rowType)
		l.callsBelow(n.ProtoReflect())
	}
	if r.more != nil {
		r.more(l, n, u)
	}
	if r.carries {
		if u.Kept = l.kept(n); u.Kept == nil {
			l.callsBelow(n.ProtoReflect())
		}
		u.Reads = u.Reads && (!r.reads || u.Kept != nil) // a query that is not seen may write
	}
	slices.SortStableFunc(u.Names, func(a, b *sqlparse.TableName) int { return cmp.Compare(a.At, b.At) })
	return u
}

// relations adds every relation below m to the names of u: those of subqueries and
// of function bodies too. Names of CTEs are among them.
func (l *lowering) relations(m protoreflect.Message, u *sqlparse.Utility) {
	l.below(m, func(m protoreflect.Message) bool {
		r, ok := m.Interface().(*ast.RangeVar)
		if ok {
			u.Names = append(u.Names, &sqlparse.TableName{
				At: sqlparse.At(max(r.Location, 0)), Schema: r.Schemaname, Name: r.Relname,
			})
		}
		return !ok
	})
}

// mayCall notes a function that may be called.
func (l *lowering) mayCall(at sqlparse.At, names []*ast.Node) {
	schema, name := l.last(names)
	l.calls = append(l.calls, &sqlparse.TableName{At: at, Schema: schema, Name: name})
}

// callsBelow notes the functions that are called below m, which is not lowered, or that an operator, an aggregate, a
// cast or the like is made of. The grammar has those of an operator or an aggregate as types.
func (l *lowering) callsBelow(m protoreflect.Message) {
	l.below(m, func(m protoreflect.Message) bool {
		switch x := m.Interface().(type) {
		case *ast.FuncCall:
			l.mayCall(l.at(x.Location), x.Funcname)
		case *ast.ObjectWithArgs:
			l.mayCall(l.here(), x.Objname)
		case *ast.DefElem:
			if t := x.Arg.GetTypeName(); t != nil {
				l.mayCall(l.here(), t.Names)
			}
		case *ast.A_Indirection:
			for i, n := range x.Indirection {
				if n.GetString_() != nil {
					l.mayCall(l.here(), x.Indirection[i:i+1])
				}
			}
		}
		return true
	})
}

// rowTypes calls f for each type below m, which may be the row type of a table, or the type of one of its
// columns.
func (l *lowering) rowTypes(m protoreflect.Message, f func(*ast.TypeName)) {
	l.below(m, func(m protoreflect.Message) bool {
		t, ok := m.Interface().(*ast.TypeName)
		if ok {
			f(t)
		}
		return !ok
	})
}

// below calls f for m and, where it returns true, for the messages within.
func (l *lowering) below(m protoreflect.Message, f func(protoreflect.Message) bool) {
	if !f(m) {
		return
	}
	l.enter()
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := range v.List().Len() {
				l.below(v.List().Get(i).Message(), f)
			}
		default:
			l.below(v.Message(), f)
		}
		return true
	})
	l.depth--
}

var explainFields = handles[ast.ExplainStmt]("Query", "Options")

// explain lowers EXPLAIN; that of a utility statement is one itself, and hides it.
func (l *lowering) explain(x *ast.ExplainStmt) sqlparse.Stmt {
	explainFields.check(l, x)
	at := l.here()
	if inner := l.dml(x.Query); inner != nil {
		return &sqlparse.Explain{At: at, Stmt: inner}
	}
	u, ok := l.utility(x.Query).(*sqlparse.Utility)
	if !ok {
		l.unsupported("an EXPLAIN of %s", kindOf(x.Query))
	}
	u.What, u.Carries, u.Reads = "EXPLAIN "+u.What, true, false
	return u
}

// name adds a relation that stands as a list of strings, without the last skip ones.
func (l *lowering) name(u *sqlparse.Utility, n *ast.Node, skip int) {
	var parts []string
	for _, item := range n.GetList().GetItems() {
		s := item.GetString_()
		if s == nil {
			return // the signature of a function, or a cast
		}
		parts = append(parts, s.Sval)
	}
	if s := n.GetString_(); s != nil {
		parts = []string{s.Sval}
	}
	if len(parts) <= skip {
		return
	}
	parts = parts[:len(parts)-skip]
	t := &sqlparse.TableName{At: l.here(), Name: parts[len(parts)-1]}
	if len(parts) > 1 {
		t.Schema = parts[len(parts)-2]
	}
	u.Names = append(u.Names, t)
}

// object adds the relation that an object is, or belongs to.
func (l *lowering) object(u *sqlparse.Utility, kind ast.ObjectType, n *ast.Node) {
	switch kind {
	case ast.ObjectType_OBJECT_TABLE, ast.ObjectType_OBJECT_VIEW, ast.ObjectType_OBJECT_MATVIEW,
		ast.ObjectType_OBJECT_FOREIGN_TABLE, ast.ObjectType_OBJECT_SEQUENCE, ast.ObjectType_OBJECT_INDEX:
		l.name(u, n, 0)
	case ast.ObjectType_OBJECT_COLUMN, ast.ObjectType_OBJECT_TABCONSTRAINT, ast.ObjectType_OBJECT_POLICY,
		ast.ObjectType_OBJECT_RULE, ast.ObjectType_OBJECT_TRIGGER:
		l.name(u, n, 1)
	}
}

// words adds every word of a program's text to the names.
func (l *lowering) words(u *sqlparse.Utility, text string) {
	for _, w := range l.wordsOf(text) {
		u.Names = append(u.Names, &sqlparse.TableName{At: l.here(), Name: w})
	}
}

// wordsOf lists the words of a text, each once: it may be a program, which the grammar does not show.
// Words inside its strings count, since it may run them. There a dollar sign may end a name, and
// a backslash may make the letter behind it something else.
func (l *lowering) wordsOf(text string) (words []string) {
	if strings.Contains(strings.ToLower(text), "u&") {
		l.unsupported("a program that may spell names with escapes is not supported")
	}
	seen := map[string]bool{}
	add := func(w string) {
		if w != "" && !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	unquoted := func(w string) {
		w = foldASCII(w)
		add(w)
		add(strings.TrimPrefix(w, "_")) // it may be the array type of a table's rows
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end := i + 1
			for end < len(text) && text[end] != '"' {
				end++
			}
			add(text[i+1 : end])
			i++ // the quote may also end a name: what is inside counts as words too
		case isIdentStart(c):
			end := i
			for end < len(text) && isIdentPart(text[end]) {
				end++
			}
			unquoted(text[i:end])
			for part := range strings.SplitSeq(text[i:end], "$") {
				unquoted(part)
			}
			if i > 0 && text[i-1] == '\\' {
				part, _, _ := strings.Cut(text[i+1:end], "$")
				unquoted(part)
			}
			i = end
		default:
			i++
		}
	}
	return words
}

// foldASCII returns the folding of unquoted names, which leaves other letters alone.
func foldASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
