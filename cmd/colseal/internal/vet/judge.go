package vet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"strings"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/explain"
)

// refused reports a refusal, if it is certain.
func (c *checker) refused(call *ast.CallExpr, e *explain.Explanation, b *bound, at func(int) token.Pos) {
	r := e.Refused
	if r == nil {
		return
	}
	if why := doubt(e, b); why != "" {
		c.out.Undecided = append(c.out.Undecided, Note{at(r.Pos), why})
		return
	}
	c.report(call, at(r.Pos), "refused", join("refused by Colseal: "+r.Reason, column(r), r.Hint))
}

// doubt says what a refusal hangs on besides the text; "" if nothing.
func doubt(e *explain.Explanation, b *bound) string {
	r := e.Refused
	switch {
	case b.changed && r.Table == "" && r.Class == colseal.ClassUnreadable:
		return "the library may write it otherwise: " + r.Reason // what it makes of the text is its own matter
	case !e.Offline:
		return ""
	case r.Undecided:
		return "without a database: " + r.Reason
	case r.Pos < len(b.sql) && digit(b.sql[r.Pos]) && strings.Contains(b.sql, "*"):
		return "without a database: a column's number after a star"
	}
	return ""
}

// bypassed reports a statement of native pgx that Colseal should have seen.
func (c *checker) bypassed(call *ast.CallExpr, e *explain.Explanation, b *bound, pos token.Pos) {
	const hint = "run it through pgxseal, or through database/sql and Colseal's driver"
	switch written, read := touched(e); {
	case e.Refused != nil && e.Refused.Column != "" && doubt(e, b) == "":
		c.report(call, pos, "bypass", join("native pgx sends this past Colseal, which would refuse it: "+e.Refused.Reason, column(e.Refused), e.Refused.Hint))
	case written != "":
		c.report(call, pos, "bypass", join("native pgx sends this past Colseal: the value for "+written+" goes to the server in plaintext", hint))
	case read != "":
		c.report(call, pos, "bypass", join("native pgx sends this past Colseal: "+read+" comes back as ciphertext", hint))
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
	c.out.Checked++
	if _, read := touched(e); read != "" && c.isPast(s.through) {
		c.report(s.call, s.table.Pos(), "bypass", "native pgx sends this past Colseal: values for "+read+" go to the server in plaintext — use pgxseal's CopyFrom, or driver.CopyFrom")
	}
	return nil
}

// names returns the constants of a list, as quoted names.
func (c *checker) names(lit *ast.CompositeLit) (names []string, ok bool) {
	for _, e := range lit.Elts {
		v := c.pass.TypesInfo.Types[e].Value
		if v == nil || v.Kind() != constant.String {
			return nil, false
		}
		names = append(names, `"`+strings.ReplaceAll(constant.StringVal(v), `"`, `""`)+`"`)
	}
	return names, len(names) > 0
}

func column(r *driver.QueryError) string {
	if r.Column == "" {
		return r.Table
	}
	return r.Table + "." + r.Column
}

// join puts the parts of a report together that are not empty.
func join(parts ...string) string {
	var full []string
	for _, p := range parts {
		if p != "" {
			full = append(full, p)
		}
	}
	return strings.Join(full, " — ")
}
