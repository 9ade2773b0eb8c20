package migrate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// A view that shows a plain column also shows the companion, behind its other columns, once
// programs may be in sealed. Its conditions say only whether a value is NULL. They are about the
// companion once that is filled, and never about the one that lags behind.

// severalRows matches what makes a view have other rows if it shows one more column, or leaves open
// what that column would be.
var severalRows = regexp.MustCompile(`(?i)\b(DISTINCT|GROUP BY|UNION|INTERSECT|EXCEPT|WITH|HAVING|OVER)\b`)

// carries reports whether a view can be made again over the other columns: it only shows them, or
// asks whether they are NULL.
func (mv move) carries(v *view) bool {
	list, rest, ok := strings.Cut(v.def, fromClause)
	if v.kind != "v" || v.dependents != 0 || !ok || severalRows.MatchString(v.def) {
		return false
	}
	for _, x := range mv.pairs {
		for _, c := range []*attribute{x.plainCol, x.cellCol} {
			if !has(v.cols, c) {
				continue
			}
			name := x.Source()
			if c == x.cellCol {
				name = x.Stored
			}
			if _, _, shown := v.item(name); !shown || names(list, name) > 1 || !onlyNullTests(rest, name) {
				return false
			}
		}
	}
	return true
}

// names counts how often a column is named, but for what a view calls one.
func names(list, column string) int {
	n := 0
	tokens := token.FindAllString(list, -1)
	for i, tok := range tokens {
		if (tok == column || tok == dbcatalog.QuoteIdent(column)) && (i < 2 || tokens[i-2] != "AS") {
			n++
		}
	}
	return n
}

// fromClause ends a view's list, as the server prints it.
const fromClause = "\n   FROM "

// item finds the column in the view's list, as the server prints it. It returns what qualifies the
// column, and the view's name for it.
func (v *view) item(column string) (qualifier, as string, ok bool) {
	list, _, _ := strings.Cut(v.def, fromClause)
	name := regexp.QuoteMeta(column)
	found := regexp.MustCompile(`^\s*(?:SELECT )?((?:[\w$]+|"(?:[^"]|"")*")\.)?(?:` + name + `|` + regexp.QuoteMeta(dbcatalog.QuoteIdent(column)) + `)(?: AS (.*))?$`)
	for part := range strings.SplitSeq(list, ",\n") {
		if m := found.FindStringSubmatch(part); m != nil {
			if as = m[2]; as == "" {
				as = column
			}
			return m[1], strings.ReplaceAll(strings.Trim(as, `"`), `""`, `"`), true
		}
	}
	return "", "", false
}

// shows reports whether a view has something to do with columns of a table.
func (mv move) shows(v *view, cols []*attribute) bool { return has(v.cols, cols...) }

// widenViews returns the statements that have views show the companions behind their columns.
func (mv move) widenViews() []string {
	var out []string
	for _, v := range mv.views {
		if !mv.shows(v, mv.plainCols()) || !mv.carries(v) {
			continue
		}
		def := v.def
		for _, x := range mv.pairs {
			if _, _, there := v.item(x.Stored); there {
				continue
			}
			if q, as, ok := v.item(x.Source()); ok {
				def = addItem(def, q+x.cell, companionOf(as, x))
			}
		}
		out = append(out, v.about(def, mv.toCompanion())...)
	}
	return out
}

// leadViews returns the statements that turn the conditions of views back to the plain columns,
// because the companions will lag behind.
func (mv move) leadViews() []string {
	var out []string
	for _, v := range mv.views {
		if mv.shows(v, mv.cellCols()) && mv.carries(v) {
			out = append(out, v.about(v.def, mv.toPlain())...)
		}
	}
	return out
}

// about returns the statement that gives a view another definition, with conditions about other
// columns. It returns none if the view has it.
func (v *view) about(def string, names map[string]string) []string {
	list, rest, _ := strings.Cut(def, fromClause)
	if def = list + fromClause + mapNames(rest, names); def == v.def {
		return nil
	}
	return []string{"CREATE OR REPLACE VIEW " + v.name + v.with() + " AS " + trimDef(def)}
}

// companionOf returns the name that a view has for the companion of a column that it calls as.
func companionOf(as string, x *pair) string {
	if as == x.Source() {
		return x.Stored
	}
	return companionName(as)
}

// addItem adds a column at the end of a view's list.
func addItem(def, column, as string) string {
	return strings.Replace(def, fromClause, ",\n    "+column+" AS "+dbcatalog.QuoteIdent(as)+fromClause, 1)
}

// narrow is the view's definition without the companions behind its columns, about the plain ones.
func (mv move) narrow(v *view) string {
	list, rest, _ := strings.Cut(v.def, fromClause)
	parts := strings.Split(list, ",\n")
	for _, x := range mv.pairs {
		if _, _, ok := v.item(x.Source()); !ok {
			continue
		}
		name := regexp.QuoteMeta(x.Stored)
		companion := regexp.MustCompile(`^\s*(?:(?:[\w$]+|"(?:[^"]|"")*")\.)?(?:` + name + `|` + regexp.QuoteMeta(x.cell) + `)(?: AS .*)?$`)
		parts = slices.DeleteFunc(parts, companion.MatchString)
	}
	return strings.Join(parts, ",\n") + fromClause + mapNames(rest, mv.toPlain())
}

// narrowViews returns the statements that make views without the companions.
func (mv move) narrowViews() []string {
	var out []string
	for _, v := range mv.views {
		if mv.shows(v, mv.cellCols()) && mv.carries(v) {
			out = append(out, v.again(mv.narrow(v))...)
		}
	}
	return out
}

// again returns the statements that make a view again.
func (v *view) again(def string) []string {
	return append([]string{"DROP VIEW " + v.name, "CREATE VIEW " + v.name + v.with() + " AS " + trimDef(def)}, v.after...)
}

func (v *view) with() string {
	if v.options == "" {
		return ""
	}
	return " WITH (" + v.options + ")"
}

func trimDef(def string) string { return strings.TrimSuffix(strings.TrimSpace(def), ";") }
