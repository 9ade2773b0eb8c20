package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"slices"
	"strconv"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/pgxvalue"
	"github.com/colseal/colseal/internal/sqlplan"
)

// The way of a statement and its arguments to the server:
//
//	plan     what happens to each argument, literal and result column   front.Session.Plan
//	collect  the values are encoded into the room of their cells         conn.collect
//	keys     one request per column, with the number of its cells        front.Sealing.FindKeys
//	seal     each cell where it stands                                   front.Sealing.Seal
//	send     the underlying driver gets the text and the cells           conn.send, conn.ExecContext, conn.QueryContext
//
// Nothing is sent before all of it is sealed.

// call is a statement ready for the underlying driver.
type call struct {
	plan *sqlplan.Plan
	text string
	args []sqldriver.NamedValue
	made scratch // what of args is to be released
}

// scratch is memory for a statement's arguments. It is used again once the underlying driver has
// copied them. A statement takes it away from the connection, so that a Valuer that comes back to
// the same connection finds none and allocates its own.
type scratch struct {
	args  []sqldriver.NamedValue
	cells pgxvalue.Cells
	block []byte // of the cells
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (res sqldriver.Result, err error) {
	var cl call
	if err := c.prepareCall(ctx, &cl, query, args, false); err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	defer func() { c.executed(cl.plan, err) }() // also if code of the program's panics
	res, err = c.under.ExecContext(ctx, cl.text, cl.args)
	c.release(cl.made)
	return res, err
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	var cl call
	if err := c.prepareCall(ctx, &cl, query, args, true); err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	rows, err := c.query(ctx, nil, cl.plan, cl.text, cl.args)
	c.release(cl.made)
	if err != nil {
		return nil, err
	}
	return c.openRows(ctx, rows, cl.plan, query)
}

// executed records what a statement did, unless the underlying driver did not take it.
func (c *conn) executed(p *sqlplan.Plan, err error) {
	if err != sqldriver.ErrSkip {
		c.session.Executed(p, err)
	}
}

// query has the underlying driver run a query. stmt is its prepared statement, if it has one.
func (c *conn) query(ctx context.Context, stmt contextStmt, p *sqlplan.Plan, text string, args []sqldriver.NamedValue) (_ sqldriver.Rows, err error) {
	defer func() { c.executed(p, err) }() // also if code of the program's panics
	if p.ResultsSealed() {
		return c.under.querySealed(ctx, stmt, text, args)
	}
	return queryBelow(ctx, c.under, stmt, text, args)
}

// prepareCall makes a call of a statement. isQuery says that rows are asked for.
func (c *conn) prepareCall(ctx context.Context, cl *call, query string, args []sqldriver.NamedValue, isQuery bool) error {
	var opts []sqldriver.NamedValue
	rest := args
	if len(args) > 0 && !isPlain(args[0].Value) {
		var err error
		if query, opts, rest, err = c.under.split(ctx, query, args, isQuery); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		p, err := c.session.Plan(ctx, query)
		if err != nil {
			return err
		}
		cl.plan = p
		if !p.Sealed {
			rest, err = c.check.each(rest)
			cl.text, cl.args = p.Text(query), prepend(opts, rest, args)
			return err
		}
		if isQuery && p.Statements > 1 {
			return severalStatements("queried")
		}
		c.check.asText = c.under.sendsText(opts)
		lits := front.LiteralsMixed
		if len(rest) == 0 {
			lits = front.LiteralsInText
		}
		if cl.text, cl.made, err = c.seal(ctx, p, rest, &c.check, lits); err == nil {
			cl.args = prepend(opts, cl.made.args, nil)
			return nil
		}
		if !front.KeysChanged(err, try) {
			return err
		}
	}
}

// seal seals the values of a statement and returns the text and the arguments to send. It never
// changes args or what its values point to. The text is empty for a statement whose literals are
// all parameters.
func (c *conn) seal(ctx context.Context, p *sqlplan.Plan, args []sqldriver.NamedValue, check *argChecker, lits front.Literals) (text string, m scratch, err error) {
	m, c.scratch = c.scratch, scratch{}
	if !p.SealsValues() {
		if err := c.collect(nil, p, args, check, nil, &m); err != nil {
			c.release(m)
			return "", m, err
		}
		return p.Chunks[0], m, nil
	}
	places := front.LiteralParams(p, lits)
	v := c.session.Seal(ctx, len(p.Params)+len(p.Literals))
	defer v.Close()
	err = c.collect(v, p, args, check, places, &m)
	if err == nil {
		err = v.SealStatement(p, places)
	}
	if err != nil {
		v.Wipe()
		c.release(m)
		return "", m, err
	}
	if m.cells = m.cells[:0]; cap(m.cells) < len(m.args) && c.reuses() {
		m.cells = make(pgxvalue.Cells, 0, len(m.args))
	}
	text = c.bind(v, p, places, &m, lits)
	m.block = v.Block()
	return text, m, nil
}

// collect hands the arguments for sealed columns to v and lists all arguments to send in m, where
// theirs are still missing. v may be nil if there are none.
func (c *conn) collect(v *front.Sealing, p *sqlplan.Plan, args []sqldriver.NamedValue, check *argChecker, places []int, m *scratch) error {
	if len(args) > p.NumInput {
		args = check.withoutOptions(args)
	}
	if !p.NamedInput && len(args) != p.NumInput {
		return fmt.Errorf("colseal: expected %d arguments, got %d", p.NumInput, len(args))
	}
	n := len(p.Params)
	for _, at := range places {
		n = max(n, at)
	}
	if n > cap(m.args) {
		m.args = make([]sqldriver.NamedValue, n)
	}
	m.args = m.args[:n]
	out := m.args
	for i := range out {
		out[i].Ordinal = i + 1 // release has cleared the rest
	}
	args, err := settled(p, args)
	if err != nil {
		return err
	}
	for i := range p.Params {
		param := &p.Params[i]
		arg, err := argument(p, param, args)
		if err != nil {
			return err
		}
		switch {
		case param.Use == nil:
			out[i].Value = arg.Value
			err = plainArgument(&out[i], arg, check)
		case param.Use.Answered():
			out[i].Value, err = c.answer(v, param.Use, arg.Value, check.asText)
		default:
			err = c.collectValue(v, param.Use, arg.Value, check.asText)
		}
		if err != nil && param.Use != nil {
			err = front.SealError(param.Use.Column, p.Describe(param), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settled returns the arguments of a plan. One that goes to several parameters has one value.
func settled(p *sqlplan.Plan, args []sqldriver.NamedValue) ([]sqldriver.NamedValue, error) {
	own := false
	for _, i := range p.Shared {
		arg, err := argument(p, &p.Params[i], args)
		if err != nil {
			return nil, err
		}
		if _, ok := arg.Value.(sqldriver.Valuer); !ok {
			continue
		}
		if !own {
			args, own = slices.Clone(args), true
			arg, _ = argument(p, &p.Params[i], args) // it is there
		}
		arg.Value = pgxvalue.Settled(arg.Value)
	}
	return args, nil
}

// collectValue reduces an argument to what the codec seals, and hands it to v.
func (c *conn) collectValue(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) error {
	return v.Leave(use, c.collectOne(v, use, arg, asText))
}

func (c *conn) collectOne(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) error {
	if use.Beside != nil {
		if err := c.beside(v, use, arg, asText); err != nil {
			return err
		}
	}
	if _, ok := arg.(string); ok && !use.Array {
		return v.Collect(use, arg) // every driver sends it as it is
	}
	if use.Array {
		elems, err := c.under.elements(use.Kind(), arg, asText)
		if err != nil {
			return err
		}
		return v.CollectArray(use, elems)
	}
	value, err := c.under.value(use.Kind(), arg, asText)
	if err != nil {
		return err
	}
	return v.Collect(use, value)
}

// beside returns an error unless an argument is the same value for the kind that a column had.
func (c *conn) beside(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) error {
	return v.Beside(use, func(kind codec.Kind) ([]any, error) {
		if use.Array {
			return c.under.elements(kind, arg, asText)
		}
		value, err := c.under.value(kind, arg, asText)
		return []any{value}, err
	})
}

// answer returns the answer to what is asked of an argument.
func (c *conn) answer(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) (any, error) {
	value, err := c.under.value(use.Column.Kind, arg, asText)
	if err != nil {
		return nil, err
	}
	return v.Answer(use, value)
}

// bind puts the cells of the arguments and the literals into their places, and returns the text.
func (c *conn) bind(v *front.Sealing, p *sqlplan.Plan, places []int, m *scratch, lits front.Literals) string {
	for i := range p.Params {
		if use := p.Params[i].Use; use != nil && !use.Answered() {
			m.args[i].Value = c.cellArgument(v, use, m)
		}
	}
	bind := func(i int) { m.args[places[i]-1].Value = c.cellArgument(v, &p.Literals[i].Use, m) }
	switch {
	case len(p.Literals) == 0:
		return p.Chunks[0]
	case lits == front.LiteralsAsParams:
		v.BindLiterals(places, bind)
		return ""
	}
	return v.Statement(p, places, bind)
}

// cellArgument returns the argument for the next value of v.
func (c *conn) cellArgument(v *front.Sealing, use *sqlplan.Use, m *scratch) any {
	if use.Array {
		cells, ok := v.TakeArray()
		if !ok {
			return nil
		}
		if use.Query() {
			return front.QueryArray(cells)
		}
		return c.under.array(use.Storage, cells)
	}
	cell := v.Take()
	if cell == nil || use.Query() || use.Storage == dbcatalog.StorageText {
		return front.Stored(use, cell)
	}
	return m.cells.Argument(cell)
}

// plainArgument converts an argument that is not sealed.
func plainArgument(out *sqldriver.NamedValue, arg *sqldriver.NamedValue, check *argChecker) error {
	err := check.one(out)
	if err == sqldriver.ErrRemoveArgument {
		return fmt.Errorf("colseal: the driver takes argument %s for an option, but the statement has it as a parameter", describe(arg))
	}
	return err
}

// argument finds the caller's argument for a parameter.
func argument(p *sqlplan.Plan, param *sqlplan.Param, args []sqldriver.NamedValue) (*sqldriver.NamedValue, error) {
	name := p.NameOf(param)
	if name == "" {
		if param.From < 1 || int(param.From) > len(args) {
			return nil, fmt.Errorf("colseal: there is no argument for parameter %d", param.From)
		}
		return &args[param.From-1], nil
	}
	for i := range args {
		if args[i].Name == name {
			return &args[i], nil
		}
	}
	return nil, hint.With(fmt.Errorf("colseal: there is no argument named %s", strconv.Quote(name)), "give it with sql.Named")
}

// prepend returns opts and rest as one list, numbered by its places. If original already holds just
// that, prepend returns original.
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
		Class:  colseal.ClassSeveral,
		Reason: "several statements in one text that touches a sealed table can only be executed, not " + what,
		Hint:   "send them one by one",
	}
}

// maxScratchArgs bounds the arguments that a connection keeps room for, to some 20 KB.
const maxScratchArgs = 512

// reuses reports whether the memory of arguments can be used again: when the underlying driver
// returns it has copied them, and shows them to nobody.
func (c *conn) reuses() bool { return c.under.copies() && !c.under.shows() }

// release returns the memory of a statement's arguments to the connection. It is called when the
// underlying driver has returned, or when nothing is sent.
func (c *conn) release(m scratch) {
	if !c.under.copies() {
		return
	}
	clear(m.args)
	if !c.reuses() {
		m.cells, m.block = nil, nil
	}
	clear(m.cells)
	c.session.Reuse(m.block)
	if cap(m.args) > 0 && cap(m.args) <= maxScratchArgs {
		c.scratch = scratch{args: m.args[:0], cells: m.cells[:0]}
	}
}
