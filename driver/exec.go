package driver

import (
	"context"
	sqldriver "database/sql/driver"

	"github.com/colseal/colseal/internal/sqlplan"
)

// call is a statement ready for the inner driver.
type call struct {
	plan  *sqlplan.Plan
	query string
	args  []sqldriver.NamedValue
	made  []sqldriver.NamedValue // what of args is to be given back
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	if !c.canExec() {
		return nil, sqldriver.ErrSkip
	}
	cl, err := c.analyse(ctx, query, args, false)
	if err != nil {
		return nil, c.st.refusal(ctx, err)
	}
	res, err := innerExec(ctx, c.inner, cl.query, cl.args)
	c.giveArgs(cl.made)
	if err != sqldriver.ErrSkip {
		c.after(cl.plan, err)
	}
	return res, err
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if !c.canQuery() {
		return nil, sqldriver.ErrSkip
	}
	cl, err := c.analyse(ctx, query, args, true)
	if err != nil {
		return nil, c.st.refusal(ctx, err)
	}
	inner, err := innerQuery(ctx, c.inner, cl.query, cl.args)
	c.giveArgs(cl.made)
	if err != sqldriver.ErrSkip {
		c.after(cl.plan, err)
	}
	if err != nil {
		return nil, err
	}
	return c.openRows(ctx, inner, cl.plan, query)
}

// analyse plans a text, and seals its literals and arguments. isQuery says that rows are
// asked for.
func (c *conn) analyse(ctx context.Context, query string, args []sqldriver.NamedValue, isQuery bool) (call, error) {
	var opts []sqldriver.NamedValue
	rest := args
	if c.pg != nil && len(args) > 0 {
		var err error
		if query, opts, rest, err = c.pg.options(ctx, query, args, isQuery); err != nil {
			return call{}, err
		}
	}
	if c.pg == nil {
		// It may be below a driver that wraps pgx's.
		if err := refuseRewriter(rest, "a driver that is not pgx's own"); err != nil {
			return call{}, err
		}
	}
	for try := 1; ; try++ {
		cl, err := c.sealed(ctx, query, opts, rest, args, isQuery)
		if !keysChanged(err, try) {
			return cl, err
		}
	}
}

// sealed is analyse without what pgx adds.
func (c *conn) sealed(ctx context.Context, query string, opts, rest, args []sqldriver.NamedValue, isQuery bool) (call, error) {
	p, err := c.plan(ctx, query)
	if err != nil {
		return call{}, err
	}
	if !p.Sealed {
		rest, err = c.check.each(rest)
		return call{plan: p, query: query, args: prepend(opts, rest, args)}, err
	}
	if isQuery && p.Statements > 1 {
		return call{}, severalStatements("queried")
	}
	s := c.newSealer(ctx)
	text, rest, err := s.statement(p, rest, &c.check)
	s.done()
	if err != nil {
		return call{}, err
	}
	if c.pg != nil && len(rest) > 0 && text.oneOff {
		opts = c.pg.uncached(opts)
	}
	return call{plan: p, query: text.sql, args: prepend(opts, rest, nil), made: rest}, nil
}

// prepend returns opts and rest as one list with the ordinals of its places. When they
// are what original holds already, it is original itself.
func prepend(opts, rest, original []sqldriver.NamedValue) []sqldriver.NamedValue {
	if len(opts) == 0 {
		return rest
	}
	if len(original) == len(opts)+len(rest) && len(rest) > 0 && &original[len(opts)] == &rest[0] {
		return original
	}
	out := make([]sqldriver.NamedValue, 0, len(opts)+len(rest))
	out = append(append(out, opts...), rest...)
	for i := range out {
		out[i].Ordinal = i + 1
	}
	return out
}

func severalStatements(what string) error {
	return &QueryError{
		Class:  sqlplan.ClassSeveral,
		Reason: "several statements in one text that touches a sealed table can only be executed, not " + what,
		Hint:   "send them one by one",
	}
}

// canExec and canQuery are false where database/sql prepares a statement instead.
func (c *conn) canExec() bool {
	if _, ok := c.inner.(sqldriver.ExecerContext); ok {
		return true
	}
	_, ok := c.inner.(sqldriver.Execer) //nolint:staticcheck // for drivers that have nothing newer
	return ok
}

func (c *conn) canQuery() bool {
	if _, ok := c.inner.(sqldriver.QueryerContext); ok {
		return true
	}
	_, ok := c.inner.(sqldriver.Queryer) //nolint:staticcheck // for drivers that have nothing newer
	return ok
}

// innerExec and innerQuery call the newest interface that the inner connection has, as
// database/sql does (ctxutil.go), and answer driver.ErrSkip if it has none.

func innerExec(ctx context.Context, inner sqldriver.Conn, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	if e, ok := inner.(sqldriver.ExecerContext); ok {
		return e.ExecContext(ctx, query, args)
	}
	e, ok := inner.(sqldriver.Execer) //nolint:staticcheck // for drivers that have nothing newer
	if !ok {
		return nil, sqldriver.ErrSkip
	}
	vals, err := legacyValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return e.Exec(query, vals)
}

func innerQuery(ctx context.Context, inner sqldriver.Conn, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if q, ok := inner.(sqldriver.QueryerContext); ok {
		return q.QueryContext(ctx, query, args)
	}
	q, ok := inner.(sqldriver.Queryer) //nolint:staticcheck // for drivers that have nothing newer
	if !ok {
		return nil, sqldriver.ErrSkip
	}
	vals, err := legacyValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return q.Query(query, vals)
}

func innerPrepare(ctx context.Context, inner sqldriver.Conn, query string) (sqldriver.Stmt, error) {
	if p, ok := inner.(sqldriver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	s, err := inner.Prepare(query)
	if err == nil && ctx.Err() != nil {
		_ = s.Close() // the context's error is what the caller has to see
		return nil, ctx.Err()
	}
	return s, err
}

func innerStmtExec(ctx context.Context, inner sqldriver.Stmt, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	if e, ok := inner.(sqldriver.StmtExecContext); ok {
		return e.ExecContext(ctx, args)
	}
	vals, err := legacyValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return inner.Exec(vals) //nolint:staticcheck // for drivers that have nothing newer
}

func innerStmtQuery(ctx context.Context, inner sqldriver.Stmt, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if q, ok := inner.(sqldriver.StmtQueryContext); ok {
		return q.QueryContext(ctx, args)
	}
	vals, err := legacyValues(ctx, args)
	if err != nil {
		return nil, err
	}
	return inner.Query(vals) //nolint:staticcheck // for drivers that have nothing newer
}

// legacyValues prepares a call of an interface that takes neither names nor a context,
// which is looked at before the call instead, as database/sql does.
func legacyValues(ctx context.Context, args []sqldriver.NamedValue) ([]sqldriver.Value, error) {
	vals, err := values(args)
	if err != nil {
		return nil, err
	}
	return vals, ctx.Err()
}
