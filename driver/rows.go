package driver

import (
	"bytes"
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"reflect"
	"slices"

	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/sqlplan"
)

// openRows returns rows whose sealed columns are opened. If the plan says that there are none, it
// returns the underlying rows.
func (c *conn) openRows(ctx context.Context, under sqldriver.Rows, p *sqlplan.Plan, query string) (sqldriver.Rows, error) {
	if !p.Sealed || !p.ResultsSealed() {
		return under, nil
	}
	labels := under.Columns()
	l := c.layouts[p]
	if l == nil || !slices.Equal(l.labels, labels) {
		var err error
		if l, err = c.newLayout(ctx, p, query, labels); err != nil {
			_ = under.Close() // its error may be driver.ErrBadConn, for which the statement would be executed again
			return nil, c.db().Refused(ctx, err)
		}
	}
	cells, _ := under.(cellRows)
	r := &rows{c: c, ctx: ctx, under: under, cells: cells, layout: l, openers: l.take(c.session, c.under.copies())}
	c.session.BeginOpeners(r.openers, r)
	for i := range r.openers {
		o := &r.openers[i]
		o.Apart = cells != nil && !o.Array() && cells.leave(o.Index())
	}
	return r, nil
}

// layout is which columns of a result are sealed.
type layout struct {
	labels  []string
	sealed  []sealedColumn
	openers []front.Opener // of them, for the next result; nil while one uses them
}

type sealedColumn struct {
	index int
	res   sqlplan.Result
}

// maxLayouts bounds how many layouts a connection keeps.
const maxLayouts = 512

// newLayout finds out which columns of a result with these labels are sealed. The connection keeps
// the layout if it is the one that the plan expects.
func (c *conn) newLayout(ctx context.Context, p *sqlplan.Plan, query string, labels []string) (*layout, error) {
	described := p
	if !p.Describes(labels, c.db().Config().Dialect) {
		fresh, err := c.session.PlanResult(ctx, query, p, labels)
		if err != nil {
			return nil, err
		}
		described = fresh
	}
	l := &layout{labels: slices.Clone(labels)}
	for i := range labels {
		if res := described.Result(i, len(labels)); len(res.Columns) > 0 {
			l.sealed = append(l.sealed, sealedColumn{i, res})
		}
	}
	if described == p {
		if len(c.layouts) >= maxLayouts {
			clear(c.layouts)
		}
		c.layouts[p] = l
	}
	return l, nil
}

// take returns the openers of the sealed columns. Whoever takes them gives them back to the layout.
func (l *layout) take(s *front.Session, private bool) []front.Opener {
	openers := l.openers
	l.openers = nil
	if openers == nil {
		openers = make([]front.Opener, len(l.sealed))
		for i, col := range l.sealed {
			openers[i] = s.NewOpener(col.index, l.labels[col.index], col.res, private)
		}
	}
	return openers
}

// cellRows are underlying rows that can give cells where they stand.
type cellRows interface {
	sqldriver.Rows

	// leave makes Next leave out a column. From then on cell returns its bytes. leave returns false
	// if the column cannot be left out.
	leave(column int) bool

	// cell returns the bytes of a column that is left out, nil for NULL. They are valid until the
	// next row. The caller must not change them.
	cell(column int) ([]byte, error)
}

// rows opens sealed columns as they are read. The methods for optional interfaces answer
// as database/sql does when the underlying rows lack one.
type rows struct {
	c       *conn
	ctx     context.Context // of the query: database/sql closes the rows when it ends
	under   sqldriver.Rows
	cells   cellRows // under, if it is one
	layout  *layout
	openers []front.Opener // of the sealed columns, in order; none once closed
	closed  bool
	buf     []sqldriver.Value // the current row, where rows are scanned by column (rows_go127.go)
	further bool              // in a result set after the first
	read    uint64            // rows

	ahead     [][]sqldriver.Value // rows that were read ahead, when the connection had to be free, with their cells
	aheadEnd  error               // what follows them, if the whole result was read
	fromAhead bool                // the current row is one of them
	kept      [][]byte            // by column: the cells of the current row that the underlying rows left out, once they have gone on
	types     []underlyingType    // of the columns, as the underlying rows cannot tell any more
	byColumn  bool                // see rows_go127.go
}

var (
	_ sqldriver.RowsNextResultSet              = (*rows)(nil)
	_ sqldriver.RowsColumnTypeScanType         = (*rows)(nil)
	_ sqldriver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ sqldriver.RowsColumnTypeLength           = (*rows)(nil)
	_ sqldriver.RowsColumnTypeNullable         = (*rows)(nil)
	_ sqldriver.RowsColumnTypePrecisionScale   = (*rows)(nil)
)

// Columns implements driver.Rows.
func (r *rows) Columns() []string { return r.under.Columns() }

// Close implements driver.Rows.
func (r *rows) Close() error {
	if !r.closed {
		r.c.session.EndOpeners(r.openers, r.read)
		r.layout.openers = r.openers
		r.openers, r.closed = nil, true
	}
	return r.under.Close()
}

// Next implements driver.Rows. After an error dest holds nothing of a sealed column.
func (r *rows) Next(dest []sqldriver.Value) error {
	if r.closed {
		return io.EOF
	}
	if err := r.next(dest); err != nil {
		if err != io.EOF {
			r.c.session.NoteError(err)
		}
		return err
	}
	r.read++
	for i := range r.openers {
		o := &r.openers[i]
		at := o.Index()
		if at >= len(dest) {
			continue
		}
		var err error
		if o.Apart && !r.fromAhead {
			dest[at], err = r.openApart(o)
		} else {
			dest[at], err = o.Open(r.ctx, dest[at])
		}
		if err != nil {
			r.blank(dest)
			return err
		}
	}
	return nil
}

// openApart opens a cell where the underlying rows have it, or from the copy that ReadAhead made of
// it.
func (r *rows) openApart(o *front.Opener) (any, error) {
	if r.kept != nil {
		return o.OpenCell(r.ctx, r.kept[o.Index()])
	}
	cell, err := r.cells.cell(o.Index())
	if err != nil {
		return nil, err
	}
	return o.OpenCell(r.ctx, cell)
}

// next returns the next row as it is stored.
func (r *rows) next(dest []sqldriver.Value) error {
	r.kept, r.fromAhead = nil, len(r.ahead) > 0
	switch {
	case r.fromAhead:
		copy(dest, r.ahead[0])
		r.ahead[0] = nil
		r.ahead = r.ahead[1:]
		return nil
	case r.aheadEnd != nil:
		return r.aheadEnd
	}
	return r.under.Next(dest)
}

var errByColumn = errors.New("colseal: rows that are scanned by column cannot be read ahead")

// ReadAhead implements front.Result. It fails if the driver may use the memory of its rows again.
func (r *rows) ReadAhead() error {
	if r.byColumn || !r.c.under.copies() {
		return errByColumn
	}
	var taken front.Ahead
	columns := len(r.under.Columns())
	if r.types == nil {
		types := make([]underlyingType, columns)
		for i := range types {
			types[i] = r.underlyingType(i)
		}
		r.types = types
	}
	if r.kept == nil && !r.fromAhead { // once for a row: then the underlying rows are at another one
		kept := make([][]byte, columns)
		if err := r.copyApart(func(i int, cell []byte) { kept[i] = cell }); err != nil {
			return err
		}
		r.kept = kept
	}
	for r.aheadEnd == nil {
		row := make([]sqldriver.Value, columns)
		if err := r.under.Next(row); err != nil {
			r.aheadEnd = err
			return nil //nolint:nilerr // whoever reads so far gets it
		}
		if err := r.copyApart(func(i int, cell []byte) { row[i] = cell }); err != nil {
			r.aheadEnd = err
			return nil //nolint:nilerr // whoever reads so far gets it
		}
		r.ahead = append(r.ahead, row)
		size := 0
		for _, v := range row {
			switch v := v.(type) {
			case []byte:
				size += len(v)
			case string:
				size += len(v)
			}
		}
		if err := taken.Take(columns, size); err != nil {
			return err
		}
	}
	return nil
}

// copyApart gives copies of the current row's cells that the underlying rows leave out, except
// NULLs.
func (r *rows) copyApart(give func(column int, cell []byte)) error {
	for i := range r.openers {
		if o := &r.openers[i]; o.Apart {
			cell, err := r.cells.cell(o.Index())
			if err != nil {
				return err
			}
			if cell != nil {
				give(o.Index(), bytes.Clone(cell))
			}
		}
	}
	return nil
}

func (r *rows) blank(dest []sqldriver.Value) {
	for i := range r.openers {
		if at := r.openers[i].Index(); at < len(dest) {
			dest[at] = nil
		}
	}
}

// HasNextResultSet implements driver.RowsNextResultSet.
func (r *rows) HasNextResultSet() bool {
	n, ok := r.under.(sqldriver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

// NextResultSet implements driver.RowsNextResultSet. A plan describes one result set, so
// a further one cannot be opened.
func (r *rows) NextResultSet() error {
	n, ok := r.under.(sqldriver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	if !n.HasNextResultSet() {
		return n.NextResultSet()
	}
	return hint.With(errors.New("colseal: a further result set of a statement with sealed columns cannot be opened"), "send the statements one by one")
}

// sealed returns the opener of a column, or nil.
func (r *rows) sealed(i int) *front.Opener {
	for at := range r.openers {
		if r.openers[at].Index() == i {
			return &r.openers[at]
		}
	}
	return nil
}

// underlyingType is what the underlying rows tell of a column.
type underlyingType struct {
	scan              reflect.Type
	name              string
	length            int64
	hasLength         bool
	nullable, hasNull bool
	precision, scale  int64
	hasPrecision      bool
}

// underlyingType asks them. The answers are those of database/sql where they have none.
func (r *rows) underlyingType(i int) underlyingType {
	if r.types != nil {
		return r.types[i]
	}
	u := underlyingType{scan: reflect.TypeFor[any]()}
	if t, ok := r.under.(sqldriver.RowsColumnTypeScanType); ok {
		u.scan = t.ColumnTypeScanType(i)
	}
	if t, ok := r.under.(sqldriver.RowsColumnTypeDatabaseTypeName); ok {
		u.name = t.ColumnTypeDatabaseTypeName(i)
	}
	if t, ok := r.under.(sqldriver.RowsColumnTypeLength); ok {
		u.length, u.hasLength = t.ColumnTypeLength(i)
	}
	if t, ok := r.under.(sqldriver.RowsColumnTypeNullable); ok {
		u.nullable, u.hasNull = t.ColumnTypeNullable(i)
	}
	if t, ok := r.under.(sqldriver.RowsColumnTypePrecisionScale); ok {
		u.precision, u.scale, u.hasPrecision = t.ColumnTypePrecisionScale(i)
	}
	return u
}

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if o := r.sealed(i); o != nil {
		return r.columnType(o).scan
	}
	return r.underlyingType(i).scan
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if o := r.sealed(i); o != nil {
		return r.columnType(o).name
	}
	return r.underlyingType(i).name
}

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (r *rows) ColumnTypeLength(i int) (int64, bool) {
	if o := r.sealed(i); o != nil {
		t := r.columnType(o)
		return t.length, t.length > 0
	}
	u := r.underlyingType(i)
	return u.length, u.hasLength
}

// ColumnTypeNullable implements driver.RowsColumnTypeNullable: NULL is stored as NULL, so
// that the stored column answers for sealed ones too.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	u := r.underlyingType(i)
	return u.nullable, u.hasNull
}

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if r.sealed(i) != nil {
		return 0, 0, false
	}
	u := r.underlyingType(i)
	return u.precision, u.scale, u.hasPrecision
}
