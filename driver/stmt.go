package driver

import (
	"context"
	sqldriver "database/sql/driver"

	"github.com/colseal/colseal/internal/sqlplan"
)

// Prepare implements driver.Conn.
func (c *conn) Prepare(query string) (sqldriver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements driver.ConnPrepareContext. Literals for sealed columns are
// sealed now, and stand in the prepared statement.
func (c *conn) PrepareContext(ctx context.Context, query string) (sqldriver.Stmt, error) {
	s := &stmt{c: c, query: query}
	for try := 1; ; try++ {
		c.settle()
		at := s.moment()
		p, err := c.plan(ctx, query)
		if err == nil {
			err = s.prepare(ctx, p, at)
		}
		if err == nil {
			break
		}
		if !keysChanged(err, try) {
			return nil, c.st.refusal(ctx, err)
		}
	}
	if s.check.cc != nil {
		return stmtConverter{s}, nil
	}
	return s, nil
}

// stmt wraps a prepared statement. It keeps the plan that it was prepared by, and
// prepares anew when that is no longer the right one: a table or the search path
// changed, or the number of live search keys.
type stmt struct {
	c     *conn
	query string
	inner sqldriver.Stmt
	plan  *sqlplan.Plan
	check argChecker

	at       moment
	literals literalKeys
}

// moment is the generation of the catalog facts, and of the session, for which a plan is
// right. It is taken before the plan is made: what changes while it is being made, or
// while the server prepares the text, makes the plan an old one.
type moment struct{ facts, session uint64 }

func (s *stmt) moment() moment { return moment{s.c.st.facts.generation(), s.c.session.gen} }

// stmtConverter adds ColumnConverter, for an inner statement that has it.
type stmtConverter struct{ *stmt }

// ColumnConverter implements driver.ColumnConverter.
func (s stmtConverter) ColumnConverter(i int) sqldriver.ValueConverter {
	return s.check.cc.ColumnConverter(i)
}

var (
	_ sqldriver.StmtExecContext   = (*stmt)(nil)
	_ sqldriver.StmtQueryContext  = (*stmt)(nil)
	_ sqldriver.NamedValueChecker = (*stmt)(nil)
	_ sqldriver.ColumnConverter   = stmtConverter{} //nolint:staticcheck // for drivers that have nothing newer
)

// prepare prepares the inner statement by plan p.
func (s *stmt) prepare(ctx context.Context, p *sqlplan.Plan, at moment) error {
	text := s.query
	var literals literalKeys
	if p.Sealed {
		if p.Statements > 1 {
			return severalStatements("prepared")
		}
		sl := sealer{ctx: ctx, c: s.c}
		sealed, err := sl.literals(p)
		if err != nil {
			return err
		}
		text = sealed.sql
		literals = sl.literalKeys(p)
	}
	inner, err := innerPrepare(ctx, s.c.inner, text)
	if err != nil {
		s.c.after(&sqlplan.Plan{}, err)
		return err
	}
	s.inner, s.check = inner, s.c.check
	if !s.check.all {
		if nvc, ok := inner.(sqldriver.NamedValueChecker); ok {
			s.check.nvc = nvc
		}
		s.check.cc, _ = inner.(sqldriver.ColumnConverter) //nolint:staticcheck // for drivers that have nothing newer
		s.check.want = inner.NumInput()
	}
	s.plan, s.at, s.literals = p, at, literals
	return nil
}

// renew makes sure that the plan still holds.
func (s *stmt) renew(ctx context.Context) error {
	s.c.settle()
	at := s.moment()
	current, err := s.literals.current(ctx, s.c)
	if err != nil {
		return err
	}
	if current && !s.plan.Search && s.at == at {
		return nil
	}
	p, err := s.c.plan(ctx, s.query)
	if err != nil {
		return err
	}
	if current && (p == s.plan || (!p.Sealed && !s.plan.Sealed)) {
		s.plan, s.at = p, at
		return nil
	}
	old := s.inner
	if err := s.prepare(ctx, p, at); err != nil {
		return err
	}
	_ = old.Close() // what it was prepared for is gone; the new one is what counts
	return nil
}

// Close implements driver.Stmt.
func (s *stmt) Close() error { return s.inner.Close() }

// NumInput implements driver.Stmt.
func (s *stmt) NumInput() int {
	n := s.inner.NumInput()
	if n < 0 || !s.plan.Sealed {
		return n
	}
	if s.plan.NamedInput {
		return -1
	}
	return s.plan.NumInput
}

// CheckNamedValue implements driver.NamedValueChecker: the inner statement's, else the
// inner connection's, else none. For a plan that seals it takes every value as it is.
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
	return s.ExecContext(context.Background(), named(args))
}

// Query implements driver.Stmt.
func (s *stmt) Query(args []sqldriver.Value) (sqldriver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	args, err := s.arguments(ctx, args)
	if err != nil {
		return nil, s.c.st.refusal(ctx, err)
	}
	res, err := innerStmtExec(ctx, s.inner, args)
	s.giveBack(args)
	s.c.after(s.plan, err)
	return res, err
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	args, err := s.arguments(ctx, args)
	if err != nil {
		return nil, s.c.st.refusal(ctx, err)
	}
	inner, err := innerStmtQuery(ctx, s.inner, args)
	s.giveBack(args)
	s.c.after(s.plan, err)
	if err != nil {
		return nil, err
	}
	return s.c.openRows(ctx, inner, s.plan, s.query)
}

// giveBack gives back what arguments made.
func (s *stmt) giveBack(args []sqldriver.NamedValue) {
	if s.plan.Sealed {
		s.c.giveArgs(args)
	}
}

// arguments returns what to send for the caller's arguments.
func (s *stmt) arguments(ctx context.Context, args []sqldriver.NamedValue) ([]sqldriver.NamedValue, error) {
	converted := !s.plan.Sealed // by database/sql, when it called CheckNamedValue
	// Of a text that touches nothing sealed, too: a rewriter may make another one of it.
	if err := refuseRewriter(args, "a prepared statement"); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		out, err := s.sealed(ctx, args, converted)
		if !keysChanged(err, try) {
			return out, err
		}
	}
}

// sealed is arguments for the keys of this moment.
func (s *stmt) sealed(ctx context.Context, args []sqldriver.NamedValue, converted bool) ([]sqldriver.NamedValue, error) {
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	if s.plan.Sealed {
		sl := s.c.newSealer(ctx)
		defer sl.done()
		return sl.arguments(s.plan, args, &s.check)
	}
	if converted {
		return args, nil
	}
	return s.check.each(args)
}
