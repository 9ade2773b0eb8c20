package vet

import (
	"go/ast"
	goconstant "go/constant"
	"go/token"
	"strings"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/ops/explain"
)

// judge judges a text that is given to a call, and reports what it finds. The note says why it
// could not judge. branched is set for one of several texts that the call may be given.
func (c *checker) judge(s *site, t text, branched bool) (Note, error) {
	switch {
	case t.isUnknown():
		return Note{Why: "the text is put together when it runs"}, nil
	case !t.isConstant():
		return c.judgeParts(s, t)
	}
	e, b, err := c.explain(s, t.value)
	if err != nil {
		return Note{}, err
	}
	if b == nil {
		return Note{Why: unknownArgs}, nil
	}
	if branched && unreadable(e) {
		return Note{Why: "one of the texts that it may be cannot be read: " + faults(e)[0].Reason}, nil // perhaps that one is never made
	}
	sure, n := certain(e, b)
	if c.isPast(s.through) {
		if n.Why != "" && len(sure) == 0 {
			return n, nil
		}
		c.bypassed(s.call, e, sure, t.pos(b.origin(0)))
		return Note{}, nil
	}
	for _, r := range sure {
		c.report(s.call, t.pos(b.origin(r.Pos)), "refused", join(refused(e)+": "+r.Reason, column(r), r.Hint))
	}
	if len(sure) > 0 {
		return Note{}, nil // it is refused whatever becomes of the rest
	}
	return n, nil
}

const unknownArgs = "what its arguments become in the text is not known"

// explain returns what happens to a text, as the library of the call sends it. b is nil if that is
// not known.
func (c *checker) explain(s *site, sql string) (e *explain.Explanation, b *bound, err error) {
	ask, err := c.open()
	if err != nil {
		return nil, nil, err
	}
	b, ok := bind(c.dialect, s, sql, c.pass.TypesInfo)
	if !ok {
		return nil, nil, nil
	}
	e, err = ask(b.sql)
	return e, b, err
}

// unreadable reports whether a text cannot be read.
func unreadable(e *explain.Explanation) bool {
	all := faults(e)
	return len(all) > 0 && all[0].Class == colseal.ClassUnreadable
}

// faults returns all reasons to refuse a statement, now or when columns in the stage copy are in
// sealed.
func faults(e *explain.Explanation) []*colseal.QueryError {
	if len(e.Refused) > 0 {
		return e.Refused
	}
	return e.Observed
}

// refused says when a statement with faults is refused.
func refused(e *explain.Explanation) string {
	if len(e.Refused) > 0 {
		return "refused by Colseal"
	}
	return "refused by Colseal in the stage sealed"
}

// certain returns the refusals that depend on the text alone, and what decides the rest. Why of the
// rest is "" if nothing is left.
func certain(e *explain.Explanation, b *bound) (sure []*colseal.QueryError, rest Note) {
	for _, r := range faults(e) {
		n := doubt(e, r, b)
		if n.Why == "" {
			sure = append(sure, r)
		} else if rest.Why == "" {
			rest = n
		}
	}
	if len(faults(e)) == 0 && e.Offline && e.Undecided != "" {
		rest = Note{Why: "without a database: " + e.Undecided, Catalog: true}
	}
	return sure, rest
}

// doubt says what a refusal hangs on besides the text; its Why is "" if nothing.
func doubt(e *explain.Explanation, r *colseal.QueryError, b *bound) Note {
	switch {
	case b.changed && r.Table == "" && r.Class == colseal.ClassUnreadable:
		return Note{Why: "the library may write it otherwise: " + r.Reason} // what it makes of the text is its own matter
	case !e.Offline:
		return Note{}
	case r.Undecided:
		return Note{Why: "without a database: " + r.Reason, Catalog: true}
	case r.Pos < len(b.sql) && digit(b.sql[r.Pos]) && strings.Contains(b.sql, "*"):
		return Note{Why: "without a database: a column's number after a star", Catalog: true}
	}
	return Note{}
}

// bypassed reports a statement of native pgx that Colseal should have seen.
func (c *checker) bypassed(call *ast.CallExpr, e *explain.Explanation, sure []*colseal.QueryError, pos token.Pos) {
	const hint = "run it through pgxseal, or through database/sql and Colseal's driver"
	for _, r := range sure {
		if r.Column != "" {
			c.report(call, pos, "bypass", join("native pgx sends this past Colseal, which would refuse it: "+r.Reason, column(r), r.Hint))
			return
		}
	}
	switch written, read := touched(e); {
	case written != "":
		c.report(call, pos, "bypass", join("native pgx sends this past Colseal: the value for "+written+" goes to the server in plaintext", "", hint))
	case read != "":
		c.report(call, pos, "bypass", join("native pgx sends this past Colseal: "+read+" comes back as ciphertext", "", hint))
	}
}

// touched names a sealed column that a statement writes or compares, and one that it returns.
func touched(e *explain.Explanation) (written, read string) {
	uses := e.Literals
	for _, p := range e.Params {
		uses = append(uses, p.Uses...)
	}
	if len(uses) > 0 {
		written = uses[0].Column.TableName() + "." + uses[0].Column.Name
	}
	for _, r := range e.Results {
		if len(r.Columns) > 0 && read == "" {
			read = r.Columns[0].TableName() + "." + r.Columns[0].Name
		}
	}
	return written, read
}

// copied judges pgx's CopyFrom by a query of the same columns.
func (c *checker) copied(s *copySite) error {
	table, ok := c.names(s.table)
	if !ok {
		c.notJudged(s.call, s.call.Pos(), "the table's name is no constant", false)
		return nil
	}
	if c.foreign {
		return nil
	}
	columns := []string{"*"}
	if s.columns != nil {
		if columns, ok = c.names(s.columns); !ok {
			columns = []string{"*"}
		}
	}
	explain, err := c.open()
	if err != nil {
		return err
	}
	e, err := explain("SELECT " + strings.Join(columns, ", ") + " FROM " + strings.Join(table, "."))
	if err != nil {
		return err
	}
	c.count(s.call.Pos())
	if _, read := touched(e); read != "" && c.isPast(s.through) {
		c.report(s.call, s.table.Pos(), "bypass", "native pgx sends this past Colseal: values for "+read+" go to the server in plaintext; use pgxseal's CopyFrom, or driver.CopyFrom")
	}
	return nil
}

// names returns the constants of a list, as quoted names.
func (c *checker) names(lit *ast.CompositeLit) (names []string, ok bool) {
	for _, e := range lit.Elts {
		v := c.pass.TypesInfo.Types[e].Value
		if v == nil || v.Kind() != goconstant.String {
			return nil, false
		}
		names = append(names, `"`+strings.ReplaceAll(goconstant.StringVal(v), `"`, `""`)+`"`)
	}
	return names, len(names) > 0
}

func column(r *colseal.QueryError) string {
	if r.Column == "" {
		return r.Table
	}
	return r.Table + "." + r.Column
}

// join returns a report: what is wrong, with which column, and what to do. column and hint may be
// "".
func join(what, column, hint string) string {
	if column != "" {
		what += ": " + column
	}
	if hint != "" {
		what += "; " + hint
	}
	return what
}
