//go:build go1.27

package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/internal/front"
)

// From Go 1.27 on database/sql scans by column if the rows let it. The methods are there
// whether the underlying rows have them or not: without them below they do what database/sql
// does with Next, except that the error of a failed conversion does not quote plaintext.
var _ sqldriver.RowsColumnScanner = (*rows)(nil)

// NextRow implements driver.RowsColumnScanner.
func (r *rows) NextRow() error {
	if r.closed {
		return io.EOF
	}
	var err error
	if sc, ok := r.under.(sqldriver.RowsColumnScanner); ok {
		r.byColumn = true
		err = sc.NextRow()
	} else {
		if r.buf == nil {
			r.buf = make([]sqldriver.Value, len(r.under.Columns()))
		}
		err = r.next(r.buf)
	}
	switch {
	case err == nil:
		r.read++
	case err != io.EOF:
		r.c.session.NoteError(err)
	}
	return err
}

// ScanColumn implements driver.RowsColumnScanner.
func (r *rows) ScanColumn(scanCtx sqldriver.ScanContext, i int, dest any) error {
	if r.closed {
		return errors.New("colseal: the rows are closed")
	}
	o := r.sealed(i)
	if o == nil {
		if sc, ok := r.under.(sqldriver.RowsColumnScanner); ok {
			return sc.ScanColumn(scanCtx, i, dest)
		}
		return sql.ConvertAssign(scanCtx, dest, r.buf[i])
	}
	v, err := r.open(o)
	if err != nil {
		return err
	}
	return r.assign(o, scanCtx, dest, v)
}

// open opens the value of a sealed column.
func (r *rows) open(o *front.Opener) (any, error) {
	if o.Apart {
		return r.openApart(o)
	}
	stored, err := r.stored(o.Index())
	if err != nil {
		return nil, err
	}
	return o.Open(r.ctx, stored)
}

// querySealed implements underlying.
func (c *pgxConn) querySealed(ctx context.Context, stmt contextStmt, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	rows, err := queryBelow(ctx, c, stmt, text, args)
	if std, ok := rows.(*stdlib.Rows); ok {
		return &pgxRows{Rows: std}, err
	}
	return rows, err
}

// pgxRows are the rows of pgx's database/sql driver, which shows the server's bytes.
type pgxRows struct{ *stdlib.Rows }

// leave implements cellRows.
func (r *pgxRows) leave(i int) bool { return r.ColumnTypeDatabaseTypeName(i) == "BYTEA" }

// cell implements cellRows. In text form the bytes are made, in binary form they are the server's.
func (r *pgxRows) cell(i int) ([]byte, error) {
	var cell pgtype.DriverBytes
	err := r.ScanColumn(sqldriver.ScanContext{}, i, &cell)
	if err == nil {
		return cell, nil
	}
	var sent serverText // pgx does not read the text of a bytea where bytea_output is escape
	if r.ScanColumn(sqldriver.ScanContext{}, i, &sent) != nil || sent.text == nil {
		return nil, err
	}
	return front.Bytea(sent.text)
}

// serverText takes what the server sent as text, whatever its type is.
type serverText struct{ text []byte }

// ScanText implements pgtype.TextScanner.
func (s *serverText) ScanText(v pgtype.Text) error {
	s.text = []byte(v.String)
	return nil
}

// stored returns the value of a sealed column as the underlying rows have it.
func (r *rows) stored(i int) (any, error) {
	sc, ok := r.under.(sqldriver.RowsColumnScanner)
	if !ok {
		return r.buf[i], nil
	}
	var g grab
	if err := sc.ScanColumn(sqldriver.ScanContext{}, i, &g); err != nil {
		return nil, err
	}
	return g.v, nil
}

// grab takes a value as the driver has it. As an sql.Scanner it gets the driver's own
// memory: pgx hands out a copy each time; for others the opener makes one.
type grab struct{ v any }

// Scan implements sql.Scanner.
func (g *grab) Scan(v any) error {
	g.v = v
	return nil
}

// assign stores a plaintext. Errors of conversions quote what they convert, so they are
// replaced, but for those of the caller's own Scanner.
func (r *rows) assign(o *front.Opener, scanCtx sqldriver.ScanContext, dest, v any) error {
	if _, ok := dest.(sql.Scanner); ok {
		return sql.ConvertAssign(scanCtx, dest, v)
	}
	t := reflect.TypeOf(dest)
	if t == nil || t.Kind() != reflect.Pointer || reflect.ValueOf(dest).IsNil() {
		return sql.ConvertAssign(scanCtx, dest, v) // its error is about dest
	}
	var err error
	scanned := false
	if text, ok := asText(v); ok && nativeDest(t) {
		scanned, err = r.c.under.scan(o.Kind(), o.Array(), text, dest)
	}
	if !scanned {
		err = sql.ConvertAssign(scanCtx, dest, v)
	}
	if err == nil {
		return nil
	}
	return front.OpenError(o.Column(), o.Where(), fmt.Errorf("%w into a %s", errScan, t))
}

var errScan = errors.New("the value cannot be converted")

func asText(v any) (string, bool) {
	switch t := v.(type) {
	case string:
		return t, true
	case []byte:
		return string(t), true
	}
	return "", false
}

// nativeDest reports whether a destination is one that pgx scans by itself, as its
// database/sql driver does from Go 1.27 on: slices, maps and structs. What has a Scan
// method of its own never comes here.
func nativeDest(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		if t.Implements(reflect.TypeFor[sql.Scanner]()) {
			return false
		}
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() != reflect.Uint8
	case reflect.Array, reflect.Map:
		return true
	case reflect.Struct:
		return !t.ConvertibleTo(reflect.TypeFor[time.Time]())
	}
	return false
}
