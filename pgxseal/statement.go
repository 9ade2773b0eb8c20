package pgxseal

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/pgxvalue"
	"github.com/colseal/colseal/internal/sqlplan"
)

// conn is the state of one connection of pgx. Like that connection it is used by one goroutine at a
// time.
//
// The way of a statement and its arguments to the server is the one of package driver: plan,
// collect, keys, seal, send.
type conn struct {
	raw     *pgx.Conn
	session *front.Session
	mode    pgx.QueryExecMode // the connection's default
	traced  bool              // by a tracer of the program's, which may keep arguments

	prepared map[string]*prepared // by name

	scratch scratch                  // for the next statement
	shapes  map[*sqlplan.Plan]*shape // of results that were met before
	spare   *rows                    // for the next result; nil while it is in use

	rowsSlab   slab[rows]
	rowSlab    slab[row]
	pooledSlab slab[poolRows]
	copies     *copySource // of the next COPY; nil while it is in use
}

func newConn(db *front.DB, raw *pgx.Conn) *conn {
	cfg := raw.Config()
	pgxvalue.RegisterCell(raw.TypeMap())
	return &conn{raw: raw, session: db.NewSession(link{raw}), mode: cfg.DefaultQueryExecMode, traced: cfg.Tracer != nil, shapes: map[*sqlplan.Plan]*shape{}}
}

// scratch is memory for a statement's arguments, which pgx copies. A statement takes it away from
// the connection, so that a value's method that comes back to the same connection finds none and
// allocates its own.
type scratch struct {
	args  []any
	cells pgxvalue.Cells
	block []byte
}

// maxScratchArgs bounds the arguments that a connection keeps room for, to some 20 KB.
const maxScratchArgs = 512

// release takes the memory of a call back, once pgx has sent it.
func (c *conn) release(cl *call) {
	m := cl.scratch
	if c.traced || cap(m.args) == 0 || cap(m.args) > maxScratchArgs {
		return
	}
	clear(m.args)
	clear(m.cells)
	c.session.Reuse(m.block)
	c.scratch = scratch{args: m.args[:0], cells: m.cells[:0]}
}

func (c *conn) db() *front.DB { return c.session.DB() }

// call is a statement ready for pgx.
type call struct {
	plan    *sqlplan.Plan
	query   string // what was planned
	text    string // what is sent, or the name of a prepared statement
	args    []any  // options first
	formats formats
	scratch scratch // what of args is to be released
}

// options are what stands before the arguments of a statement.
type options struct {
	list      []any // without query rewriters
	rewritten bool  // there were some
	formats   formats
}

func (c *conn) exec(ctx context.Context, query string, args []any) (tag pgconn.CommandTag, err error) {
	var cl call
	if err := c.prepareCall(ctx, &cl, query, args, executed); err != nil {
		return tag, c.db().Refused(ctx, err)
	}
	defer func() { c.session.Executed(cl.plan, err) }() // also if a tracer of the program's panics
	tag, err = c.raw.Exec(ctx, cl.text, cl.args...)
	c.release(&cl)
	return tag, err
}

func (c *conn) query(ctx context.Context, query string, args []any) (raw pgx.Rows, err error) {
	var cl call
	if err := c.prepareCall(ctx, &cl, query, args, queried); err != nil {
		err = c.db().Refused(ctx, err)
		return errRows{err}, err
	}
	open := false
	defer func() {
		if !open { // also if a tracer of the program's panics
			c.session.Executed(cl.plan, err)
		}
	}()
	raw, err = c.raw.Query(ctx, cl.text, cl.args...)
	c.release(&cl)
	if err != nil {
		return raw, err
	}
	open = true
	return c.openRows(ctx, raw, &cl), nil
}

// prepareCall makes a call of a statement.
func (c *conn) prepareCall(ctx context.Context, cl *call, query string, args []any, w way) error {
	opts := options{formats: formats{text: isTextMode(c.mode)}}
	rest := args
	if len(args) > 0 && !isPlain(args[0]) {
		var err error
		if query, rest, err = c.split(ctx, query, args, &opts, w == queried); err != nil {
			return err
		}
	}
	return c.callOf(ctx, cl, query, args, &opts, rest, w)
}

// way is how a statement is sent.
type way string

const (
	executed way = "executed"
	queried  way = "queried"
	queued   way = "queued in a batch"
)

// callOf makes a call of a statement whose options were split off its arguments. given are both.
func (c *conn) callOf(ctx context.Context, cl *call, query string, given []any, opts *options, rest []any, w way) error {
	if st := c.named(query); st != nil {
		opts.formats.text = false // whatever mode is asked for
		return c.callPrepared(ctx, cl, st, opts, rest)
	}
	for try := 1; ; try++ {
		p, err := c.session.Plan(ctx, query)
		if err != nil {
			return err
		}
		cl.plan, cl.query = p, query
		if !p.Sealed {
			if err := c.checkName(ctx, query); err != nil {
				return err
			}
			cl.text, cl.args = p.Text(query), opts.given(given, rest)
			return nil
		}
		if w != executed && p.Statements > 1 {
			return severalStatements(string(w))
		}
		cl.formats = opts.formats
		if p.SendsGiven() && len(rest) == p.NumInput {
			cl.text, cl.args = p.Chunks[0], opts.given(given, rest)
			return nil
		}
		// pgx executes a statement without arguments by the simple protocol, which caches no text.
		lits := front.LiteralsMixed
		if w == executed && len(rest) == 0 {
			lits = front.LiteralsInText
		}
		if cl.text, err = c.seal(ctx, cl, opts, rest, lits); !front.KeysChanged(err, try) {
			return err
		}
	}
}

// given returns the list of options and arguments that the program passed, if no rewriter changed
// it.
func (o *options) given(list, rest []any) []any {
	if o.rewritten {
		return guarded(slices.Concat(o.list, rest), len(o.list))
	}
	return list
}

// split splits the options off the front of a statement's arguments, as pgx does (Conn.Query and
// Conn.Exec). It applies a query rewriter itself, so that the statement which is analysed is the
// one that is sent. pgx does not get the rewriter.
func (c *conn) split(ctx context.Context, query string, args []any, opts *options, isQuery bool) (string, []any, error) {
	var rewriter pgx.QueryRewriter
	n, rewriters := 0, 0
scan:
	for ; n < len(args); n++ {
		switch v := args[n].(type) {
		case pgx.QueryExecMode:
			opts.formats.text = isTextMode(v)
		case pgx.QueryResultFormats:
			if !isQuery {
				break scan
			}
			opts.formats.byIndex = v
		case pgx.QueryResultFormatsByOID:
			if !isQuery {
				break scan
			}
			opts.formats.byOID = v
		case pgx.QueryRewriter:
			rewriter = v
			rewriters++
		default:
			break scan
		}
	}
	opts.list = args[:n:n]
	rest := args[n:]
	if rewriter == nil {
		return query, rest, nil
	}
	opts.rewritten = true
	opts.list = make([]any, 0, n-rewriters)
	for _, o := range args[:n] {
		if isOption(o) {
			opts.list = append(opts.list, o)
		}
	}
	query, rest, err := rewriter.RewriteQuery(ctx, c.raw, query, rest)
	if err != nil {
		return "", nil, fmt.Errorf("rewrite query failed: %w", err)
	}
	return query, rest, nil
}

// isPlain reports whether an argument is of a usual type, and so is no option. Asking for an
// interface takes longer.
func isPlain(arg any) bool {
	switch arg.(type) {
	case int64, string, int, int32, []byte:
		return true
	}
	return false
}

// isTextMode reports whether pgx asks for results as text in a mode.
func isTextMode(m pgx.QueryExecMode) bool {
	return m == pgx.QueryExecModeExec || m == pgx.QueryExecModeSimpleProtocol
}

// isOption reports whether pgx takes a leading argument for an option that is no rewriter.
func isOption(v any) bool {
	switch v.(type) {
	case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		return true
	}
	return false
}

// guarded returns a list of n options and arguments in which pgx takes no argument for an option.
// The caller owns the list.
func guarded(list []any, n int) []any {
	if len(list) == n {
		return list
	}
	if _, rewriter := list[n].(pgx.QueryRewriter); rewriter || isOption(list[n]) {
		return append(list[:n:n], asIs(list[n:]))
	}
	return list
}

// asIs is a rewriter that gives arguments of which the first looks like an option.
type asIs []any

// RewriteQuery implements pgx.QueryRewriter.
func (a asIs) RewriteQuery(_ context.Context, _ *pgx.Conn, query string, _ []any) (string, []any, error) {
	return query, a, nil
}

// seal seals the values of a statement, makes the list of the arguments to send, and returns the
// text. It never changes args or what its values point to. The text is empty for a statement whose
// literals are all parameters.
func (c *conn) seal(ctx context.Context, cl *call, opts *options, args []any, lits front.Literals) (string, error) {
	p := cl.plan
	places := front.LiteralParams(p, lits)
	v := c.session.Seal(ctx, len(p.Params)+len(p.Literals))
	defer v.Close()
	m := c.scratch
	c.scratch = scratch{}
	out, err := c.collect(v, p, opts, args, places, m.args)
	if err == nil {
		err = v.SealStatement(p, places)
	}
	if err != nil {
		v.Wipe()
		return "", err
	}
	sent := out[len(opts.list):]
	if cap(m.cells) < len(sent) && !c.traced {
		m.cells = make(pgxvalue.Cells, 0, len(sent))
	}
	m.cells = m.cells[:0]
	for i := range p.Params {
		if use := p.Params[i].Use; use != nil && !use.Answered() {
			sent[i] = m.argument(v, use)
		}
	}
	text := p.Chunks[0]
	bind := func(i int) { sent[places[i]-1] = m.argument(v, &p.Literals[i].Use) }
	switch {
	case len(p.Literals) == 0:
	case lits == front.LiteralsAsParams:
		v.BindLiterals(places, bind)
		text = ""
	default:
		text = v.Statement(p, places, bind)
	}
	m.args, m.block = out, v.Block()
	cl.args, cl.scratch = guarded(out, len(opts.list)), m
	return text, nil
}

// argument returns the argument for the next value of v.
func (m *scratch) argument(v *front.Sealing, use *sqlplan.Use) any {
	if use.Array {
		cells, ok := v.TakeArray()
		if !ok {
			return nil
		}
		if use.Query() {
			return front.QueryArray(cells)
		}
		return front.ArrayArgument(use.Storage, cells)
	}
	cell := v.Take()
	if cell == nil || use.Query() || use.Storage == dbcatalog.StorageText {
		return front.Stored(use, cell)
	}
	return m.cells.Argument(cell)
}

// collect hands the arguments for sealed columns to v. It returns the list of all options and
// arguments to send, where theirs are still missing. It uses the memory of room if that is enough.
func (c *conn) collect(v *front.Sealing, p *sqlplan.Plan, opts *options, args []any, places []int, room []any) ([]any, error) {
	if p.NamedInput || len(args) != p.NumInput {
		return nil, fmt.Errorf("expected %d arguments, got %d", p.NumInput, len(args))
	}
	n := len(p.Params)
	for _, at := range places {
		n = max(n, at)
	}
	n += len(opts.list)
	if cap(room) < n {
		room = make([]any, 0, n)
	}
	args = settled(p, args)
	out := append(room[:0], opts.list...)[:n]
	sent := out[len(opts.list):]
	for i := range p.Params {
		param := &p.Params[i]
		if param.From < 1 || int(param.From) > len(args) {
			return nil, fmt.Errorf("colseal: there is no argument for parameter %d", param.From)
		}
		arg := args[param.From-1]
		var err error
		switch {
		case param.Use == nil:
			sent[i] = arg
		case param.Use.Answered():
			sent[i], err = c.answer(v, param.Use, arg, opts.formats.text)
		default:
			err = c.collectValue(v, param.Use, arg, opts.formats.text)
		}
		if err != nil {
			return nil, front.SealError(param.Use.Column, p.Describe(param), err)
		}
	}
	return out, nil
}

// settled returns the arguments of a plan. One that goes to several parameters has one value.
func settled(p *sqlplan.Plan, args []any) []any {
	own := false
	for _, i := range p.Shared {
		at := int(p.Params[i].From) - 1
		if at < 0 || at >= len(args) {
			continue // collect refuses it
		}
		if _, ok := args[at].(sqldriver.Valuer); !ok {
			continue
		}
		if !own {
			args, own = slices.Clone(args), true
		}
		args[at] = pgxvalue.Settled(args[at])
	}
	return args
}

// collectValue converts an argument to what the codec seals, and hands it to v. asText says that
// pgx would send it as text.
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
		return v.Collect(use, arg) // pgx sends it as it is, whatever the type
	}
	if use.Array {
		elems, err := c.elements(use.Kind(), arg, asText)
		if err != nil {
			return err
		}
		return v.CollectArray(use, elems)
	}
	value, err := c.value(use.Kind(), arg, asText)
	if err != nil {
		return err
	}
	return v.Collect(use, value)
}

// beside returns an error unless an argument is the same value for the kind that a column had.
func (c *conn) beside(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) error {
	return v.Beside(use, func(kind codec.Kind) ([]any, error) {
		if use.Array {
			return c.elements(kind, arg, asText)
		}
		value, err := c.value(kind, arg, asText)
		return []any{value}, err
	})
}

// answer returns the answer to what is asked of an argument.
func (c *conn) answer(v *front.Sealing, use *sqlplan.Use, arg any, asText bool) (any, error) {
	value, err := c.value(use.Kind(), arg, asText)
	if err != nil {
		return nil, err
	}
	return v.Answer(use, value)
}

func (c *conn) value(kind codec.Kind, arg any, asText bool) (any, error) {
	if asText {
		return pgxvalue.TextValue(c.raw.TypeMap(), kind, arg)
	}
	return pgxvalue.Value(c.raw.TypeMap(), kind, arg)
}

func (c *conn) elements(kind codec.Kind, arg any, asText bool) ([]any, error) {
	if asText {
		return pgxvalue.TextElements(c.raw.TypeMap(), kind, arg)
	}
	return pgxvalue.Elements(c.raw.TypeMap(), kind, arg)
}

func severalStatements(what string) error {
	return &driver.QueryError{
		Class:  colseal.ClassSeveral,
		Reason: "several statements in one text, where a sealed table is touched, can only be executed, not " + what,
		Hint:   "send them one by one",
	}
}
