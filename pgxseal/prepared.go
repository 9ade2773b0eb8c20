package pgxseal

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sqlplan"
)

// prepared is a statement that the program prepared under a name, and that touches a sealed table
// or whose text depends on what names mean. It keeps its plan. When the plan is no longer right,
// the statement is prepared again.
type prepared struct {
	name, query string
	text        string // that was prepared
	plan        *sqlplan.Plan
	at          front.Moment
	description *pgconn.StatementDescription // as the program sees it
}

// named returns the statement that was prepared under a name; nil if there is none, or if the name
// was given to another one past this package.
func (c *conn) named(name string) *prepared {
	st := c.prepared[name]
	if st == nil {
		return nil
	}
	if sd := c.sent(st); sd != nil && sd.SQL != st.text {
		delete(c.prepared, name)
		return nil
	}
	return st
}

// sent returns the statement that pgx has in the place of st; nil if it was released.
func (c *conn) sent(st *prepared) *pgconn.StatementDescription {
	return preparedOn(c.raw)[c.sentName(st, st.text)]
}

// prepare prepares a statement. Literals for sealed columns become parameters, so that they are
// sealed at each execution.
func (c *conn) prepare(ctx context.Context, name, query string) (*pgconn.StatementDescription, error) {
	st := c.named(name)
	if st != nil && st.query == query {
		if err := c.renew(ctx, st); err != nil {
			return nil, c.db().Refused(ctx, err)
		}
		return st.description, nil
	}
	at := c.session.Moment()
	p, err := c.session.Plan(ctx, query)
	if err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	if !p.Sealed && p.Text(query) == query {
		sd, err := c.raw.Prepare(ctx, name, query)
		c.session.NoteError(err)
		if err == nil {
			delete(c.prepared, name) // SQL had released that one
		}
		return sd, err
	}
	st = &prepared{name: name, query: query}
	if err := c.prepareBy(ctx, st, p, at); err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	if name != "" {
		if c.prepared == nil {
			c.prepared = map[string]*prepared{}
		}
		c.prepared[name] = st
	}
	return st.description, nil
}

// prepareBy prepares a statement by plan p.
func (c *conn) prepareBy(ctx context.Context, st *prepared, p *sqlplan.Plan, at front.Moment) error {
	text := p.Text(st.query)
	if p.Sealed {
		if p.Statements > 1 {
			return severalStatements("prepared")
		}
		var err error
		if text, err = c.session.Parametrized(p); err != nil {
			return err
		}
	}
	raw, err := c.raw.Prepare(ctx, c.sentName(st, text), text)
	if err != nil {
		c.session.NoteError(err)
		return err
	}
	st.text, st.plan, st.at = text, p, at
	st.description, err = c.describe(ctx, st, raw)
	return err
}

// sentName returns the name that pgx gets. For a statement that is named by its own text pgx makes
// up a name.
func (c *conn) sentName(st *prepared, text string) string {
	if st.name == st.query {
		return text
	}
	return st.name
}

// describe returns a statement's description as that of the plain columns.
func (c *conn) describe(ctx context.Context, st *prepared, raw *pgconn.StatementDescription) (*pgconn.StatementDescription, error) {
	p := st.plan
	sd := &pgconn.StatementDescription{Name: raw.Name, SQL: st.query, ParamOIDs: raw.ParamOIDs, Fields: raw.Fields}
	if !p.Sealed {
		return sd, nil
	}
	sd.ParamOIDs = make([]uint32, p.NumInput)
	for i := range p.Params {
		param := &p.Params[i]
		if at := int(param.From) - 1; at >= 0 && at < len(sd.ParamOIDs) && (param.Use != nil || sd.ParamOIDs[at] == 0) {
			sd.ParamOIDs[at] = parameterOID(param, raw.ParamOIDs[i])
		}
	}
	if p.ResultsSealed() {
		labels := labelsOf(raw.Fields)
		if !p.Describes(labels, driver.DialectPostgres) {
			fresh, err := c.session.PlanResult(ctx, st.query, p, labels)
			if err != nil {
				return nil, err
			}
			p = fresh
		}
		sd.Fields = slices.Clone(raw.Fields)
		for i := range sd.Fields {
			if res := p.Result(i, len(sd.Fields)); len(res.Columns) > 0 {
				relabel(&sd.Fields[i], typeOf(res.Columns[0].Kind, res.Array))
			}
		}
	}
	return sd, nil
}

// parameterOID returns the type of a parameter of the plain statement.
func parameterOID(param *sqlplan.Param, sent uint32) uint32 {
	if param.Use == nil {
		return sent
	}
	return typeOf(param.Use.Kind(), param.Use.Array)
}

// renew makes sure that a statement's plan still holds.
func (c *conn) renew(ctx context.Context, st *prepared) error {
	at, lost := c.session.Moment(), c.sent(st) == nil
	if !lost && !st.plan.Search && st.at == at {
		return nil
	}
	p, err := c.session.Plan(ctx, st.query)
	if err != nil {
		return err
	}
	if lost {
		return c.prepareBy(ctx, st, p, at)
	}
	if p == st.plan || (!p.Sealed && !st.plan.Sealed && p.Text(st.query) == st.text) {
		st.plan, st.at = p, at
		return nil
	}
	if err := c.raw.Deallocate(ctx, c.sentName(st, st.text)); err != nil {
		return err
	}
	return c.prepareBy(ctx, st, p, at)
}

// callPrepared makes a call of a statement that was prepared under a name.
func (c *conn) callPrepared(ctx context.Context, cl *call, st *prepared, opts *options, args []any) error {
	for try := 1; ; try++ {
		if err := c.renew(ctx, st); err != nil {
			return err
		}
		cl.plan, cl.query, cl.text, cl.formats = st.plan, st.query, c.sentName(st, st.text), opts.formats
		if !st.plan.Sealed {
			cl.args = guarded(slices.Concat(opts.list, args), len(opts.list))
			return nil
		}
		if _, err := c.seal(ctx, cl, opts, args, front.LiteralsAsParams); !front.KeysChanged(err, try) {
			return err
		}
	}
}

// deallocate releases a prepared statement.
func (c *conn) deallocate(ctx context.Context, name string) error {
	st := c.prepared[name]
	if st == nil {
		return c.raw.Deallocate(ctx, name)
	}
	err := c.raw.Deallocate(ctx, c.sentName(st, st.text))
	if err == nil {
		delete(c.prepared, name)
	}
	return err
}

// deallocateAll releases all prepared statements.
func (c *conn) deallocateAll(ctx context.Context) error {
	c.prepared = nil
	return c.raw.DeallocateAll(ctx)
}

// checkName refuses a text that is the name of a statement which touches a sealed table and was
// prepared past this package.
func (c *conn) checkName(ctx context.Context, text string) error {
	sd := preparedOn(c.raw)[text]
	if sd == nil || sd.SQL == text {
		return nil
	}
	if st := c.prepared[text]; st != nil {
		return nil
	}
	p, err := c.session.Plan(ctx, sd.SQL)
	if err != nil || p.Sealed {
		return &driver.QueryError{
			Class:  colseal.ClassUnsupported,
			Reason: "a prepared statement of a sealed table that was not prepared through Colseal",
			Hint:   "prepare it with the Prepare method of pgxseal's Conn or Tx, or execute its text: pgx caches prepared statements by text",
		}
	}
	return nil
}
