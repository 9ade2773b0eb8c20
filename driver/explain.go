package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"

	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// Explanation says what happens to one SQL text. It holds no value: literals are
// blanked in every text. Its String is for people.
type Explanation struct {
	Query   string      // the text, with comments and the inside of literals blanked
	Refused *QueryError // why it is refused; nil when it works
	Sealed  bool        // a sealed column is read or written; false: forwarded exactly as it is
	Offline bool        // made without the server's catalog: see Notes
	Sent    string      // what the server gets, literals blanked; "" unless Sealed

	Params   []ExplainedParam  // the caller's arguments, in order; none unless Sealed
	Literals []ExplainedUse    // the literals that are sealed in place: ‹sealed 1› and so on in Sent
	Results  []ExplainedResult // the result columns; none unless Sealed

	// Notes are what else to know: what only the server's catalog can tell, and what
	// differs while a search key is changed.
	Notes []string
}

// ExplainedParam is what happens to one argument. One that stands in several roles is
// sent several times: as it is, and sealed for each column.
type ExplainedParam struct {
	Name  string // as the text names it: $1, or :name
	Plain bool   // it is sent as it is
	Uses  []ExplainedUse
}

// ExplainedUse is a sealed column for which a value is sealed.
type ExplainedUse struct {
	Column *schema.Column
	Text   bool // stored as text, not as bytes
	Array  bool // an array, whose elements are sealed one by one
}

// ExplainedResult is what happens to one result column.
type ExplainedResult struct {
	Name    string           // as the server will label it; "" when unknown
	Columns []*schema.Column // sealed columns whose cells are opened here; none: passed on as it is
	Array   bool             // an array of cells
	Unknown bool             // stands for any number of plain columns, which only the catalog knows
}

// errNotOurs is for a *sql.DB of another driver.
var errNotOurs = errors.New("colseal: the database handle is not one of a driver that was registered with this package")

// Explain says what happens to a query on a database that was opened through this
// package. It reads the server's catalog, and neither prepares nor runs the query. A
// refusal is part of the explanation; an error is about the connection.
func Explain(ctx context.Context, db *sql.DB, query string) (*Explanation, error) {
	var e *Explanation
	err := withConn(ctx, db, func(c *conn) (err error) {
		c.settle()
		if !c.session.known {
			if err := c.readSession(ctx); err != nil {
				return err
			}
		}
		x := explainer{query: query, planner: explainPlanner(c.st.cfg), dialect: c.st.cfg.Dialect}
		x.env = sqlplan.Env{Catalog: &c.catalog, SearchPath: c.session.key()}
		x.check = func(p *sqlplan.Plan) error { return c.checkStrings(ctx, p, query) }
		e, err = x.explain(ctx)
		return err
	})
	return e, err
}

// ExplainOffline is [Explain] without a database: what only the catalog can tell is said in
// the notes. Sealed columns are taken to be stored as bytes, and a table's name for the
// one that the schema registers. The error is about the text or the schema being empty.
func ExplainOffline(s *schema.Schema, d dialect.Dialect, query string) (*Explanation, error) {
	x := explainer{query: query, planner: explainPlanner(Config{Schema: s, Dialect: d}), dialect: d, offline: true}
	return x.explain(context.Background())
}

// explainPlanner makes a planner of its own, so that explaining leaves no mark on the counters
// and the cache of the handle.
func explainPlanner(cfg Config) *sqlplan.Planner { return newPlanner(cfg).(*sqlplan.Planner) }

// withConn runs f on one connection of a wrapped database handle.
func withConn(ctx context.Context, db *sql.DB, f func(*conn) error) error {
	sc, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = sc.Close() }() // back to the pool
	return sc.Raw(func(driverConn any) error {
		c, ok := unwrapConn(driverConn)
		if !ok {
			return errNotOurs
		}
		return f(c)
	})
}

// explainer makes one Explanation.
type explainer struct {
	query   string
	planner *sqlplan.Planner
	dialect dialect.Dialect
	env     sqlplan.Env
	offline bool
	check   func(*sqlplan.Plan) error // refuses what the driver refuses besides; nil: nothing
}

func (x *explainer) explain(ctx context.Context) (*Explanation, error) {
	e := &Explanation{Query: x.planner.Blank(x.query), Offline: x.offline}
	p, err := x.plan(ctx, 1)
	if err != nil {
		return e, asRefusal(err, &e.Refused)
	}
	e.Sealed = p.Sealed
	if p.Sealed {
		e.Sent = x.sent(p)
		e.Params = x.params(p)
		for _, l := range p.Literals {
			e.Literals = append(e.Literals, explainUse(&l.Use))
		}
		e.Results = results(p)
	}
	return e, x.note(ctx, e, p)
}

func (x *explainer) plan(ctx context.Context, searchKeys int) (*sqlplan.Plan, error) {
	env := x.env
	env.SearchKeys = searchKeys
	p, err := x.planner.Plan(ctx, x.query, &env)
	if err == nil && x.check != nil {
		err = x.check(p)
	}
	return p, err
}

// asRefusal stores a refusal and returns what is none.
func asRefusal(err error, to **QueryError) error {
	if errors.As(err, to) {
		return nil
	}
	return err
}

// sent is the text that the server gets, with a mark in the place of each sealed literal.
func (x *explainer) sent(p *sqlplan.Plan) string {
	const mark = "'s'" // a literal, so that the text can be cut into tokens
	text, ends := "", make([]int, len(p.Literals))
	for i, chunk := range p.Chunks {
		text += chunk
		if i < len(ends) {
			text += mark
			ends[i] = len(text)
		}
	}
	blank, out, last := x.planner.Blank(text), "", 0
	if blank == "" {
		return ""
	}
	for i, end := range ends {
		out += fmt.Sprintf("%s‹sealed %d›", blank[last:end-len(mark)], i+1)
		last = end
	}
	return out + blank[last:]
}

func (x *explainer) params(p *sqlplan.Plan) []ExplainedParam {
	var out []ExplainedParam
	byName := map[string]int{}
	add := func(name string) int {
		i, ok := byName[name]
		if !ok {
			i = len(out)
			byName[name] = i
			out = append(out, ExplainedParam{Name: name})
		}
		return i
	}
	if !p.NamedInput {
		for i := range p.NumInput {
			add(x.argument(i + 1))
		}
	}
	for _, param := range p.Params {
		name := param.Name
		if param.From > 0 {
			name = x.argument(param.From)
		} else {
			name = ":" + name
		}
		q := &out[add(name)]
		if param.Use == nil {
			q.Plain = true
			continue
		}
		q.Uses = append(q.Uses, explainUse(param.Use))
	}
	return out
}

// argument names a positional argument as the dialect's texts do.
func (x *explainer) argument(n int) string {
	if x.dialect == SQLite {
		return fmt.Sprintf("?%d", n)
	}
	return fmt.Sprintf("$%d", n)
}

func explainUse(u *sqlplan.Use) ExplainedUse {
	return ExplainedUse{Column: u.Column, Text: u.Storage == dbcatalog.StorageText, Array: u.Array}
}

func results(p *sqlplan.Plan) []ExplainedResult {
	var out []ExplainedResult
	for _, r := range p.Head {
		out = append(out, ExplainedResult{Name: r.Name, Columns: r.Columns, Array: r.Array})
	}
	if p.Open {
		out = append(out, ExplainedResult{Unknown: true})
	}
	for _, r := range p.Tail {
		out = append(out, ExplainedResult{Name: r.Name, Columns: r.Columns, Array: r.Array})
	}
	return out
}

// unlistedInsert finds an INSERT without a column list. Nothing but names and white space can stand
// before it: the text's comments and literals are blanked.
var unlistedInsert = regexp.MustCompile(`(?is)\b(insert|replace)\s+into\s+[^\s(]+(\s*\.\s*[^\s(]+)?(\s+as\s+[^\s(]+)?\s*(\(\s*)?(overriding\s|values\b|select\b|with\b|table\s)`)

// note says what the plan does not.
func (x *explainer) note(ctx context.Context, e *Explanation, p *sqlplan.Plan) error {
	if p.Search && !x.offline {
		var refused *QueryError
		_, err := x.plan(ctx, 2)
		if err = asRefusal(err, &refused); err != nil {
			return err
		}
		if refused != nil {
			e.Notes = append(e.Notes, "refused while a change of the search key is under way: "+refused.Reason)
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
	if unlistedInsert.MatchString(e.Query) {
		e.Notes = append(e.Notes, "an INSERT without a column list: which value goes to which column is the catalog's to tell, and what stands above is a guess")
	}
	taken := "sealed columns are taken for bytea, and defaults and the search path were not looked at"
	if x.dialect == SQLite {
		taken = "sealed columns are taken for BLOB, and defaults were not looked at"
	}
	e.Notes = append(e.Notes, "without a database: "+taken)
	return nil
}
