package lite

import (
	"slices"
	"strings"

	"github.com/sqlc-dev/meyer/ast"
	"github.com/sqlc-dev/meyer/lexer"
	"github.com/sqlc-dev/meyer/parser"
	"github.com/sqlc-dev/meyer/token"

	"github.com/colseal/colseal/internal/sqlparse"
)

// Span is a part of a text.
type Span struct{ Start, End int }

// TableText is a CREATE TABLE, as a database keeps it, with the places of what it says.
type TableText struct {
	Columns     []ColumnText
	Constraints []Clause
}

// ColumnText is the definition of a column.
type ColumnText struct {
	Span
	Name    string
	Type    Span // its name and its type
	Clauses []Clause
}

// ClauseKind says what a Clause is.
type ClauseKind uint8

// What a clause is.
const (
	ClauseOther ClauseKind = iota // NULL
	ClausePrimaryKey
	ClauseUnique
	ClauseNotNull
	ClauseCheck
	ClauseDefault
	ClauseCollate // but for BINARY
	ClauseForeignKey
	ClauseDeferrable // of the foreign key before it
	ClauseGenerated
)

// Clause is one constraint of a column or of a table.
type Clause struct {
	Span
	Kind  ClauseKind
	Names []string // of columns of the table, but for the column that it stands at

	Computes bool // it is of more than columns: of a collation

	// Of a foreign key: the table that it refers to and where its name stands, the columns and
	// where they stand, and whether it changes the column by itself to anything but NULL, or when
	// the other is changed.
	To      string
	Refers  int
	ToNames []string
	ToAt    Span
	Writes  bool
}

// Table reads a CREATE TABLE without a query.
func Table(text string) (*TableText, error) {
	n, err := definition[*ast.CreateTableStmt](text)
	if err != nil {
		return nil, err
	}
	out := &TableText{}
	for _, c := range n.Columns {
		col := ColumnText{Span: spanOf(c), Name: ident(c.Name), Type: spanOf(c.Name)}
		if c.Type != nil {
			col.Type.End = c.Type.End()
		}
		for _, cc := range c.Constraints {
			col.Clauses = append(col.Clauses, columnClause(cc))
		}
		out.Columns = append(out.Columns, col)
	}
	for _, c := range n.Constraints {
		out.Constraints = append(out.Constraints, tableClause(c))
	}
	return out, nil
}

func columnClause(c *ast.ColumnConstraint) Clause {
	out := Clause{Span: spanOf(c), Kind: map[ast.ColumnConstraintKind]ClauseKind{
		ast.ColumnPrimaryKey: ClausePrimaryKey, ast.ColumnUnique: ClauseUnique, ast.ColumnNotNull: ClauseNotNull, ast.ColumnCheck: ClauseCheck, ast.ColumnDefault: ClauseDefault,
		ast.ColumnReferences: ClauseForeignKey, ast.ColumnDeferrable: ClauseDeferrable, ast.ColumnGenerated: ClauseGenerated}[c.Kind]}
	if c.Kind == ast.ColumnCollate && !binary(c.Collation) {
		out.Kind = ClauseCollate
	}
	if c.Expr != nil {
		out.Names = namesIn(c.Expr)
	}
	out.refer(c.References)
	return out
}

func tableClause(c *ast.TableConstraint) Clause {
	out := Clause{Span: spanOf(c), Kind: map[ast.TableConstraintKind]ClauseKind{
		ast.TablePrimaryKey: ClausePrimaryKey, ast.TableUnique: ClauseUnique, ast.TableCheck: ClauseCheck, ast.TableForeignKey: ClauseForeignKey}[c.Kind]}
	columns := columnsOf(c.Columns)
	out.Names, out.Computes = append(namesOf(c.Columns), columns...), len(columns) < len(c.Columns)
	if c.Expr != nil {
		out.Names = namesIn(c.Expr)
	}
	out.Names = append(out.Names, indexedColumns(c.FKColumns)...)
	out.refer(c.References)
	return out
}

// refer fills in what a foreign key refers to.
func (c *Clause) refer(to *ast.ForeignKeyClause) {
	if to == nil {
		return
	}
	c.To, c.Refers, c.ToNames, c.ToAt = ident(to.Table), to.Table.Pos(), indexedColumns(to.Columns), Span{to.Table.End(), to.Table.End()}
	if n := len(to.Columns); n > 0 {
		c.ToAt = Span{to.Columns[0].Pos(), to.Columns[n-1].End()}
	}
	for _, arg := range to.Args {
		switch arg.Action {
		case ast.FKCascade, ast.FKSetNull:
			c.Writes = c.Writes || arg.Event == "UPDATE"
		case ast.FKSetDefault:
			c.Writes = true
		}
	}
}

// IndexText is a CREATE INDEX, as a database keeps it.
type IndexText struct {
	Unique   bool
	List     []Span   // its columns, and its names in its condition
	Names    []string // all of the columns that it is about
	Columns  []string // those that it consists of, but for expressions
	Computes bool     // there are expressions
	Compared []string // of the columns in its condition, those of which it says more than whether they are NULL
}

// Index reads a CREATE INDEX.
func Index(text string) (*IndexText, error) {
	n, err := definition[*ast.CreateIndexStmt](text)
	if err != nil {
		return nil, err
	}
	out := &IndexText{Unique: n.Unique, List: []Span{{n.Columns[0].Pos(), n.Columns[len(n.Columns)-1].End()}}, Columns: columnsOf(n.Columns)}
	out.Names, out.Computes = append(namesOf(n.Columns), out.Columns...), len(out.Columns) < len(n.Columns)
	if n.Where == nil {
		return out, nil
	}
	tested := map[ast.Node]bool{}
	visit(n.Where, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.NullCheckExpr:
			tested[unparen(n.X)] = true
		case *ast.IsExpr:
			if null, ok := n.Y.(*ast.Literal); ok && null.Kind == ast.LitNull {
				tested[unparen(n.X)] = true
			}
		case *ast.Ident:
			if out.Names, out.List = append(out.Names, ident(n)), append(out.List, spanOf(n)); !tested[n] {
				out.Compared = append(out.Compared, ident(n))
			}
		}
	})
	return out, nil
}

func namesOf(terms []*ast.OrderingTerm) []string {
	var out []string
	for _, t := range terms {
		out = append(out, namesIn(t)...)
	}
	return out
}

// Virtual reports whether a definition is that of a virtual table.
func Virtual(text string) bool {
	words := Words(text)
	return len(words) > 1 && words[0] == "create" && words[1] == "virtual"
}

// definition parses a text that is one statement of a kind.
func definition[T ast.Stmt](text string) (stmt T, err error) {
	if _, err := guard(text, sqlparse.Limits{}.OrDefault()); err != nil {
		return stmt, err
	}
	all, err := parser.ParseString(text)
	if err != nil {
		return stmt, syntaxError(err)
	}
	if len(all) == 1 {
		if stmt, ok := all[0].(T); ok {
			return stmt, nil
		}
	}
	return stmt, &sqlparse.Error{Reason: "another statement than was expected"}
}

func spanOf(n ast.Node) Span { return Span{n.Pos(), n.End()} }

// namesIn returns the names in an expression.
func namesIn(n ast.Node) []string {
	var out []string
	visit(n, func(n ast.Node) {
		if id, ok := n.(*ast.Ident); ok {
			out = append(out, ident(id))
		}
	})
	return out
}

// Words returns the names and keywords of a text, folded, and without quotes. Strings are among
// them: SQLite takes some for names.
func Words(text string) []string {
	var out []string
	for _, t := range lexer.Lex(text) {
		if isWord(t) {
			out = append(out, wordOf(t, text))
		}
	}
	return out
}

// Rename writes other names into parts of a text.
func Rename(text string, names map[string]string, in ...Span) string {
	var b strings.Builder
	at := 0
	for _, t := range lexer.Lex(text) {
		within := func(s Span) bool { return t.Pos >= s.Start && t.End <= s.End }
		if to, ok := names[wordOf(t, text)]; ok && isWord(t) && slices.ContainsFunc(in, within) {
			b.WriteString(text[at:t.Pos] + `"` + strings.ReplaceAll(to, `"`, `""`) + `"`)
			at = t.End
		}
	}
	return b.String() + text[at:]
}

func isWord(t token.Token) bool {
	return t.Kind == token.ID || t.Kind == token.STRING || t.Kind >= token.ABORT
}

// wordOf returns a token without quotes, folded.
func wordOf(t token.Token, text string) string {
	s := t.Text(text)
	if n := len(s); n >= 2 && strings.IndexByte("\"'`[", s[0]) >= 0 {
		s = strings.ReplaceAll(s[1:n-1], s[:1]+s[:1], s[:1])
	}
	return fold(s)
}
