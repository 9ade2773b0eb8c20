package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/pgxvalue"
	"github.com/colseal/colseal/schema"
)

// pgxConn is a connection of pgx's database/sql driver. pgx adds to what every driver has: leading
// options, query rewriters, Go slices for arrays, the transaction status, the settings that the
// server reports, and COPY.
type pgxConn struct {
	contextConn
	std    *stdlib.Conn
	mode   pgx.QueryExecMode // the default
	traced bool              // by a tracer of the program's
}

func (c *pgxConn) raw() sqldriver.Conn { return c.std }

// copies is true: pgx encodes arguments before it returns, and makes a copy of each bytea that it
// reads.
func (c *pgxConn) copies() bool { return true }
func (c *pgxConn) shows() bool  { return c.traced }

// TxStatus implements front.Conn.
func (c *pgxConn) TxStatus() byte { return c.std.Conn().PgConn().TxStatus() }

// Parameter implements front.Conn.
func (c *pgxConn) Parameter(name string) string { return c.std.Conn().PgConn().ParameterStatus(name) }

// checker has every value taken as it is, as pgx does.
func (c *pgxConn) checker(sqldriver.Stmt) argChecker { return argChecker{all: true} }

// sendsText is true for the modes in which pgx does not ask the server for the types of parameters.
func (c *pgxConn) sendsText(opts []sqldriver.NamedValue) bool {
	mode := c.mode
	for i := range opts {
		if m, ok := opts[i].Value.(pgx.QueryExecMode); ok {
			mode = m
		}
	}
	return mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol
}

func (c *pgxConn) value(kind codec.Kind, arg any, asText bool) (any, error) {
	if asText {
		return pgxvalue.TextValue(c.std.Conn().TypeMap(), kind, arg)
	}
	return pgxvalue.Value(c.std.Conn().TypeMap(), kind, arg)
}

func (c *pgxConn) elements(kind codec.Kind, arg any, asText bool) ([]any, error) {
	if asText {
		return pgxvalue.TextElements(c.std.Conn().TypeMap(), kind, arg)
	}
	return pgxvalue.Elements(c.std.Conn().TypeMap(), kind, arg)
}

// array returns Go slices, which pgx encodes in every mode.
func (c *pgxConn) array(storage dbcatalog.Storage, cells [][]byte) any {
	return front.ArrayArgument(storage, cells)
}

// Query implements dbcatalog.Querier. All values come as texts, a bytea in either form of
// bytea_output, one of which pgx does not read.
func (c *pgxConn) Query(ctx context.Context, text string, params ...sqldriver.Value) ([]dbcatalog.Row, error) {
	args := []any{pgx.QueryExecModeExec}
	for _, p := range params {
		args = append(args, p)
	}
	rows, err := c.std.Conn().Query(ctx, text, args...)
	if err != nil {
		if pgconn.SafeToRetry(err) {
			return nil, sqldriver.ErrBadConn
		}
		return nil, err
	}
	defer rows.Close()
	var out []dbcatalog.Row
	for rows.Next() {
		row := make(dbcatalog.Row, len(rows.RawValues()))
		for i, v := range rows.RawValues() {
			switch {
			case v == nil:
			case rows.FieldDescriptions()[i].DataTypeOID == pgtype.ByteaOID:
				if row[i], err = front.Bytea(v); err != nil {
					return nil, err
				}
			default:
				row[i] = string(v)
			}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// Exec implements dbcatalog.Querier.
func (c *pgxConn) Exec(ctx context.Context, text string, params ...sqldriver.Value) (int64, error) {
	return ownExec(ctx, c, text, ownMode(params))
}

// ownMode adds the mode for our own statements: one round trip, nothing cached, whatever the
// connection's default is.
func ownMode(params []sqldriver.Value) []sqldriver.NamedValue {
	return prepend([]sqldriver.NamedValue{{Ordinal: 1, Value: pgx.QueryExecModeExec}}, ownArgs(params), nil)
}

// resetsSession reports whether connections of a connector may run code of the program's
// when they are taken from the pool again (stdlib.OptionResetSession), which can change the
// search path without a text that goes through here. It is false only for what is known:
// pgx's connectors without that option.
func resetsSession(cn sqldriver.Connector) bool {
	if dc, err := stdlib.GetDefaultDriver().(sqldriver.DriverContext).OpenConnector(""); err == nil && reflect.TypeOf(cn) == reflect.TypeOf(dc) {
		return false // it has no options
	}
	own := reflect.ValueOf(cn)
	for _, unset := range []sqldriver.Connector{stdlib.GetConnector(pgx.ConnConfig{}), stdlib.GetPoolConnector(nil)} {
		none := reflect.ValueOf(unset)
		if none.Kind() != reflect.Struct || own.Type() != none.Type() {
			continue
		}
		if f := own.FieldByName("ResetSession"); f.Kind() == reflect.Func && f.Pointer() == none.FieldByName("ResetSession").Pointer() {
			return false
		}
	}
	return true
}

// split splits pgx's leading options off, as pgx does (Conn.Query and Conn.Exec). It applies a
// query rewriter itself, so that the statement which is analysed is the one that is sent. pgx does
// not get the rewriter.
func (c *pgxConn) split(ctx context.Context, query string, args []sqldriver.NamedValue, isQuery bool) (
	text string, opts, rest []sqldriver.NamedValue, err error,
) {
	n, rewriters := 0, 0
	var rewriter pgx.QueryRewriter
scan:
	for n < len(args) {
		switch v := args[n].Value.(type) {
		case pgx.QueryExecMode:
		case pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
			if !isQuery {
				break scan
			}
		case pgx.QueryRewriter:
			rewriter = v
			rewriters++
		default:
			break scan
		}
		n++
	}
	opts, rest = args[:n:n], args[n:]
	if rewriter == nil {
		return query, opts, rest, nil
	}
	opts = make([]sqldriver.NamedValue, 0, n-rewriters)
	for _, o := range args[:n] {
		if !c.isRewriter(o.Value) {
			opts = append(opts, o)
		}
	}
	given := make([]any, len(rest))
	for i := range rest {
		given[i] = rest[i].Value
	}
	text, made, err := rewriter.RewriteQuery(ctx, c.std.Conn(), query, given)
	if err != nil {
		return "", nil, nil, fmt.Errorf("rewrite query failed: %w", err)
	}
	rest = make([]sqldriver.NamedValue, len(made))
	for i, v := range made {
		rest[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return text, opts, rest, nil
}

func (c *pgxConn) isRewriter(v any) bool {
	switch v.(type) {
	case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		return false
	case pgx.QueryRewriter:
		return true
	}
	return false
}

// copyFrom runs COPY with rows from next, which returns nil at the end.
func (c *pgxConn) copyFrom(ctx context.Context, table, columns []string, next func() ([]any, error)) (int64, error) {
	return c.std.Conn().CopyFrom(ctx, pgx.Identifier(table), columns, pgx.CopyFromFunc(next))
}

// arrayOIDs are the types of an array of each kind's values.
var arrayOIDs = map[codec.Kind]uint32{
	schema.KindText: pgtype.TextArrayOID, schema.KindBytes: pgtype.ByteaArrayOID, schema.KindInt: pgtype.Int8ArrayOID,
	schema.KindFloat: pgtype.Float8ArrayOID, schema.KindBool: pgtype.BoolArrayOID, schema.KindTime: pgtype.TimestamptzArrayOID,
	schema.KindJSON: pgtype.JSONBArrayOID, schema.KindUUID: pgtype.UUIDArrayOID, schema.KindNumeric: pgtype.NumericArrayOID,
	schema.KindDate: pgtype.DateArrayOID, schema.KindTimestamp: pgtype.TimestampArrayOID,
}

// scan scans into what pgx knows besides: slices, maps and structs.
func (c *pgxConn) scan(kind codec.Kind, array bool, text string, dest any) (bool, error) {
	oid := arrayOIDs[kind]
	switch {
	case array:
	case kind == schema.KindTextArray:
		oid = pgtype.TextArrayOID
	case kind == schema.KindIntArray:
		oid = pgtype.Int8ArrayOID
	case kind == schema.KindJSON:
		oid = pgtype.JSONBOID
	case kind == schema.KindUUID:
		oid = pgtype.UUIDOID
	case kind == schema.KindNumeric:
		oid = pgtype.NumericOID
	default:
		oid = pgtype.TextOID
	}
	return true, c.std.Conn().TypeMap().Scan(oid, pgx.TextFormatCode, []byte(text), dest)
}
