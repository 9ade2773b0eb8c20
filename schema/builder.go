package schema

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
)

// relation is a table's name as a key.
type relation struct{ schema, name string }

// builder gathers the sources of one New.
type builder struct {
	tables     []*Table
	registered map[relation]*Table // views included
	views      []pendingView
	plain      []*Table
	functions  []Function
	models     map[reflect.Type]bool
	owners     []pendingOwner
	errs       []error
}

// pendingView waits until all tables are known.
type pendingView struct {
	view    *Table
	of      string
	renamed []Renamed
}

// fail records a mistake about a table or a field of its model.
func (b *builder) fail(t *Table, o origin, reason, hint string) {
	e := &FieldError{Struct: o.strct, Field: o.field, Reason: reason, Hint: hint}
	if t != nil {
		e.Table = t.String()
	}
	b.errs = append(b.errs, e)
}

func (b *builder) failColumn(c *Column, reason, hint string) {
	b.errs = append(b.errs, &FieldError{Struct: c.origin.strct, Field: c.origin.field, Table: c.table, Column: c.Name, Reason: reason, Hint: hint})
}

// newTable parses and registers a relation's name; nil after a mistake.
func (b *builder) newTable(name string, o origin) *Table {
	schemaName, relName, err := parseRelation(name)
	if err != nil {
		if name == "" {
			name = `""`
		}
		b.errs = append(b.errs, &FieldError{Struct: o.strct, Table: name, Reason: err.Error(),
			Hint: `write it as SQL does: users, app.users or "Users"`})
		return nil
	}
	t := &Table{Schema: schemaName, Name: relName, origin: o}
	if first := b.registered[relation{schemaName, relName}]; first != nil {
		reason := "the name is registered twice"
		if first.origin.strct != "" {
			reason += ", first by struct " + first.origin.strct
		}
		b.fail(t, o, reason, "register each table or view once, with one source that has all its sealed columns")
		return nil
	}
	b.registered[relation{schemaName, relName}] = t
	return t
}

// addTable takes t into the schema with copies of its columns.
func (b *builder) addTable(t *Table, cols []Column) {
	byName := map[string]*Column{}
	for i := range cols {
		c := cols[i]
		if c.Kind == 0 {
			c.Kind = KindText
		}
		c.resolve(t)
		if !b.checkColumn(&c) {
			continue
		}
		if first := byName[c.Name]; first != nil {
			reason := "the column is declared twice"
			if first.origin.field != "" {
				reason = fmt.Sprintf("column %s is also declared by %s", identText(c.Name), first.origin.field)
			}
			b.failColumn(&c, reason, "seal it in one place, or give the other its own column with name=")
			continue
		}
		byName[c.Name] = &c
		t.columns = append(t.columns, &c)
	}
	b.checkCompanions(t)
	b.tables = append(b.tables, t)
}

// checkColumn checks what one column says by itself.
func (b *builder) checkColumn(c *Column) bool {
	before := len(b.errs)
	if err := dbcatalog.CheckName(c.Name); err != nil {
		b.failColumn(c, fmt.Sprintf("bad column name %q: %v", c.Name, err), "write the name as the catalog has it, without quotes")
	}
	if _, ok := parseMode(c.Mode.String()); !ok {
		b.failColumn(c, "unknown mode "+c.Mode.String(), "use ModeRandomized, ModeDeterministic or ModeOrdered")
	}
	if !c.Kind.Valid() {
		b.failColumn(c, "unknown kind "+c.Kind.String(), "use one of the kinds of package schema")
	}
	if c.Mode == ModeDeterministic && c.Kind == KindJSON {
		b.failColumn(c, "json cannot be deterministic: equal documents need not have equal bytes",
			"seal it random, and keep what you search for in a deterministic column of its own")
	}
	if c.JoinGroup != "" && c.ID != "" {
		b.failColumn(c, "id= and join= are given together, and a join group has one identity", "remove one of them")
	}
	b.checkOrder(c)
	b.checkTerms(c)
	if c.JoinGroup != "" && c.Mode == ModeRandomized {
		b.failColumn(c, "join= on a random column, whose cells are never equal", "make it deterministic, or remove join=")
	}
	if c.Inbox && c.Mode != ModeRandomized {
		b.failColumn(c, "inbox on a column that is not random", "make it random: a program that only writes has no key for equal cells")
	}
	b.checkLabel(c, "join=", c.JoinGroup)
	b.checkLabel(c, "id=", c.ID)
	if strings.HasPrefix(c.ID, joinPrefix) {
		b.failColumn(c, `id= starts with "join:", which is kept for join groups`, "use join=, or another identity")
	}
	b.checkStage(c)
	return len(b.errs) == before
}

// checkTerms checks what a column can be searched for by besides equality.
func (b *builder) checkTerms(c *Column) {
	t := c.Terms
	if t == (codec.Terms{}) {
		return
	}
	if parsed, err := codec.ParseTerms(t.String()); err != nil || parsed != t {
		b.failColumn(c, "bad terms "+t.String(), "give prefixes and suffixes a length from 1 on, and the least before the greatest")
		return
	}
	arrays := c.Kind == KindTextArray || c.Kind == KindIntArray
	switch {
	case c.Mode == ModeOrdered:
		b.failColumn(c, t.String()+" on a column that is ordered", "make it random or deterministic, or remove the option")
	case c.Inbox:
		b.failColumn(c, "inbox and "+t.String()+" together: a program that only writes has no key for what is searched for", "remove one of them")
	case c.Cursor:
		b.failColumn(c, "cursor and "+t.String()+" together", "remove one of them")
	case (t.Fold || t.Prefix.Max > 0 || t.Suffix.Max > 0) && c.Kind != KindText:
		b.failColumn(c, t.String()+" on a column of "+c.Kind.String()+" values: fold, prefix= and suffix= are for text", "remove the option, or give the column kind=text")
	case t.Elements && !arrays:
		b.failColumn(c, "elements on a column of "+c.Kind.String()+" values, which have none", "remove elements, or give the column kind=text[] or kind=int[]")
	case t.Equal && c.Kind == KindJSON:
		b.failColumn(c, "equal on a column of json: equal documents need not have equal bytes", "remove equal, and keep what you search for in a column of its own")
	case t.Equal && c.Mode == ModeDeterministic && c.Kind != KindText:
		b.failColumn(c, "equal on a deterministic column, which is searched by = anyway", "remove equal")
	}
}

// checkOrder checks what a column says of its order.
func (b *builder) checkOrder(c *Column) {
	if c.Mode != ModeOrdered && c.Min+c.Max+c.Step != "" {
		b.failColumn(c, "min=, max= or step= on a column that is not ordered", "make it ordered, or remove them")
	}
	if c.Cursor && c.Mode != ModeDeterministic {
		b.failColumn(c, "cursor on a column that is "+c.Mode.String(), `it is an option of deterministic columns: seal:"deterministic,cursor"; an ordered column needs none`)
	}
	if c.Mode != ModeOrdered || !c.Kind.Valid() {
		return
	}
	if _, err := codec.ParseOrder(c.Kind, c.Min, c.Max, c.Step); err != nil {
		hint := "correct the option, or make the column deterministic"
		if _, ok := codec.Orderable(c.Kind); !ok {
			hint = "make the column deterministic or random"
		}
		b.failColumn(c, err.Error(), hint)
	}
}

// maxLabel bounds id= and join=: they are names, and stand in every cell's
// authenticated data.
const maxLabel = 255

func (b *builder) checkLabel(c *Column, option, s string) {
	switch {
	case len(s) > maxLabel:
		b.failColumn(c, fmt.Sprintf("%s is %d bytes long", option, len(s)), fmt.Sprintf("keep it within %d bytes", maxLabel))
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		b.failColumn(c, option+" holds a blank, a control character or invalid UTF-8", "write a plain name such as users.email")
	}
}
