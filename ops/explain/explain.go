// Package explain says what Colseal does to a statement: what is sealed, what is opened, what is
// sent, or why it is refused. It runs nothing.
package explain

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/sealeddb"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Explanation says what happens to one statement. It holds no value: literals are blanked in
// every text. Its String is for people.
type Explanation struct {
	Query       string                // the statement, with comments and the inside of literals blanked
	Fingerprint string                // of the statement, as in the events colseal.refused and colseal.observed
	Refused     []*colseal.QueryError // all that it is refused for, the first as the driver's error; none when it works
	Observed    []*colseal.QueryError // it works while columns are in the stage copy: all that it will be refused for in sealed
	Sealed      bool                  // a sealed column is read or written; false: forwarded exactly as it is
	Offline     bool                  // made without the server's catalog: see Notes

	// Undecided says why only the server's catalog decides what happens. It is "" if that is known.
	// If not, parameters and results are described as if the statement works.
	Undecided string

	Sent string // what the server gets, literals blanked; "" unless Sealed

	Params   []Param  // the caller's arguments, in order; none unless Sealed
	Literals []Use    // the literals that are sealed in place: ‹sealed 1› and so on in Sent
	Results  []Result // the result columns; none unless Sealed

	// Notes are what else to know: what only the server's catalog can tell, and what
	// differs while a search key is changed.
	Notes []string
}

// Param is what happens to one argument. One that stands in several roles is sent several
// times: as it is, and sealed for each column.
type Param struct {
	Name  string // as the statement names it: $1, or :name
	Plain bool   // it is sent as it is
	Asked bool   // the program compares it, and sends whether that is true
	Uses  []Use
}

// Use is a sealed column for which a value is sealed.
type Use struct {
	Column *schema.Column
	Text   bool // stored as text, not as bytes
	Array  bool // an array, whose elements are sealed one by one
}

// Result is what happens to one result column.
type Result struct {
	Name    string           // as the server will label it; "" when unknown
	Columns []*schema.Column // sealed columns whose cells are opened here; none: passed on as it is
	Array   bool             // an array of cells
	Unknown bool             // stands for any number of plain columns, which only the catalog knows
}

// Query says what happens to a statement on a database that was opened through Colseal's
// driver. It reads the server's catalog over a connection of db, and neither prepares nor runs
// the statement. A refusal is part of the explanation; an error is about the connection.
func Query(ctx context.Context, db *sql.DB, query string) (*Explanation, error) {
	var e *Explanation
	err := sealeddb.With(ctx, db, func(d *sealeddb.DB, q dbcatalog.Querier) error {
		session, err := dbcatalog.ReadSession(ctx, q, d.Dialect)
		if err != nil {
			return err
		}
		x := newExplainer(d.Schema, d.Dialect, d.Plans, query)
		x.env = sqlplan.Env{Catalog: dbcatalog.Live{Querier: q, Dialect: d.Dialect}, SearchPath: session.Path}
		if x.env.Known, err = x.planner.Survey(ctx, q); err != nil {
			return err
		}
		x.check = d.Check
		e, err = x.explain(ctx)
		return err
	})
	if err != nil {
		return nil, hint.Errorf("explain: %w", err)
	}
	return e, nil
}

// Offline is [Query] without a database: its notes say what only the catalog can tell. It
// takes sealed columns to be stored as bytes, and a table's name for the one that the schema
// registers.
func Offline(s *schema.Schema, d dialect.Dialect, query string) (*Explanation, error) {
	x := newExplainer(s, d, sqlplan.Options{KeyTable: dbcatalog.Name{Table: keyring.DefaultTable}}, query)
	x.offline = true
	return x.explain(context.Background())
}

// explainer makes one Explanation. Its planner is its own, so that explaining leaves no mark
// on the counters and the plans of the program.
type explainer struct {
	query   string
	planner *sqlplan.Planner
	dialect dialect.Dialect
	env     sqlplan.Env
	offline bool
	check   func(context.Context, *sqlplan.Plan) error // refuses what the driver refuses besides; nil: nothing
}

func newExplainer(s *schema.Schema, d dialect.Dialect, o sqlplan.Options, query string) *explainer {
	return &explainer{query: query, planner: sqlplan.New(s, d, o), dialect: d}
}

func (x *explainer) explain(ctx context.Context) (*Explanation, error) {
	blank := x.planner.Redact(x.query)
	e := &Explanation{Query: blank, Fingerprint: audit.Fingerprint(blank), Offline: x.offline}
	if x.offline {
		e.Undecided = x.planner.Undecided(x.query)
	}
	p, refused, err := x.plan(ctx, 1)
	if p == nil {
		e.Refused = refused
		return e, err
	}
	if p.Observed != nil {
		if e.Observed, err = x.planner.Refusals(ctx, x.query, x.environment(1)); err != nil {
			return nil, err
		}
	}
	e.Sealed = p.Sealed
	if p.Sealed {
		e.Sent = x.sent(p)
		e.Params = x.params(p)
		for _, l := range p.Literals {
			e.Literals = append(e.Literals, useOf(&l.Use))
		}
		e.Results = results(p)
	}
	return e, x.note(ctx, e, p)
}

// plan returns the plan of the statement, or what it is refused for.
func (x *explainer) plan(ctx context.Context, searchKeys int) (*sqlplan.Plan, []*colseal.QueryError, error) {
	env := x.environment(searchKeys)
	var refused *colseal.QueryError
	p, err := x.planner.Plan(ctx, x.query, env)
	if errors.As(err, &refused) {
		all, err := x.planner.Refusals(ctx, x.query, env)
		return nil, all, err
	}
	if err == nil && x.check != nil {
		err = x.check(ctx, p)
	}
	switch {
	case errors.As(err, &refused):
		return nil, []*colseal.QueryError{refused}, nil
	case err != nil:
		return nil, nil, err
	}
	return p, nil, nil
}

func (x *explainer) environment(searchKeys int) *sqlplan.Env {
	env := x.env
	env.SearchKeys = searchKeys
	return &env
}

// sent returns the text that the server gets, with a mark in the place of each sealed literal.
func (x *explainer) sent(p *sqlplan.Plan) string {
	const mark = "'s'" // a literal, so that the text can be cut into tokens
	ends := make([]int, len(p.Literals))
	var text, out strings.Builder
	for i, chunk := range p.Chunks {
		text.WriteString(chunk)
		if i < len(ends) {
			text.WriteString(mark)
			ends[i] = text.Len()
		}
	}
	blank, last := x.planner.Redact(text.String()), 0
	if blank == "" {
		return ""
	}
	for i, end := range ends {
		fmt.Fprintf(&out, "%s‹sealed %d›", blank[last:end-len(mark)], i+1)
		last = end
	}
	return out.String() + blank[last:]
}

func (x *explainer) params(p *sqlplan.Plan) []Param {
	var out []Param
	byName := map[string]int{}
	add := func(name string) int {
		i, ok := byName[name]
		if !ok {
			i = len(out)
			byName[name] = i
			out = append(out, Param{Name: name})
		}
		return i
	}
	if !p.NamedInput {
		for i := range p.NumInput {
			add(x.argument(i + 1))
		}
	}
	for _, param := range p.Params {
		name := ":" + p.NameOf(&param)
		if param.From > 0 {
			name = x.argument(int(param.From))
		}
		q := &out[add(name)]
		if param.Use == nil {
			q.Plain = true
			continue
		}
		if param.Use.Answered() {
			q.Asked = true
			continue
		}
		q.Uses = append(q.Uses, useOf(param.Use))
	}
	return out
}

// argument names a positional argument as the dialect's texts do.
func (x *explainer) argument(n int) string {
	if x.dialect == dialect.SQLite {
		return fmt.Sprintf("?%d", n)
	}
	return fmt.Sprintf("$%d", n)
}

func useOf(u *sqlplan.Use) Use {
	return Use{Column: u.Column, Text: u.Storage == dbcatalog.StorageText, Array: u.Array}
}

func results(p *sqlplan.Plan) []Result {
	var out []Result
	for _, r := range p.Head {
		out = append(out, Result{Name: r.Name, Columns: r.Columns, Array: r.Array})
	}
	if p.Open {
		out = append(out, Result{Unknown: true})
	}
	for _, r := range p.Tail {
		out = append(out, Result{Name: r.Name, Columns: r.Columns, Array: r.Array})
	}
	return out
}

// note says what the plan does not.
func (x *explainer) note(ctx context.Context, e *Explanation, p *sqlplan.Plan) error {
	if p.Search && !x.offline {
		_, refused, err := x.plan(ctx, 2)
		if err != nil {
			return err
		}
		for _, r := range refused {
			e.Notes = append(e.Notes, "refused while a change of the search key is under way: "+r.Reason)
		}
	}
	if !x.offline || !e.Sealed {
		return nil
	}
	for _, r := range e.Results {
		if r.Unknown {
			e.Notes = append(e.Notes, "the columns that * yields besides the sealed ones, and their order, are the catalog's to tell")
			break
		}
	}
	if p.UnlistedInsert {
		e.Notes = append(e.Notes, "an INSERT without a column list: which value goes to which column is the catalog's to tell, and what stands above is a guess")
	}
	taken := "sealed columns are taken for bytea, and defaults and the search path were not looked at"
	if x.dialect == dialect.SQLite {
		taken = "sealed columns are taken for BLOB, and defaults were not looked at"
	}
	e.Notes = append(e.Notes, "without a database: "+taken)
	return nil
}
