package sqlplan

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// The facts of a session stay valid only after statements that are proven to leave the session
// alone: they were parsed, their kind changes nothing, and every function in them is known to be
// harmless. After any other statement the facts are read again before the next one that names a
// registered table.
//
// A text does not show the functions that triggers, views, operators and defaults call. What they
// do to a session makes a fact stale. For that, names are sent with their schema (see qualify).

// settled are the effects that leave names as they are for the later statements of a text.
const settled = EndsTransaction | Prepares | Executes

// forward returns the plan of a text that names no registered table.
func (p *Planner) forward(sql string) *Plan {
	file, err := p.parse(sql)
	if err != nil {
		return &Plan{Effects: ChangesCatalog | ChangesSession | ChangesDependents}
	}
	var e Effects
	for i := range file.Statements {
		s := p.effects(file.Statements[i].Stmt)
		if u, ok := file.Statements[i].Stmt.(*sqlparse.Utility); ok && s&ChangesCatalog != 0 && !u.Bounded && u.What != "CALL" {
			s |= ChangesDependents // what names none of the tables and of their dependents cannot make one, but for programs
		}
		e |= s
	}
	return &Plan{Effects: e &^ Prepares, Statements: len(file.Statements)}
}

// effects returns the effects of one statement.
func (p *Planner) effects(stmt sqlparse.Stmt) Effects {
	var e Effects
	sqlparse.Inspect(stmt, func(node any) bool {
		switch n := node.(type) {
		case *sqlparse.Utility:
			switch {
			case n.Temporary:
				e |= ChangesTemporary
			case n.Catalog:
				e |= ChangesCatalog
			}
			if n.Session {
				e |= ChangesSession
			}
			if n.Ends {
				e |= EndsTransaction
			}
			if n.Imports {
				e |= ImportsSnapshot
			}
			if n.Runs != "" {
				e |= Executes
			}
			if n.Kept != nil && n.Kept.Kind == sqlparse.KeptStatement {
				e |= Prepares
			}
		case *sqlparse.Select:
			if n.Into != nil {
				e |= ChangesCatalog
			}
		case *sqlparse.Update:
			if n.Table != nil && p.fold(n.Table.Name) == "pg_settings" { // which sets what is updated
				e |= ChangesSession
			}
		case *sqlparse.Call:
			switch {
			case p.dialect != dialect.SQLite && n.Name == "set_config":
				e |= ChangesSession
			case !p.harmless(n):
				e |= CallsUnknown
			}
		}
		return true
	})
	return e
}

//go:embed functions.txt
var functionsText string

var harmlessFunctions = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(functionsText) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			m[line] = true
		}
	}
	return m
})

// harmless reports whether a function is known to leave the session alone. It takes a function of
// the program that has the name of one of the server for the server's.
func (p *Planner) harmless(c *sqlparse.Call) bool {
	if p.dialect == dialect.SQLite {
		return !strings.EqualFold(c.Name, "load_extension")
	}
	return harmlessFunctions()[c.Name] || strings.HasPrefix(c.Name, "st_")
}
