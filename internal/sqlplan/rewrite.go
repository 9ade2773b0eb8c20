package sqlplan

import (
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/pg"
	"github.com/colseal/colseal/schema"
)

// An edit replaces a part of the text by other text, or by a literal to be sealed.
type edit struct {
	start, end int
	text       string
	texts      []string // by search key, where that makes a difference
	literal    *Literal
	label      bool // it names an output

	second *second // it is made where this stands only; nil: in the text itself
	shared bool    // wherever its place stands
	put    *put    // what is put in, in place of text
}

// literals cuts out the literals that are sealed.
func (e *emission) literals() error {
	for _, s := range e.slots {
		u := s.use()
		if s.lit == nil || u == nil && s.stands == "" {
			continue
		}
		end, ok := s.lit.End, s.lit.End > 0
		start := s.pos()
		if s.from != nil {
			at, found := e.spanOf(s.from)
			start, end, ok = at.start, at.end, found
		}
		if !ok {
			tokens, err := e.scan()
			if err != nil {
				return err
			}
			end, ok = pg.ConstEnd(tokens, e.file.Text, s.pos())
		}
		if !ok {
			return e.refuseRewriting(s.pos(), nil, "the end of the literal cannot be found", "use a parameter")
		}
		if s.stands != "" {
			e.edits = append(e.edits, edit{start: s.pos(), end: end, text: s.stands, second: s.second})
			continue
		}
		e.edits = append(e.edits, edit{start: start, end: end, literal: &Literal{Value: s.value, Use: *u}, second: s.second})
	}
	return nil
}

// recasts makes the casts of sealed parameters and literals follow.
func (e *emission) recasts() error {
	for _, c := range e.casts {
		t := c.t.root()
		if t.state != sealed {
			if err := e.recastAnswer(c); err != nil {
				return err
			}
			continue
		}
		array := c.array
		if c.slot != nil {
			array = c.slot.array // as the other occurrences of the parameter are
		}
		u := &Use{Column: t.cols[0].col, Storage: t.cols[0].storage, Array: array || t.array}
		if c.slot != nil {
			u.Match = c.slot.match
		}
		ofArray := u.Array || u.Column.Kind == schema.KindTextArray || u.Column.Kind == schema.KindIntArray
		if c.cast.Type.Array != ofArray {
			return e.refuseValue(c.cast.Pos(), u.Column, "a cast between an array and a single value", "cast to the type of the value that is given")
		}
		if err := e.retype(c, e.castName(u)); err != nil {
			return err
		}
	}
	return nil
}

// retype makes a cast one to another type.
func (e *emission) retype(c *recast, name string) error {
	if c.cast.Type.At < 0 {
		return e.refuseRewriting(c.cast.Pos(), c.t.first(), "this cast of a sealed value cannot be retyped", "leave the cast out")
	}
	end, ok := c.cast.Type.End, c.cast.Type.End > 0
	if !ok {
		tokens, err := e.scan()
		if err != nil {
			return err
		}
		end, ok = pg.TypeEnd(tokens, e.file.Text, c.cast.Type.Pos())
	}
	if !ok {
		return e.refuseRewriting(c.cast.Pos(), c.t.first(), "the end of the type name cannot be found", "leave the cast out")
	}
	if c.cast.Pos() == c.cast.Type.Pos() {
		name = "" // date '…', which takes no parameter in the literal's place
	}
	e.edits = append(e.edits, edit{start: c.cast.Type.Pos(), end: end, text: name, second: c.second})
	return nil
}

// castName returns the type that a cast of a sealed value gets.
func (e *emission) castName(u *Use) string {
	if e.p.dialect == dialect.SQLite {
		if u.Storage == dbcatalog.StorageText {
			return "TEXT"
		}
		return "BLOB"
	}
	return e.typeName(u)
}

// scan returns the tokens of the text.
func (e *emission) scan() ([]sqlparse.Token, error) {
	if e.tokens != nil {
		return e.tokens, nil
	}
	tokens, err := e.file.Tokens()
	if err != nil {
		return nil, e.refuseRewriting(0, nil, "the statement cannot be cut into tokens", "use parameters instead of literals")
	}
	e.tokens = tokens
	return tokens, nil
}

// addColumnList notes the edit that writes out the columns of an INSERT.
func (a *analysis) addColumnList(s *sqlparse.Insert, w *writeTarget, names []sqlparse.Name) error {
	at := s.SourceAt
	if at <= 0 {
		tokens, err := a.file.Tokens()
		if err != nil {
			return a.refuseRewriting(s.Pos(), nil, "the statement cannot be cut into tokens", "write the column list")
		}
		var ok bool
		if at, ok = pg.SourceStart(tokens, a.file.Text, s); !ok {
			return a.refuseRewriting(s.Pos(), nil, "the start of the values cannot be found", "write the column list")
		}
		if strings.Contains(strings.ToLower(a.file.Text[s.Table.Pos():at]), "overriding") {
			return a.refuseUnsupported(s.Pos(), nil, "OVERRIDING without a column list is not supported on a sealed table", "write the column list")
		}
	}
	var b strings.Builder
	b.WriteByte('(')
	for i, n := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.listColumn(w, n.Name))
	}
	b.WriteString(") ")
	a.columns = append(a.columns, edit{start: at, end: at, text: b.String()})
	return nil
}
