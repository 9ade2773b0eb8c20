package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"strconv"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
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
	made []sqldriver.NamedValue // what of args is to be released
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	cl, err := c.prepareCall(ctx, query, args, false)
	if err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	res, err := c.under.ExecContext(ctx, cl.text, cl.args)
	c.release(cl.made)
	if err != sqldriver.ErrSkip {
		c.session.Executed(cl.plan, err)
	}
	return res, err
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	cl, err := c.prepareCall(ctx, query, args, true)
	if err != nil {
		return nil, c.db().Refused(ctx, err)
	}
	rows, err := c.query(ctx, nil, cl.plan, cl.text, cl.args)
	c.release(cl.made)
	if err != sqldriver.ErrSkip {
		c.session.Executed(cl.plan, err)
	}
	if err != nil {
		return nil, err
	}
	return c.openRows(ctx, rows, cl.plan, query)
}

// query has the underlying driver run a query. stmt is its prepared statement, if it has one.
func (c *conn) query(ctx context.Context, stmt contextStmt, p *sqlplan.Plan, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if p.ResultsSealed() {
		return c.under.querySealed(ctx, stmt, text, args)
	}
	return queryBelow(ctx, c.under, stmt, text, args)
}

// prepareCall makes a call of a statement. isQuery says that rows are asked for.
func (c *conn) prepareCall(ctx context.Context, query string, args []sqldriver.NamedValue, isQuery bool) (call, error) {
	var opts []sqldriver.NamedValue
	rest := args
	if len(args) > 0 {
		var err error
		if query, opts, rest, err = c.under.split(ctx, query, args, isQuery); err != nil {
			return call{}, err
		}
	}
	for try := 1; ; try++ {
		p, err := c.session.Plan(ctx, query)
		if err != nil {
			return call{}, err
		}
		c.check.asText = c.under.sendsText(opts)
		if !p.Sealed {
			rest, err = c.check.each(rest)
			return call{plan: p, text: p.Text(query), args: prepend(opts, rest, args)}, err
		}
		if isQuery && p.Statements > 1 {
			return call{}, severalStatements("queried")
		}
		lits := front.LiteralsMixed
		if len(rest) == 0 {
			lits = front.LiteralsInText
		}
		text, sealed, err := c.seal(ctx, p, rest, &c.check, lits)
		if err == nil {
			return call{plan: p, text: text, args: prepend(opts, sealed, nil), made: sealed}, nil
		}
		if !front.KeysChanged(err, try) {
			return call{}, err
		}
	}
}

// seal takes the values of a statement from plan to cells, and returns the text and the arguments to send. It never changes args
// or what its values point to. The text is empty for a statement whose literals are all parameters.
func (c *conn) seal(ctx context.Context, p *sqlplan.Plan, args []sqldriver.NamedValue, check *argChecker, lits front.Literals) (string, []sqldriver.NamedValue, error) {
	if !p.SealsValues() {
		out, err := c.collect(nil, p, args, check, nil)
		if err != nil {
			c.release(out)
			return "", nil, err
		}
		return p.Chunks[0], out, nil
	}
	places := front.LiteralParams(p, lits)
	v := c.session.Seal(ctx, len(p.Params)+len(p.Literals))
	defer v.Close()
	out, err := c.collect(&v, p, args, check, places)
	if err == nil {
		err = v.SealStatement(p, places)
	}
	if err != nil {
		v.Wipe()
		c.release(out)
		return "", nil, err
	}
	c.bind(&v, p, out)
	c.block = v.Block()
	if len(p.Literals) == 0 {
		return p.Chunks[0], out, nil
	}
	return c.bindLiterals(&v, p, places, out, lits), out, nil
}

// collect hands the arguments for sealed columns to v, which may be nil if there are none, and returns the list of all arguments to
// send, in which theirs are missing yet. The list is to be released, on error too.
func (c *conn) collect(v *front.Sealing, p *sqlplan.Plan, args []sqldriver.NamedValue, check *argChecker, places []int) ([]sqldriver.NamedValue, error) {
	if len(args) > p.NumInput {
		args = check.withoutOptions(args)
	}
	if !p.NamedInput && len(args) != p.NumInput {
		return nil, fmt.Errorf("colseal: expected %d arguments, got %d", p.NumInput, len(args))
	}
	n := len(p.Params)
	for _, at := range places {
		n = max(n, at)
	}
	out := c.takeArgs(n)
	for i := range out {
		out[i] = sqldriver.NamedValue{Ordinal: i + 1}
	}
	for i := range p.Params {
		param := &p.Params[i]
		arg, err := argument(p, param, args)
		if err != nil {
			return out, err
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
			return out, err
		}
	}
	return out, nil
}

// collectValue reduces an argument to what the codec seals, and hands it to v.
func (c *conn) collectValue(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) error {
	return v.Leave(use, c.collectOne(v, use, arg, asText))
}

func (c *conn) collectOne(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) error {
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

// answer returns the answer to what is asked of an argument.
func (c *conn) answer(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) (any, error) {
	value, err := c.under.value(use.Column.Kind, arg, asText)
	if err != nil {
		return nil, err
	}
	return v.Answer(use, value)
}

// bind puts the cells of the arguments into their places.
func (c *conn) bind(v *front.Sealing, p *sqlplan.Plan, out []sqldriver.NamedValue) {
	for i := range p.Params {
		if use := p.Params[i].Use; use != nil && !use.Answered() {
			out[i].Value = c.cellArgument(v, use)
		}
	}
}

// bindLiterals puts the cells of the literals into their places, and returns the text.
func (c *conn) bindLiterals(v *front.Sealing, p *sqlplan.Plan, places []int, out []sqldriver.NamedValue, lits front.Literals) string {
	bind := func(i int) { out[places[i]-1].Value = c.cellArgument(v, &p.Literals[i].Use) }
	if lits == front.LiteralsAsParams {
		v.BindLiterals(places, bind)
		return ""
	}
	return v.Statement(p, places, bind)
}

// cellArgument is the argument for the next value of v.
func (c *conn) cellArgument(v *front.Sealing, use *sqlplan.Use) any {
	if use.Array {
		cells, ok := v.TakeArray()
		if !ok {
			return nil
		}
		if use.Match.Form != sqlplan.NoMatch {
			return front.QueryArray(cells)
		}
		return c.under.array(use.Storage, cells)
	}
	return front.Stored(use, v.Take())
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

// prepend returns opts and rest as one list with the ordinals of its places. When they are what original holds already, it is
// original itself.
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

// maxScratchArgs bounds the list of arguments that a connection keeps for its next statement, to some 20 KB.
const maxScratchArgs = 512

// takeArgs returns a list of n arguments to send: the connection's own where the underlying driver copies what it is given.
// Whoever uses it takes it away, so that a Valuer that comes back to the same connection finds none and makes its own.
func (c *conn) takeArgs(n int) []sqldriver.NamedValue {
	args := c.args
	if !c.under.copies() || n > cap(args) {
		return make([]sqldriver.NamedValue, n)
	}
	c.args = nil
	return args[:n]
}

// release takes a list of takeArgs back, and the memory of the cells in it, when the underlying driver has returned, or when nothing is sent.
func (c *conn) release(args []sqldriver.NamedValue) {
	block := c.block
	c.block = nil
	if !c.under.copies() {
		return
	}
	if block != nil && !c.under.shows() {
		c.session.Reuse(block)
	}
	clear(args)
	if cap(args) > 0 && cap(args) <= maxScratchArgs {
		c.args = args[:0]
	}
}
