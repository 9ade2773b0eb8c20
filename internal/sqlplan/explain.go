package sqlplan

import (
	"context"
	"errors"
	"slices"

	"github.com/colseal/colseal/internal/sqlparse"
)

// Blank returns a text of the same length in which comments are blank and the inside of every
// literal is hidden, so that it can be shown; "" if the text cannot be cut into tokens.
func (p *Planner) Blank(sql string) string { return p.blank(sql) }

// Refusals returns all reasons to refuse a text, in the order in which they are found. Plan returns
// the first. They leave out what can only be told once something else is repaired: the columns of a
// relation that is refused itself, or a text that cannot be read. The error is the catalog's.
func (p *Planner) Refusals(ctx context.Context, sql string, env *Env) ([]*Refusal, error) {
	a, err := p.begin(ctx, sql, env, p.knownOf(env))
	var noted []*Refusal
	if a != nil {
		if p.copies { // nothing is refused yet, but because of options that columns had
			to := copyAhead
			if _, _, err := p.analyseCopies(a); err != nil && a.as(copyPlain).refuses() {
				to = copyPlain
			}
			a = a.as(to)
		}
		a.every = true
		_, err = p.run(a)
		if !a.harmless() {
			noted = a.noted
		}
	}
	var last *Refusal
	switch {
	case errors.As(err, &last):
		if !slices.ContainsFunc(noted, func(r *Refusal) bool { return r.Pos == last.Pos && r.Reason == last.Reason }) {
			noted = append(noted, last)
		}
	case err != nil:
		return nil, err
	}
	return noted, nil
}

// Undecided returns what only a server's catalog can tell of a text, and what Plan guessed without
// one, or "". It uses only the form of the text: a name that no registered table has may be a view,
// a partition, a column, or a row.
func (p *Planner) Undecided(sql string) string {
	file, err := p.parse(sql)
	if err != nil {
		return ""
	}
	u := undecided{p: p, made: map[string]bool{}, rows: map[string]bool{}}
	for i := range file.Statements {
		sqlparse.Inspect(file.Statements[i].Stmt, u.collect)
	}
	for i := range file.Statements {
		sqlparse.Inspect(file.Statements[i].Stmt, u.visit)
	}
	return u.why
}

type undecided struct {
	p    *Planner
	made map[string]bool // names of WITH queries
	rows map[string]bool // names that stand for rows: relations and aliases
	why  string
}

func (u *undecided) because(why string) {
	if u.why == "" {
		u.why = why
	}
}

// collect notes the names that a text makes.
func (u *undecided) collect(node any) bool {
	switch n := node.(type) {
	case *sqlparse.CTE:
		u.made[u.p.fold(n.Name)] = true
	case *sqlparse.TableName:
		u.rows[u.p.fold(n.Name)] = true
	case *sqlparse.Alias:
		u.rows[u.p.fold(n.Name)] = true
	}
	return true
}

func (u *undecided) visit(node any) bool {
	switch n := node.(type) {
	case *sqlparse.TableName:
		switch name := u.p.fold(n.Name); {
		case u.made[name] && n.Schema == "":
		case len(u.p.tables[name]) == 0:
			u.because(n.Name + " may be a view or a partition of a sealed table")
		case n.Alias != nil && len(n.Alias.Columns) > 0:
			u.because("the columns of " + n.Name + " are renamed by their order")
		}
	case *sqlparse.Column:
		switch last := len(n.Parts) - 1; {
		case n.Star:
			u.because("which columns * yields is not known")
		case u.rows[n.Parts[last]]:
			u.because(n.Parts[last] + " may be a column or a whole row")
		}
	case *sqlparse.Insert:
		if n.Columns == nil && len(n.Table.Name) > 0 {
			u.because("which value of the INSERT is for which column is not known")
		}
	case *sqlparse.Merge:
		for _, w := range n.Whens {
			if w.Insert && w.Columns == nil {
				u.because("which value of the INSERT is for which column is not known")
			}
		}
	case *sqlparse.Join:
		if n.Natural {
			u.because("which columns NATURAL JOIN compares is not known")
		}
	case *sqlparse.Call:
		if !u.p.harmless(n) {
			u.because("what the function " + n.Name + " does is not known")
		}
	case *sqlparse.Utility:
		if n.Catalog {
			u.because("which tables the definition concerns is not known")
		}
	}
	return true
}
