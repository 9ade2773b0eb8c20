package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlplan"
)

// openRows returns rows whose sealed columns are opened: the inner rows themselves when
// the plan says that there are none.
func (c *conn) openRows(ctx context.Context, inner sqldriver.Rows, p *sqlplan.Plan, query string) (sqldriver.Rows, error) {
	if !p.Sealed || !p.ResultsSealed() {
		return inner, nil
	}
	names := inner.Columns()
	if !describes(p, names, c.st.cfg.Dialect) {
		fresh, err := c.planAfresh(ctx, query, p.SearchKeys)
		if err != nil {
			return nil, errors.Join(c.st.refusal(ctx, err), inner.Close())
		}
		if !describes(fresh, names, c.st.cfg.Dialect) {
			return nil, errors.Join(errResultColumns, inner.Close())
		}
		p = fresh
	}
	r := &rows{c: c, ctx: ctx, inner: inner}
	sealed := 0
	for i := range names {
		if res := p.Result(i, len(names)); len(res.Columns) > 0 {
			sealed++
		}
	}
	r.openers = make([]opener, 0, sealed)
	for i, name := range names {
		if res := p.Result(i, len(names)); len(res.Columns) > 0 {
			r.openers = append(r.openers, newOpener(c, i, name, res))
		}
	}
	return r, nil
}

var errResultColumns = errors.New("colseal: the statement was executed, but its result has other columns than its text and the catalog say, " +
	"so that it is not known which are sealed — name the columns instead of *, and run it again if tables were changed meanwhile")

// describes reports whether a plan fits the columns of a result.
func describes(p *sqlplan.Plan, names []string, d dialect.Dialect) bool {
	n := len(names)
	if width, exact := p.Width(); n < width || (exact && n != width) {
		return false
	}
	for i, name := range names {
		want := p.Result(i, n).Name
		// SQLite reports a column as it was declared or as it was written.
		if want != "" && want != name && (d != SQLite || !strings.EqualFold(want, name)) {
			return false
		}
	}
	return true
}

// rows opens sealed columns as they are read. The methods for optional interfaces answer
// as database/sql does when the inner rows lack one.
type rows struct {
	c       *conn
	ctx     context.Context // of the query: database/sql closes the rows when it ends
	inner   sqldriver.Rows
	openers []opener          // of the sealed columns, in order
	buf     []sqldriver.Value // the current row, where rows are scanned by column (rows_go127.go)
	further bool              // in a result set after the first
	read    uint64            // rows
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
func (r *rows) Columns() []string { return r.inner.Columns() }

// Close implements driver.Rows.
func (r *rows) Close() error {
	r.tally()
	return r.inner.Close()
}

// Next implements driver.Rows. After an error dest holds nothing of a sealed column.
func (r *rows) Next(dest []sqldriver.Value) error {
	if err := r.inner.Next(dest); err != nil {
		if err != io.EOF {
			r.note(err)
		}
		return err
	}
	r.read++
	for i := range r.openers {
		o := &r.openers[i]
		if o.index >= len(dest) {
			continue
		}
		v, err := o.open(r.ctx, dest[o.index])
		if err != nil {
			r.blank(dest)
			return err
		}
		dest[o.index] = v
	}
	return nil
}

func (r *rows) blank(dest []sqldriver.Value) {
	for i := range r.openers {
		if at := r.openers[i].index; at < len(dest) {
			dest[at] = nil
		}
	}
}

func (r *rows) note(err error) {
	if staleCatalog(err) {
		r.c.st.forgetCatalog("the server says that a table changed")
	}
	r.c.undone(err)
}

// HasNextResultSet implements driver.RowsNextResultSet.
func (r *rows) HasNextResultSet() bool {
	n, ok := r.inner.(sqldriver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

// NextResultSet implements driver.RowsNextResultSet. A plan describes one result set, so
// a further one cannot be opened.
func (r *rows) NextResultSet() error {
	n, ok := r.inner.(sqldriver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	if !n.HasNextResultSet() {
		return n.NextResultSet()
	}
	return errors.New("colseal: a further result set of a statement with sealed columns cannot be opened: send the statements one by one")
}

// sealed returns the opener of a column, or nil.
func (r *rows) sealed(i int) *opener {
	for at := range r.openers {
		if r.openers[at].index == i {
			return &r.openers[at]
		}
	}
	return nil
}

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if o := r.sealed(i); o != nil {
		return o.columnType().scan
	}
	if t, ok := r.inner.(sqldriver.RowsColumnTypeScanType); ok {
		return t.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if o := r.sealed(i); o != nil {
		return o.columnType().name
	}
	if t, ok := r.inner.(sqldriver.RowsColumnTypeDatabaseTypeName); ok {
		return t.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (r *rows) ColumnTypeLength(i int) (int64, bool) {
	if o := r.sealed(i); o != nil {
		t := o.columnType()
		return t.length, t.length > 0
	}
	if t, ok := r.inner.(sqldriver.RowsColumnTypeLength); ok {
		return t.ColumnTypeLength(i)
	}
	return 0, false
}

// ColumnTypeNullable implements driver.RowsColumnTypeNullable: NULL is stored as NULL, so
// that the stored column answers for sealed ones too.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if t, ok := r.inner.(sqldriver.RowsColumnTypeNullable); ok {
		return t.ColumnTypeNullable(i)
	}
	return false, false
}

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if r.sealed(i) != nil {
		return 0, 0, false
	}
	if t, ok := r.inner.(sqldriver.RowsColumnTypePrecisionScale); ok {
		return t.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}
