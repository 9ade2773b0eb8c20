package driver

import (
	"context"
	sqldriver "database/sql/driver"

	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sqlplan"
)

// Prepare implements driver.Conn.
func (c *conn) Prepare(query string) (sqldriver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements driver.ConnPrepareContext. Literals for sealed columns become
// parameters of the prepared statement. So each execution seals them under the keys of that moment
// and in the scope of its context.
func (c *conn) PrepareContext(ctx context.Context, query string) (sqldriver.Stmt, error) {
	s := &stmt{c: c, query: query}
	at := c.session.Moment()
	p, err := c.session.Plan(ctx, query)
	if err == nil {
		err = s.prepare(ctx, p, at)
	}
	if err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	return s, nil
}

// stmt wraps a prepared statement and keeps its plan. It prepares again when the plan is no longer
// right: a table, the search path, or the number of live search keys changed. What an EXECUTE names
// may be another statement each time.
type stmt struct {
	c     *conn
	query string
	text  string // that under was prepared from
	under contextStmt
	plan  *sqlplan.Plan
	check argChecker
	at    front.Moment
}

var (
	_ sqldriver.StmtExecContext   = (*stmt)(nil)
	_ sqldriver.StmtQueryContext  = (*stmt)(nil)
	_ sqldriver.NamedValueChecker = (*stmt)(nil)
)

// prepare prepares the underlying statement by plan p.
func (s *stmt) prepare(ctx context.Context, p *sqlplan.Plan, at front.Moment) error {
	text := p.Text(s.query)
	if p.Sealed {
		if p.Statements > 1 {
			return severalStatements("prepared")
		}
		var err error
		if text, err = s.c.session.Parametrized(p); err != nil {
			return err
		}
	}
	under, err := prepare(ctx, s.c.under, text)
	if err != nil {
		s.c.session.NoteError(err)
		return err
	}
	s.under, s.check = under, s.c.under.checker(under)
	s.plan, s.at, s.text = p, at, text
	return nil
}

// renew makes sure that the plan still holds.
func (s *stmt) renew(ctx context.Context) error {
	at := s.c.session.Moment()
	if !s.plan.Search && s.plan.Effects&sqlplan.Executes == 0 && s.at == at {
		return nil
	}
	p, err := s.c.session.Plan(ctx, s.query)
	if err != nil {
		return err
	}
	if p == s.plan || (!p.Sealed && !s.plan.Sealed && p.Text(s.query) == s.plan.Text(s.query)) {
		s.plan, s.at = p, at
		return nil
	}
	old := s.under
	if err := s.prepare(ctx, p, at); err != nil {
		return err
	}
	_ = old.Close() // what it was prepared for is gone; the new one is what counts
	return nil
}

// Close implements driver.Stmt.
func (s *stmt) Close() error { return s.under.Close() }

// NumInput implements driver.Stmt.
func (s *stmt) NumInput() int {
	n := s.under.NumInput()
	if n < 0 || !s.plan.Sealed {
		return n
	}
	if s.plan.NamedInput {
		return -1
	}
	return s.plan.NumInput
}

// CheckNamedValue implements driver.NamedValueChecker by that of the underlying statement, else of
// the underlying connection. For a plan that seals it accepts every value as it is.
func (s *stmt) CheckNamedValue(nv *sqldriver.NamedValue) error {
	switch {
	case s.plan.Sealed || s.check.all:
		return nil
	case s.check.nvc != nil:
		return s.check.nvc.CheckNamedValue(nv)
	}
	return sqldriver.ErrSkip
}

// Exec implements driver.Stmt.
func (s *stmt) Exec(args []sqldriver.Value) (sqldriver.Result, error) {
	return s.ExecContext(context.Background(), ownArgs(args))
}

// Query implements driver.Stmt.
func (s *stmt) Query(args []sqldriver.Value) (sqldriver.Rows, error) {
	return s.QueryContext(context.Background(), ownArgs(args))
}

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []sqldriver.NamedValue) (res sqldriver.Result, err error) {
	args, made, err := s.arguments(ctx, args)
	if err != nil {
		return nil, s.c.db().Refused(ctx, err)
	}
	defer func() { s.c.session.Executed(s.plan, err) }() // also if code of the program's panics
	res, err = s.under.ExecContext(ctx, args)
	s.release(made)
	return res, err
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	args, made, err := s.arguments(ctx, args)
	if err != nil {
		return nil, s.c.db().Refused(ctx, err)
	}
	rows, err := s.c.query(ctx, s.under, s.plan, s.text, args)
	s.release(made)
	if err != nil {
		return nil, err
	}
	return s.c.openRows(ctx, rows, s.plan, s.query)
}

func (s *stmt) release(made scratch) {
	if s.plan.Sealed {
		s.c.release(made)
	}
}

// arguments returns what to send for the caller's arguments, and what of it is to be released.
func (s *stmt) arguments(ctx context.Context, args []sqldriver.NamedValue) ([]sqldriver.NamedValue, scratch, error) {
	converted := !s.plan.Sealed // by database/sql, when it called CheckNamedValue
	// Of a statement that touches nothing sealed, too: a rewriter may make another one of it.
	if err := refuseRewriter(args, "a prepared statement"); err != nil {
		return nil, scratch{}, err
	}
	for try := 1; ; try++ {
		if err := s.renew(ctx); err != nil {
			return nil, scratch{}, err
		}
		if !s.plan.Sealed {
			if !converted {
				var err error
				args, err = s.check.each(args)
				return args, scratch{}, err
			}
			return args, scratch{}, nil
		}
		_, made, err := s.c.seal(ctx, s.plan, args, &s.check, front.LiteralsAsParams)
		if !front.KeysChanged(err, try) {
			return made.args, made, err
		}
	}
}
