//go:build !go1.27

package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/colseal/colseal/internal/front"
)

// pgxRows are the rows of a pgx connection. They read values as pgx's database/sql driver does,
// which copies each bytea. Cells they can leave out: cell returns them where the server's bytes
// stand.
type pgxRows struct {
	conn    *pgx.Conn
	rows    pgx.Rows
	labels  []string
	columns []pgxColumn
	few     [8]pgxColumn // what columns are of, if they are not many
	ahead   bool         // the first row was asked for
	more    bool         // and is there
}

type pgxColumn struct {
	left  bool                                      // by Next
	value func(src []byte) (sqldriver.Value, error) // made when it is first needed
}

var (
	_ sqldriver.RowsColumnTypeScanType         = (*pgxRows)(nil)
	_ sqldriver.RowsColumnTypeDatabaseTypeName = (*pgxRows)(nil)
	_ sqldriver.RowsColumnTypeLength           = (*pgxRows)(nil)
	_ sqldriver.RowsColumnTypePrecisionScale   = (*pgxRows)(nil)
)

// resultFormats are those that pgx's database/sql driver asks for.
var resultFormats = pgx.QueryResultFormatsByOID{
	pgtype.BoolOID: 1, pgtype.ByteaOID: 1, pgtype.CIDOID: 1, pgtype.DateOID: 1, pgtype.Float4OID: 1, pgtype.Float8OID: 1,
	pgtype.Int2OID: 1, pgtype.Int4OID: 1, pgtype.Int8OID: 1, pgtype.OIDOID: 1, pgtype.TimestampOID: 1, pgtype.TimestamptzOID: 1,
	pgtype.XIDOID: 1,
}

// querySealed implements underlying. A prepared statement is found by its text.
func (c *pgxConn) querySealed(ctx context.Context, _ contextStmt, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	conn := c.std.Conn()
	if conn.IsClosed() {
		return nil, sqldriver.ErrBadConn
	}
	given := make([]any, 1+len(args))
	given[0] = resultFormats
	for i := range args {
		given[1+i] = args[i].Value
	}
	rows, err := conn.Query(ctx, text, given...)
	if err != nil {
		if pgconn.SafeToRetry(err) {
			return nil, sqldriver.ErrBadConn
		}
		return nil, err
	}
	// What columns there are is known with the first row only.
	more := rows.Next()
	if err := rows.Err(); err != nil {
		rows.Close()
		return nil, err
	}
	r := &pgxRows{conn: conn, rows: rows, ahead: true, more: more}
	if n := len(rows.FieldDescriptions()); n <= len(r.few) {
		r.columns = r.few[:n]
	} else {
		r.columns = make([]pgxColumn, n)
	}
	return r, nil
}

// Columns implements driver.Rows.
func (r *pgxRows) Columns() []string {
	if r.labels == nil {
		fields := r.rows.FieldDescriptions()
		r.labels = make([]string, len(fields))
		for i := range fields {
			r.labels[i] = fields[i].Name
		}
	}
	return r.labels
}

// Close implements driver.Rows.
func (r *pgxRows) Close() error {
	r.rows.Close()
	return r.rows.Err()
}

// leave implements cellRows.
func (r *pgxRows) leave(i int) bool {
	r.columns[i].left = r.field(i).DataTypeOID == pgtype.ByteaOID
	return r.columns[i].left
}

// cell implements cellRows.
func (r *pgxRows) cell(i int) ([]byte, error) {
	stored := r.rows.RawValues()[i]
	if stored == nil || r.field(i).Format == pgx.BinaryFormatCode {
		return stored, nil
	}
	return front.Bytea(stored)
}

// Next implements driver.Rows.
func (r *pgxRows) Next(dest []sqldriver.Value) error {
	more := r.more
	if !r.ahead {
		more = r.rows.Next()
	}
	r.ahead = false
	if !more {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	for i, src := range r.rows.RawValues() {
		dest[i] = nil
		c := &r.columns[i]
		if src == nil || c.left {
			continue
		}
		if c.value == nil {
			c.value = converter(r.conn.TypeMap(), r.field(i))
		}
		var err error
		if dest[i], err = c.value(src); err != nil {
			return fmt.Errorf("convert field %d failed: %w", i, err)
		}
	}
	return nil
}

// converter returns the conversion of a column to what pgx's database/sql driver makes of it.
func converter(m *pgtype.Map, f *pgconn.FieldDescription) func(src []byte) (sqldriver.Value, error) {
	switch f.DataTypeOID {
	case pgtype.BoolOID:
		return scanned(m, f, same[bool])
	case pgtype.ByteaOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return scanned(m, f, same[[]byte])
	case pgtype.CIDOID, pgtype.OIDOID, pgtype.XIDOID:
		return scanned(m, f, pgtype.Uint32.Value)
	case pgtype.DateOID:
		return scanned(m, f, pgtype.Date.Value)
	case pgtype.TimestampOID:
		return scanned(m, f, pgtype.Timestamp.Value)
	case pgtype.TimestamptzOID:
		return scanned(m, f, pgtype.Timestamptz.Value)
	case pgtype.Float4OID:
		return scanned(m, f, func(v float32) (sqldriver.Value, error) { return float64(v), nil })
	case pgtype.Float8OID:
		return scanned(m, f, same[float64])
	case pgtype.Int2OID:
		return scanned(m, f, func(v int16) (sqldriver.Value, error) { return int64(v), nil })
	case pgtype.Int4OID:
		return scanned(m, f, func(v int32) (sqldriver.Value, error) { return int64(v), nil })
	case pgtype.Int8OID:
		return scanned(m, f, same[int64])
	}
	return scanned(m, f, same[string])
}

func same[T any](v T) (sqldriver.Value, error) { return v, nil }

// scanned scans a column into a T, and returns what value makes of it.
func scanned[T any](m *pgtype.Map, f *pgconn.FieldDescription, value func(T) (sqldriver.Value, error)) func([]byte) (sqldriver.Value, error) {
	var v T
	plan := m.PlanScan(f.DataTypeOID, f.Format, &v)
	return func(src []byte) (sqldriver.Value, error) {
		if err := plan.Scan(src, &v); err != nil {
			return nil, err
		}
		return value(v)
	}
}

func (r *pgxRows) field(i int) *pgconn.FieldDescription { return &r.rows.FieldDescriptions()[i] }

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *pgxRows) ColumnTypeDatabaseTypeName(i int) string {
	oid := r.field(i).DataTypeOID
	if t, ok := r.conn.TypeMap().TypeForOID(oid); ok {
		return strings.ToUpper(t.Name)
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// lengthOffset is the difference between a type modifier of PostgreSQL and the length that it
// stands for.
const lengthOffset = 4

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (r *pgxRows) ColumnTypeLength(i int) (int64, bool) {
	switch f := r.field(i); f.DataTypeOID {
	case pgtype.TextOID, pgtype.ByteaOID:
		return math.MaxInt64, true
	case pgtype.VarcharOID, pgtype.BPCharOID:
		return int64(f.TypeModifier - lengthOffset), true
	case pgtype.VarbitOID:
		return int64(f.TypeModifier), true
	}
	return 0, false
}

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (r *pgxRows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	f := r.field(i)
	if f.DataTypeOID != pgtype.NumericOID {
		return 0, 0, false
	}
	modifier := f.TypeModifier - lengthOffset
	return int64(modifier >> 16 & 0xffff), int64(modifier & 0xffff), true
}

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *pgxRows) ColumnTypeScanType(i int) reflect.Type {
	switch r.field(i).DataTypeOID {
	case pgtype.Float8OID, pgtype.NumericOID:
		return reflect.TypeFor[float64]()
	case pgtype.Float4OID:
		return reflect.TypeFor[float32]()
	case pgtype.Int8OID:
		return reflect.TypeFor[int64]()
	case pgtype.Int4OID:
		return reflect.TypeFor[int32]()
	case pgtype.Int2OID:
		return reflect.TypeFor[int16]()
	case pgtype.BoolOID:
		return reflect.TypeFor[bool]()
	case pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID:
		return reflect.TypeFor[time.Time]()
	case pgtype.ByteaOID:
		return bytesType
	}
	return stringType
}
