package sqlplan

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
	"github.com/colseal/colseal/internal/sqlparse/lite"
	"github.com/colseal/colseal/internal/sqlparse/pg"
)

// Redact returns a text of the same length in which comments are blank and the inside of every
// literal is hidden, so that it can be shown. It returns "" if the text cannot be cut into tokens.
func (p *Planner) Redact(sql string) string {
	var tokens []sqlparse.Token
	var err error
	if p.dialect == dialect.SQLite {
		tokens, err = lite.Tokens(sql, p.limits)
	} else {
		tokens, err = pg.Tokens(sql)
	}
	if err != nil {
		return ""
	}
	// Only the tokens are copied: a comment may hold anything.
	b := []byte(sql)
	last := 0
	for _, t := range tokens {
		for i := last; i < t.Start; i++ {
			if b[i] != '\n' && b[i] != '\t' && b[i] != '\r' {
				b[i] = ' '
			}
		}
		if t.Kind == sqlparse.TokenString || t.Kind == sqlparse.TokenNumber {
			for i := t.Start; i < t.End; i++ {
				b[i] = '*'
			}
		}
		if p.maybeString(sql[t.Start:t.End]) {
			for i := t.Start + 1; i < t.End-1; i++ {
				b[i] = '*'
			}
		}
		last = t.End
	}
	for i := last; i < len(b); i++ {
		b[i] = ' '
	}
	return string(b)
}

// maybeString reports whether a word in double quotes may be a string, for which SQLite takes
// one that is no name. Only the names that are registered are surely none.
func (p *Planner) maybeString(word string) bool {
	if p.dialect != dialect.SQLite || len(word) < 2 || word[0] != '"' {
		return false
	}
	return !p.names[p.fold(strings.ReplaceAll(word[1:len(word)-1], `""`, `"`))]
}

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
