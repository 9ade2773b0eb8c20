package pgxseal

import (
	"context"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
)

// SendBatch sends a batch, as pgx.Conn.SendBatch does. It analyses and seals all statements before
// it sends any. If one is refused, none is sent, and all methods of the results return the refusal.
//
// Names in a batch mean what they mean before it. DDL, SET search_path, or the end of a transaction
// that did such a thing may change that: a later statement of the same batch that names a
// registered table is refused.
//
// SendBatch does not change the batch.
func (c *Conn) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return c.c.sendBatch(ctx, b, c.c.raw.SendBatch)
}

// sendBatch has a batch sent by send.
func (c *conn) sendBatch(ctx context.Context, b *pgx.Batch, send func(context.Context, *pgx.Batch) pgx.BatchResults) pgx.BatchResults {
	if len(b.QueuedQueries) == 0 {
		return send(ctx, b)
	}
	commit, err := c.planControl(ctx, commitQuery(b))
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	s := &batch{c: c, ctx: ctx, calls: make([]call, len(b.QueuedQueries))}
	unsettled, sealed, several := false, false, false
	for i, q := range b.QueuedQueries {
		cl := &s.calls[i]
		err := c.queuedCall(ctx, cl, q)
		if err == nil && unsettled && cl.plan.DependsOnNames() {
			err = &driver.QueryError{
				Class:  colseal.ClassSeveral,
				Reason: "a statement of a batch that names a registered table, when an earlier one of the batch may change which table that is",
				Hint:   "send the earlier one by itself, before the batch",
			}
		}
		if err != nil {
			return pgx.FailedBatchResults(b, c.db().Refused(ctx, err))
		}
		unsettled = unsettled || c.session.Unsettles(cl.plan)
		sealed, several = sealed || cl.plan.Sealed, several || cl.plan.Statements != 1
	}
	// Which result is of which query would not be known.
	if sealed && several && c.mode == pgx.QueryExecModeSimpleProtocol {
		return pgx.FailedBatchResults(b, c.db().Refused(ctx, severalStatements(string(queued))))
	}
	sent, queries := *b, make([]pgx.QueuedQuery, len(s.calls))
	sent.QueuedQueries = make([]*pgx.QueuedQuery, len(s.calls))
	for i := range s.calls {
		q := &queries[i]
		q.SQL, q.Arguments = s.calls[i].text, s.calls[i].args
		if fn := b.QueuedQueries[i].Fn; fn != nil {
			q.Fn = func(raw pgx.BatchResults) error {
				failed := s.failed
				if err := fn(&batchResults{batch: s, raw: raw, next: i}); err != nil {
					return err
				}
				if i == len(s.calls)-1 { // then pgx leaves it to the callback, too
					s.failed = failed
				}
				return failed
			}
		}
		sent.QueuedQueries[i] = q
	}
	raw := send(ctx, &sent)
	if tx := raw.Tx(); tx != nil {
		s.tx = &Tx{c: c, raw: tx, commit: commit}
	}
	return &batchResults{batch: s, raw: raw}
}

// queuedCall makes a call of a statement of a batch, whose only options are query rewriters.
func (c *conn) queuedCall(ctx context.Context, cl *call, q *pgx.QueuedQuery) error {
	query, args := q.SQL, q.Arguments
	var rewriter pgx.QueryRewriter
	for len(args) > 0 {
		r, ok := args[0].(pgx.QueryRewriter)
		if !ok {
			break
		}
		rewriter, args = r, args[1:]
	}
	opts := options{formats: formats{text: isTextMode(c.mode)}}
	if rewriter != nil {
		opts.rewritten = true
		var err error
		if query, args, err = rewriter.RewriteQuery(ctx, c.raw, query, args); err != nil {
			return fmt.Errorf("rewrite query failed: %w", err)
		}
	}
	return c.callOf(ctx, cl, query, q.Arguments, &opts, args, queued)
}

// commitQuery returns the statement that commits the transaction which a batch begins. It returns
// "" if that is COMMIT, or if the batch begins none. Only pgx knows it.
func commitQuery(b *pgx.Batch) string {
	o := reflect.ValueOf(b).Elem().FieldByIndex(batchTx)
	if o.IsNil() {
		return ""
	}
	return o.Elem().FieldByIndex(commitText).String()
}

var (
	batchTx    = fieldIndex[pgx.Batch]("txOptions", reflect.TypeFor[*pgx.TxOptions]())
	commitText = fieldIndex[pgx.TxOptions]("CommitQuery", reflect.TypeFor[string]())
)

// fieldIndex returns where a field of T is; nil if there is none of that type.
func fieldIndex[T any](name string, typ reflect.Type) []int {
	f, ok := reflect.TypeFor[T]().FieldByName(name)
	if !ok || f.Type != typ {
		return nil
	}
	return f.Index
}

// batch is what is known of a batch that was sent.
type batch struct {
	c      *conn
	ctx    context.Context
	calls  []call
	tx     *Tx   // that the batch began; nil for none
	failed error // of reading a result, with which the batch ends
	closed bool
	err    error // of Close
}

// fail ends a batch with an error of reading one of its results. pgx does that where it sends a
// pipeline, and knows its own errors only.
func (b *batch) fail(err error) {
	if b.failed == nil && !isTextMode(b.c.mode) {
		b.failed = err
	}
}

// batchResults are the results of a batch, whose rows are opened, from the next query on.
type batchResults struct {
	*batch
	raw  pgx.BatchResults
	next int
}

// Exec implements pgx.BatchResults.
func (r *batchResults) Exec() (pgconn.CommandTag, error) {
	if r.failed != nil {
		return pgconn.CommandTag{}, r.failed
	}
	r.next++
	return r.raw.Exec()
}

// Query implements pgx.BatchResults.
func (r *batchResults) Query() (pgx.Rows, error) {
	if r.failed != nil {
		return errRows{r.failed}, r.failed
	}
	i := r.next
	r.next++
	raw, err := r.raw.Query()
	if err != nil {
		return raw, err
	}
	if i >= len(r.calls) { // of a text of several statements, in a batch that touches nothing sealed
		return raw, nil
	}
	opened := r.c.openRows(r.ctx, raw, &r.calls[i])
	if own, ok := opened.(*rows); ok {
		own.batch = r.batch
	}
	return opened, nil
}

// QueryRow implements pgx.BatchResults.
func (r *batchResults) QueryRow() pgx.Row {
	rows, _ := r.Query() // they have the error
	return &row{rows: rows}
}

// Close implements pgx.BatchResults.
func (r *batchResults) Close() error {
	if r.closed {
		return r.err
	}
	defer func() { // also if a callback panics; then it may be closed again
		for i := range r.calls {
			r.c.session.Executed(r.calls[i].plan, r.err)
		}
	}()
	err := r.raw.Close()
	if err == nil {
		err = r.failed
	}
	r.closed, r.err = true, err
	if r.tx != nil && r.c.session.Idle() {
		r.tx.closed = true
	}
	return r.err
}

// Tx implements pgx.BatchResults.
func (r *batchResults) Tx() pgx.Tx {
	if r.tx == nil {
		return nil
	}
	return r.tx
}
