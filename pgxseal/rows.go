package pgxseal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sqlplan"
)

// openRows returns rows whose sealed columns are opened. It returns pgx's own if the statement
// touches nothing sealed and does not change what names mean.
func (c *conn) openRows(ctx context.Context, raw pgx.Rows, cl *call) pgx.Rows {
	p := cl.plan
	if !p.Sealed && p.Effects == 0 && len(p.Chunks) == 0 {
		return raw
	}
	r := c.spare
	if c.spare = nil; r == nil {
		r = c.rowsSlab.take()
	}
	r.c, r.ctx, r.raw, r.plan, r.query, r.formats, r.sealed = c, ctx, raw, p, cl.query, cl.formats, p.Sealed && p.ResultsSealed()
	return r
}

// rows opens sealed columns as they are read, and records what the statement did when they are
// closed.
type rows struct {
	c       *conn
	ctx     context.Context // of the query: keys of cells are asked for in it
	raw     pgx.Rows
	plan    *sqlplan.Plan
	query   string
	formats formats
	sealed  bool // there are sealed columns
	shown   bool // to a value of the program's, which may keep them

	shape   *shape // nil until it is known; it and what follows are good until the rows are closed, but for its fields
	openers []front.Opener
	values  [][]byte   // of the current row: pgx's own, in which the cells are opened one after the other
	ahead   [][][]byte // rows that were read ahead, when the connection had to be free

	err    error
	batch  *batch // that they are a result of; nil for none
	closed bool
	read   uint64 // rows
}

var _ pgx.Rows = (*rows)(nil)

// shape is how the columns of a result are read.
type shape struct {
	stored []pgconn.FieldDescription // as the server describes them
	fields []pgconn.FieldDescription // as those of plain columns
	sealed []column
	text   bool // the call's mode asks for text

	openers []front.Opener // of the sealed columns, for the next result; nil while one uses them
}

// take returns the openers of the sealed columns. Whoever takes them gives them back to the shape.
func (sh *shape) take(s *front.Session) []front.Opener {
	openers := sh.openers
	sh.openers = nil
	if openers == nil {
		openers = make([]front.Opener, len(sh.sealed))
		for i := range sh.sealed {
			col := &sh.sealed[i]
			openers[i] = s.NewOpener(col.index, sh.fields[col.index].Name, col.res, true)
		}
	}
	return openers
}

// column is a sealed column of a result.
type column struct {
	index  int
	res    sqlplan.Result
	oid    uint32 // the type that the plain column has here
	format int16  // in which it is read
}

// maxShapes bounds how many shapes a connection keeps.
const maxShapes = 512

// shapeOf returns the shape of a result with these columns, if the connection keeps it. pgx may
// have learnt types meanwhile.
func (c *conn) shapeOf(p *sqlplan.Plan, formats *formats, fields []pgconn.FieldDescription) *shape {
	sh := c.shapes[p]
	if sh == nil || !formats.usual() || sh.text != formats.text || !slices.Equal(sh.stored, fields) {
		return nil
	}
	m, last := c.raw.TypeMap(), uint32(0)
	for i := range sh.sealed {
		col := &sh.sealed[i]
		if col.oid != last && formats.of(m, col.index, col.oid) != col.format {
			return nil
		}
		last = col.oid
	}
	return sh
}

// describe finds out which columns are sealed. pgx knows them when the statement was sent, unless
// that failed.
func (r *rows) describe() error {
	fields := r.raw.FieldDescriptions()
	if r.shape != nil || len(fields) == 0 {
		return nil
	}
	sh := r.c.shapeOf(r.plan, &r.formats, fields)
	if sh == nil {
		var err error
		if sh, err = r.newShape(fields); err != nil {
			return err
		}
	}
	r.openers = sh.take(r.c.session)
	r.c.session.BeginOpeners(r.openers, r)
	r.shape = sh
	return nil
}

// describeEmpty finds out what the columns of a result without rows are, for whoever asks when it
// is closed: pgx answers then, too, also if the statement failed.
func (r *rows) describeEmpty() {
	fields := r.raw.FieldDescriptions()
	if len(fields) == 0 || r.err != nil && !r.plan.Describes(labelsOf(fields), driver.DialectPostgres) {
		return
	}
	if r.shape = r.c.shapeOf(r.plan, &r.formats, fields); r.shape == nil {
		r.shape, _ = r.newShape(fields) // without it there is no description; what was asked for was done
	}
}

// newShape returns the shape of a result with these columns. The connection keeps it if it is the
// one that the plan expects.
func (r *rows) newShape(fields []pgconn.FieldDescription) (*shape, error) {
	labels, p := labelsOf(fields), r.plan
	if !p.Describes(labels, driver.DialectPostgres) {
		fresh, err := r.c.session.PlanResult(r.ctx, r.query, p, labels)
		if err != nil {
			return nil, r.c.db().Refused(r.ctx, err)
		}
		p = fresh
	}
	sh := &shape{stored: slices.Clone(fields), fields: slices.Clone(fields), text: r.formats.text}
	for i := range fields {
		res := p.Result(i, len(fields))
		if len(res.Columns) == 0 {
			continue
		}
		oid := typeOf(res.Columns[0].Kind, res.Array)
		format := r.formats.of(r.raw.TypeMap(), i, oid)
		relabel(&sh.fields[i], oid)
		sh.fields[i].Format = format
		sh.sealed = append(sh.sealed, column{index: i, res: res, oid: oid, format: format})
	}
	if p == r.plan && r.formats.usual() {
		if len(r.c.shapes) >= maxShapes {
			clear(r.c.shapes)
		}
		r.c.shapes[p] = sh
	}
	return sh, nil
}

func labelsOf(fields []pgconn.FieldDescription) []string {
	labels := make([]string, len(fields))
	for i := range fields {
		labels[i] = fields[i].Name
	}
	return labels
}

// Close implements pgx.Rows.
func (r *rows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	defer r.ended() // also if a tracer of the program's panics
	r.raw.Close()
}

// ended records what the statement did.
func (r *rows) ended() {
	err := r.raw.Err()
	if r.err == nil {
		r.err = err
	}
	switch {
	case r.shape != nil:
		r.c.session.EndOpeners(r.openers, r.read)
		r.shape.openers = r.openers
	case r.sealed:
		r.describeEmpty()
	}
	r.openers, r.values, r.ahead = nil, nil, nil
	r.c.session.Executed(r.plan, err)
}

// fail closes the rows with an error.
func (r *rows) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	if r.batch != nil {
		r.batch.fail(err)
	}
	r.Close()
}

// Err implements pgx.Rows.
func (r *rows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.raw.Err()
}

// CommandTag implements pgx.Rows.
func (r *rows) CommandTag() pgconn.CommandTag { return r.raw.CommandTag() }

// FieldDescriptions implements pgx.Rows.
func (r *rows) FieldDescriptions() []pgconn.FieldDescription {
	if !r.sealed {
		return r.raw.FieldDescriptions()
	}
	if r.shape == nil && !r.closed {
		if err := r.describe(); err != nil {
			r.fail(err)
		}
	}
	return r.fields()
}

// fields describe the columns, as those of plain ones; none until they are known.
func (r *rows) fields() []pgconn.FieldDescription {
	if r.shape == nil {
		return nil
	}
	return r.shape.fields
}

// Next implements pgx.Rows.
func (r *rows) Next() bool {
	if r.closed {
		return false
	}
	switch {
	case len(r.ahead) > 0:
		r.values, r.ahead = r.ahead[0], r.ahead[1:]
	case !r.raw.Next():
		r.Close()
		return false
	case !r.sealed:
		return true
	default:
		r.values = r.raw.RawValues()
	}
	if err := r.open(); err != nil {
		r.fail(err)
		return false
	}
	return true
}

// open opens the cells of the current row.
func (r *rows) open() error {
	if r.shape == nil {
		if err := r.describe(); err != nil {
			return err
		}
	}
	r.read++
	if n := len(r.fields()); len(r.values) != n {
		return fmt.Errorf("number of field descriptions must equal number of values, got %d and %d", n, len(r.values))
	}
	for i := range r.openers {
		o := &r.openers[i]
		at := o.Index()
		if r.values[at] == nil {
			continue
		}
		v, err := r.openValue(o, &r.shape.stored[at], r.shape.sealed[i].format, r.values[at])
		if err != nil {
			return err // then nothing of the row is shown: see Close
		}
		r.values[at] = v
	}
	return nil
}

// ReadAhead implements front.Result. pgx uses the memory of the current row again.
func (r *rows) ReadAhead() error {
	r.values = clones(r.values)
	var taken front.Ahead
	for r.raw.Next() {
		row := clones(r.raw.RawValues())
		r.ahead = append(r.ahead, row)
		size := 0
		for _, v := range row {
			size += len(v)
		}
		if err := taken.Take(len(row), size); err != nil {
			return err
		}
	}
	return nil // an error comes after the rows, from raw
}

// clones returns copies of values; those of NULL are nil.
func clones(values [][]byte) [][]byte {
	out := make([][]byte, len(values))
	for i, v := range values {
		out[i] = bytes.Clone(v)
	}
	return out
}

// openValue returns the plain form of a stored value, which may use its memory.
func (r *rows) openValue(o *front.Opener, fd *pgconn.FieldDescription, format int16, stored []byte) ([]byte, error) {
	m := r.raw.TypeMap()
	if o.Array() {
		var cells [][]byte
		cells, err := storedArray(m, fd, stored)
		if err != nil {
			return nil, driverFormat(o, err)
		}
		text, err := o.ArrayText(r.ctx, cells)
		if err != nil || format == pgx.TextFormatCode {
			return []byte(text), err
		}
		return binaryOf(m, typeOf(o.Kind(), true), []byte(text))
	}
	if fd.DataTypeOID == pgtype.ByteaOID && fd.Format == pgx.TextFormatCode {
		var err error
		if stored, err = front.Bytea(stored); err != nil {
			return nil, driverFormat(o, err)
		}
	}
	enc, err := o.Encoding(r.ctx, stored)
	if err != nil {
		return nil, err
	}
	out, err := wire(m, o.Kind(), format, enc)
	if err != nil {
		return nil, driverFormat(o, err)
	}
	if out == nil { // which would be NULL
		out = []byte{}
	}
	return out, nil
}

func driverFormat(o *front.Opener, err error) error {
	return front.OpenError(o.Column(), o.Where(), fmt.Errorf("%w: %w", codec.ErrFormat, err))
}

// storedArray returns the elements of an array of stored values, nil for NULL ones.
func storedArray(m *pgtype.Map, fd *pgconn.FieldDescription, stored []byte) ([][]byte, error) {
	if fd.DataTypeOID == pgtype.ByteaArrayOID {
		var a pgtype.Array[[]byte]
		if err := m.Scan(fd.DataTypeOID, fd.Format, stored, &a); err != nil || len(a.Dims) > 1 {
			return nil, errForm
		}
		return a.Elements, nil
	}
	var a pgtype.Array[*string]
	if err := m.Scan(fd.DataTypeOID, fd.Format, stored, &a); err != nil || len(a.Dims) > 1 {
		return nil, errForm
	}
	cells := make([][]byte, len(a.Elements))
	for i, e := range a.Elements {
		if e == nil {
			continue
		}
		var err error
		if cells[i], err = front.StoredText(*e); err != nil { // those of a domain over bytea, too
			return nil, err
		}
	}
	return cells, nil
}

// Scan implements pgx.Rows.
func (r *rows) Scan(dest ...any) error {
	if !r.sealed {
		return r.raw.Scan(dest...)
	}
	if len(dest) == 1 {
		if rc, ok := dest[0].(pgx.RowScanner); ok {
			r.shown = true
			err := rc.ScanRow(r)
			if err != nil {
				r.fail(err)
			}
			return err
		}
	}
	err := r.scan(dest)
	if err != nil {
		r.fail(err)
	}
	return err
}

func (r *rows) scan(dest []any) error {
	fields := r.FieldDescriptions()
	if len(fields) != len(r.values) {
		return fmt.Errorf("number of field descriptions must equal number of values, got %d and %d", len(fields), len(r.values))
	}
	if len(fields) != len(dest) {
		return fmt.Errorf("number of field descriptions must equal number of destinations, got %d and %d", len(fields), len(dest))
	}
	m := r.raw.TypeMap()
	for i, d := range dest {
		if d == nil {
			continue
		}
		fd := &fields[i]
		if s, ok := d.(*string); ok && r.values[i] != nil && (fd.Format == pgx.TextFormatCode || fd.DataTypeOID == pgtype.TextOID) {
			*s = string(r.values[i]) // as pgx does, which asks more first
			continue
		}
		if err := m.Scan(fd.DataTypeOID, fd.Format, r.values[i], d); err != nil {
			if o := r.opener(i); o != nil && r.values[i] != nil { // that it is NULL is no secret
				err = scanError{cause: err, what: fmt.Sprintf("a sealed %s does not fit into %T", o.Kind(), d)}
			}
			return pgx.ScanArgError{ColumnIndex: i, FieldName: fd.Name, Err: err}
		}
	}
	return nil
}

// opener returns the opener of a column, or nil.
func (r *rows) opener(i int) *front.Opener {
	for at := range r.openers {
		if r.openers[at].Index() == i {
			return &r.openers[at]
		}
	}
	return nil
}

// scanError is the error of a conversion of plaintext. Such errors quote the value. So errors.Is
// and errors.As find the cause, and neither the text nor whoever unwraps errors one by one has it.
type scanError struct {
	cause error
	what  string
}

func (e scanError) Error() string        { return e.what }
func (e scanError) Is(target error) bool { return errors.Is(e.cause, target) }
func (e scanError) As(target any) bool   { return errors.As(e.cause, target) }

// Format keeps what is below out of every verb.
func (e scanError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.what) }

var errClosed = errors.New("rows is closed")

// Values implements pgx.Rows.
func (r *rows) Values() ([]any, error) {
	if !r.sealed {
		return r.raw.Values()
	}
	if r.closed {
		return nil, errClosed
	}
	m := r.raw.TypeMap()
	values := make([]any, len(r.values))
	for i, v := range r.values {
		if v == nil {
			continue
		}
		fd := &r.shape.fields[i]
		var err error
		if t, ok := m.TypeForOID(fd.DataTypeOID); ok {
			values[i], err = t.Codec.DecodeValue(m, fd.DataTypeOID, fd.Format, v)
		} else if fd.Format == pgx.TextFormatCode {
			values[i] = string(v)
		} else {
			values[i] = append([]byte{}, v...)
		}
		if err != nil {
			if o := r.opener(i); o != nil {
				err = scanError{cause: err, what: fmt.Sprintf("a sealed %s cannot be decoded", o.Kind())}
			}
			r.fail(err)
			return nil, err
		}
	}
	return values, nil
}

// RawValues implements pgx.Rows. Those of sealed columns are values of the plain columns' types.
func (r *rows) RawValues() [][]byte {
	if !r.sealed {
		return r.raw.RawValues()
	}
	return r.values
}

// Conn implements pgx.Rows. What is returned is a bypass: see [Conn.Raw].
func (r *rows) Conn() *pgx.Conn {
	r.c.session.Bypassed()
	return r.raw.Conn()
}

// TypeMap implements pgx.Rows.
func (r *rows) TypeMap() *pgtype.Map { return r.raw.TypeMap() }

// errRows are the rows of a statement that was not sent.
type errRows struct{ err error }

func (errRows) Close()                                       {}
func (e errRows) Err() error                                 { return e.err }
func (errRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (errRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (errRows) Next() bool                                   { return false }
func (e errRows) Scan(...any) error                          { return e.err }
func (e errRows) Values() ([]any, error)                     { return nil, e.err }
func (errRows) RawValues() [][]byte                          { return nil }
func (errRows) Conn() *pgx.Conn                              { return nil }
func (errRows) TypeMap() *pgtype.Map                         { return nil }

// row is the first row of rows, as pgx.Conn.QueryRow returns it.
type row struct {
	rows   pgx.Rows      // nil once it was scanned
	pooled *pgxpool.Conn // goes back to its pool then; nil if it is no pool's
	err    error         // of scanning it again
}

// Scan implements pgx.Row.
func (r *row) Scan(dest ...any) error {
	rows := r.rows
	if rows == nil {
		return r.err
	}
	defer r.end() // a destination's method may panic
	if err := rows.Err(); err != nil {
		return err
	}
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			return errors.New("cannot scan into *pgtype.DriverBytes from QueryRow")
		}
	}
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	err := rows.Scan(dest...)
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	return err
}

// end closes the rows. Nobody but this row had them, so the connection may use their memory again.
func (r *row) end() {
	own, _ := r.rows.(*rows)
	r.rows.Close()
	if r.err = r.rows.Err(); r.err == nil {
		r.err = pgx.ErrNoRows
	}
	r.rows = nil
	if own != nil && !own.shown {
		c := own.c
		*own = rows{}
		c.spare = own
	}
	if r.pooled != nil {
		r.pooled.Release()
		r.pooled = nil
	}
}
