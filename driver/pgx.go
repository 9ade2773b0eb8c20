package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// This file is the only one that knows pgx. All that it adds to what any driver gets is:
// pgx's leading options and query rewriters, Go slices for arrays, the transaction status
// and the settings that the server reports, and COPY.

// pgxConn is a connection of pgx's database/sql driver.
type pgxConn struct {
	std *stdlib.Conn
	// caches says that pgx prepares and caches every statement by its text.
	caches bool
}

// asPGX returns nil if inner is not pgx's.
func asPGX(inner sqldriver.Conn) *pgxConn {
	std, ok := inner.(*stdlib.Conn)
	if !ok {
		return nil
	}
	mode := std.Conn().Config().DefaultQueryExecMode
	return &pgxConn{std: std, caches: mode == pgx.QueryExecModeCacheStatement || mode == pgx.QueryExecModeCacheDescribe}
}

// inTx reports whether a transaction is open, or failed and not yet rolled back.
func (c *pgxConn) inTx() bool { return c.std.Conn().PgConn().TxStatus() != 'I' }

// nonstandardStrings reports whether the server said that standard_conforming_strings is
// off.
func (c *pgxConn) nonstandardStrings() bool {
	return c.std.Conn().PgConn().ParameterStatus("standard_conforming_strings") == "off"
}

// foreignEncoding reports whether the server takes the texts for ones of an encoding in which a
// byte that is ASCII in UTF-8 can be a part of another character: it would find other strings
// and names in them than the analysis. Servers have none of these, so that a client asked for it.
func (c *pgxConn) foreignEncoding() bool {
	switch c.std.Conn().PgConn().ParameterStatus("client_encoding") {
	case "BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC":
		return true
	}
	return false
}

// searchPath is the search path that the server reported last; "" before PostgreSQL 18.
func (c *pgxConn) searchPath() string {
	return c.std.Conn().PgConn().ParameterStatus("search_path")
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

// options splits pgx's leading options off, as pgx does (Conn.Query and Conn.Exec). A
// rewriter is applied here and now, so that what it makes is what is analysed, and what
// is sent; pgx does not get it.
func (c *pgxConn) options(ctx context.Context, query string, args []sqldriver.NamedValue, isQuery bool) (
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

// refuseRewriter refuses pgx's query rewriters where they would reach pgx and make another
// text of the one that was analysed. pgx takes them from among the leading options only.
func refuseRewriter(args []sqldriver.NamedValue, where string) error {
	for i := range args {
		switch args[i].Value.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		case pgx.QueryRewriter:
			return &QueryError{
				Class:  sqlplan.ClassUnsupported,
				Reason: "a pgx query rewriter with " + where,
				Hint:   "give the arguments in order, with a statement that is not prepared, or rewrite the text before it is given",
			}
		default:
			return nil
		}
	}
	return nil
}

// uncached adds the mode that leaves pgx's statement cache alone, unless the caller chose
// a mode.
func (c *pgxConn) uncached(opts []sqldriver.NamedValue) []sqldriver.NamedValue {
	if !c.caches {
		return opts
	}
	for _, o := range opts {
		if _, ok := o.Value.(pgx.QueryExecMode); ok {
			return opts
		}
	}
	mode := sqldriver.NamedValue{Ordinal: 1, Value: pgx.QueryExecModeDescribeExec}
	return append([]sqldriver.NamedValue{mode}, opts...)
}

// lookup adds the mode for our own catalog queries: one round trip, nothing cached, and
// independent of the connection's default.
func (c *pgxConn) lookup(args []sqldriver.NamedValue) []sqldriver.NamedValue {
	return prepend([]sqldriver.NamedValue{{Ordinal: 1, Value: pgx.QueryExecModeExec}}, args, nil)
}

// copyFrom runs COPY with rows from next, which returns nil at the end.
func (c *pgxConn) copyFrom(ctx context.Context, table, columns []string, next func() ([]any, error)) (int64, error) {
	return c.std.Conn().CopyFrom(ctx, pgx.Identifier(table), columns, pgx.CopyFromFunc(next))
}

// pgxElements returns the elements of one of pgx's array types that are no Go slices;
// ok is false if v is none. A NULL array has nil elements.
func pgxElements(v any) (elems []any, ok bool, err error) {
	a, ok := v.(pgtype.ArrayGetter)
	if !ok {
		return nil, false, nil
	}
	dims := a.Dimensions()
	if dims == nil {
		return nil, true, nil
	}
	if len(dims) > 1 {
		return nil, true, fmt.Errorf("%w: an array of %d dimensions", codec.ErrValue, len(dims))
	}
	n := 0
	for _, d := range dims {
		n = int(d.Length)
	}
	elems = make([]any, n)
	for i := range elems {
		elems[i] = a.Index(i)
	}
	return elems, true, nil
}

// arrayOIDs are the types of an array of each kind's values.
var arrayOIDs = map[codec.Kind]uint32{
	schema.Text: pgtype.TextArrayOID, schema.Bytes: pgtype.ByteaArrayOID, schema.Int: pgtype.Int8ArrayOID,
	schema.Float: pgtype.Float8ArrayOID, schema.Bool: pgtype.BoolArrayOID, schema.Time: pgtype.TimestamptzArrayOID,
	schema.JSON: pgtype.JSONBArrayOID, schema.UUID: pgtype.UUIDArrayOID, schema.Numeric: pgtype.NumericArrayOID,
	schema.Date: pgtype.DateArrayOID, schema.Timestamp: pgtype.TimestampArrayOID,
}

// scanNative scans the text of a value into a destination that database/sql does not know
// but pgx does, such as a slice. elements says that the value is an array of the kind.
func (c *pgxConn) scanNative(kind codec.Kind, elements bool, text string, dest any) error {
	oid := arrayOIDs[kind]
	switch {
	case elements:
	case kind == schema.TextArray:
		oid = pgtype.TextArrayOID
	case kind == schema.IntArray:
		oid = pgtype.Int8ArrayOID
	case kind == schema.JSON:
		oid = pgtype.JSONBOID
	case kind == schema.UUID:
		oid = pgtype.UUIDOID
	case kind == schema.Numeric:
		oid = pgtype.NumericOID
	default:
		oid = pgtype.TextOID
	}
	return c.std.Conn().TypeMap().Scan(oid, pgx.TextFormatCode, []byte(text), dest)
}
