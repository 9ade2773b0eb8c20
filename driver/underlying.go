package driver

import (
	"bytes"
	"context"
	sqldriver "database/sql/driver"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/pgxvalue"
	"github.com/colseal/colseal/schema"
)

// underlying is a connection of the underlying driver, with what drivers do differently. pgxConn
// and plainConn implement it.
type underlying interface {
	front.Conn

	raw() sqldriver.Conn
	contextConn

	// querySealed runs a query whose result has sealed columns. stmt is its prepared statement, if
	// it has one.
	querySealed(ctx context.Context, stmt contextStmt, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error)

	// split removes the driver's own options from the front of a statement's arguments. text is
	// analysed and sent in place of query.
	split(ctx context.Context, query string, args []sqldriver.NamedValue, isQuery bool) (text string, opts, rest []sqldriver.NamedValue, err error)

	// checker returns the check of plain arguments that database/sql would run for the driver. stmt
	// is nil for a statement that is not prepared.
	checker(stmt sqldriver.Stmt) argChecker

	// value returns what the driver would send for an argument to a plain column of kind, as
	// package codec expects it: nil for NULL. elements returns the elements of an array of such
	// values. asText is the result of sendsText.
	value(kind codec.Kind, arg any, asText bool) (any, error)
	elements(kind codec.Kind, arg any, asText bool) ([]any, error)

	// sendsText reports whether the driver, not knowing the types of the parameters, sends
	// arguments as the texts of their Go types. It is asked for a statement with these options that
	// is not prepared.
	sendsText(opts []sqldriver.NamedValue) bool

	// copies reports whether the driver has copied the arguments when it returns, and never uses a
	// []byte of a result again.
	copies() bool

	// shows reports whether the driver shows arguments to code of the program, which may keep them.
	shows() bool

	// array returns the argument for an array of cells; nil cells are NULL.
	array(storage dbcatalog.Storage, cells [][]byte) any

	copyFrom(ctx context.Context, table, columns []string, next func() ([]any, error)) (int64, error)

	// scan stores the text of a value in a destination that database/sql does not know. ok is false
	// if the driver does not know it either. array says that the value is an array of the kind.
	scan(kind codec.Kind, array bool, text string, dest any) (ok bool, err error)
}

// contextConn are the interfaces that a connection must have. pgx, lib/pq since 1.10 and
// modernc.org/sqlite have them.
type contextConn interface {
	sqldriver.ConnPrepareContext
	sqldriver.ConnBeginTx
	sqldriver.ExecerContext
	sqldriver.QueryerContext
}

// contextStmt are the interfaces that a prepared statement must have.
type contextStmt interface {
	sqldriver.Stmt
	sqldriver.StmtExecContext
	sqldriver.StmtQueryContext
}

func newUnderlying(raw sqldriver.Conn, d dialect.Dialect) (underlying, error) {
	if std, ok := raw.(*stdlib.Conn); ok {
		cfg := std.Conn().Config()
		pgxvalue.RegisterCell(std.Conn().TypeMap())
		return &pgxConn{contextConn: std, std: std, mode: cfg.DefaultQueryExecMode, traced: cfg.Tracer != nil}, nil
	}
	c, ok := raw.(contextConn)
	if !ok {
		return nil, hint.With(fmt.Errorf("colseal: the underlying driver's connections (%T) lack ExecContext, QueryContext, PrepareContext or BeginTx", raw), newerDriver)
	}
	return &plainConn{contextConn: c, conn: raw, dialect: d}, nil
}

const newerDriver = "use a version of the driver that has them"

// prepare prepares a statement on the underlying connection.
func prepare(ctx context.Context, u underlying, text string) (contextStmt, error) {
	st, err := u.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	cs, ok := st.(contextStmt)
	if !ok {
		_ = st.Close() // the error below says more
		return nil, hint.With(fmt.Errorf("colseal: the underlying driver's statements (%T) lack ExecContext or QueryContext", st), newerDriver)
	}
	return cs, nil
}

// plainConn is a connection of any driver but pgx's.
type plainConn struct {
	contextConn
	conn    sqldriver.Conn
	dialect dialect.Dialect
	typeMap *pgtype.Map // made when it is needed
}

func (c *plainConn) sendsText([]sqldriver.NamedValue) bool { return false }

func (c *plainConn) raw() sqldriver.Conn     { return c.conn }
func (c *plainConn) copies() bool            { return false }
func (c *plainConn) shows() bool             { return true }
func (c *plainConn) TxStatus() byte          { return 0 }
func (c *plainConn) Parameter(string) string { return "" }

func (c *plainConn) querySealed(ctx context.Context, stmt contextStmt, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	return queryBelow(ctx, c, stmt, text, args)
}

// queryBelow runs a query as database/sql does.
func queryBelow(ctx context.Context, c contextConn, stmt contextStmt, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if stmt != nil {
		return stmt.QueryContext(ctx, args)
	}
	return c.QueryContext(ctx, text, args)
}

func (c *plainConn) split(_ context.Context, query string, args []sqldriver.NamedValue, _ bool) (string, []sqldriver.NamedValue, []sqldriver.NamedValue, error) {
	// pgx may be below a driver that wraps it.
	return query, nil, args, refuseRewriter(args, "a driver that is not pgx's own")
}

func (c *plainConn) checker(stmt sqldriver.Stmt) argChecker {
	if nvc, ok := stmt.(sqldriver.NamedValueChecker); ok {
		return argChecker{nvc: nvc}
	}
	nvc, _ := c.conn.(sqldriver.NamedValueChecker)
	return argChecker{nvc: nvc}
}

// value converts an argument as database/sql does. It also accepts the Go types that pgx accepts,
// because the driver may wrap pgx's. It does not ask the driver, which must not see the value.
func (c *plainConn) value(kind codec.Kind, arg any, _ bool) (any, error) {
	v, ok, err := convert(kind, arg)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return pgxvalue.Value(c.types(), kind, arg)
	case c.dialect == dialect.Postgres && (kind == schema.KindText || kind == schema.KindJSON):
		return textOf(v), nil
	}
	return v, nil
}

func (c *plainConn) elements(kind codec.Kind, arg any, _ bool) ([]any, error) {
	v, _, err := convert(kind, arg)
	if err != nil {
		return nil, err
	}
	switch t := v.(type) {
	case nil:
		return pgxvalue.Elements(c.types(), kind, arg)
	case string:
		return pgxvalue.ParseArray(t)
	case []byte:
		return pgxvalue.ParseArray(string(t))
	}
	return nil, pgxvalue.ErrNoArray
}

// convert converts an argument to a driver.Value or an int; nil is NULL. ok is false for a type
// that database/sql does not convert.
func convert(kind codec.Kind, arg any) (v any, ok bool, err error) {
	switch t := arg.(type) {
	case nil, string, int64, int, float64, bool, time.Time:
		return arg, true, nil
	case []byte:
		if t == nil {
			return nil, true, nil
		}
		return arg, true, nil
	}
	v, err = sqldriver.DefaultParameterConverter.ConvertValue(arg)
	if err != nil {
		if _, valuer := arg.(sqldriver.Valuer); valuer {
			return nil, false, pgxvalue.NewError(kind, arg, err)
		}
		return nil, false, nil
	}
	if b, is := v.([]byte); is && b == nil {
		v = nil
	}
	return v, true, nil
}

// textOf returns the text that a driver which sends all arguments as text, such as lib/pq, sends
// for a number or bool.
func textOf(v any) any {
	switch t := v.(type) {
	case int:
		return strconv.Itoa(t)
	case int64:
		return strconv.FormatInt(t, 10)
	case float64:
		return strconv.FormatFloat(t, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(t)
	}
	return v
}

func (c *plainConn) types() *pgtype.Map {
	if c.typeMap == nil {
		c.typeMap = pgtype.NewMap()
	}
	return c.typeMap
}

func (c *plainConn) array(storage dbcatalog.Storage, cells [][]byte) any {
	return front.ArrayLiteral(storage, cells)
}

// Query implements dbcatalog.Querier.
func (c *plainConn) Query(ctx context.Context, text string, params ...sqldriver.Value) ([]dbcatalog.Row, error) {
	return ownQuery(ctx, c, text, ownArgs(params))
}

// Exec implements dbcatalog.Querier.
func (c *plainConn) Exec(ctx context.Context, text string, params ...sqldriver.Value) (int64, error) {
	return ownExec(ctx, c, text, ownArgs(params))
}

func (c *plainConn) scan(codec.Kind, bool, string, any) (bool, error) { return false, nil }

// ownQuery runs a query of our own and returns copies of all rows. It returns the driver's errors
// as they are.
func ownQuery(ctx context.Context, c contextConn, text string, args []sqldriver.NamedValue) ([]dbcatalog.Row, error) {
	rows, err := c.QueryContext(ctx, text, args)
	if err == sqldriver.ErrSkip {
		st, perr := c.PrepareContext(ctx, text)
		if perr != nil {
			return nil, perr
		}
		defer func() { _ = st.Close() }() // all was read, or an error is on its way
		rows, err = st.(contextStmt).QueryContext(ctx, args)
	}
	if err != nil {
		return nil, err
	}
	out, err := readAll(rows)
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return out, err
}

// ownExec runs a statement of our own and returns how many rows it changed.
func ownExec(ctx context.Context, c contextConn, text string, args []sqldriver.NamedValue) (int64, error) {
	res, err := c.ExecContext(ctx, text, args)
	if err == sqldriver.ErrSkip {
		st, perr := c.PrepareContext(ctx, text)
		if perr != nil {
			return 0, perr
		}
		defer func() { _ = st.Close() }() // it has been executed
		res, err = st.(contextStmt).ExecContext(ctx, args)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func ownArgs(params []sqldriver.Value) []sqldriver.NamedValue {
	args := make([]sqldriver.NamedValue, len(params))
	for i, p := range params {
		args[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: p}
	}
	return args
}

// readAll copies what is left of a result.
func readAll(rows sqldriver.Rows) ([]dbcatalog.Row, error) {
	var out []dbcatalog.Row
	n := len(rows.Columns())
	for {
		row := make(dbcatalog.Row, n)
		if err := rows.Next(row); err != nil {
			if err == io.EOF {
				return out, nil
			}
			return nil, err
		}
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				row[i] = bytes.Clone(b) // a driver may use the memory again
			}
		}
		out = append(out, row)
	}
}

// refuseRewriter refuses pgx's query rewriters where they would reach pgx, which would send another
// statement than the one that was analysed. pgx finds them only among the leading options.
func refuseRewriter(args []sqldriver.NamedValue, where string) error {
	for i := range args {
		switch args[i].Value.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
		case pgx.QueryRewriter:
			return &QueryError{
				Class:  colseal.ClassUnsupported,
				Reason: "a pgx query rewriter with " + where,
				Hint:   "give the arguments in order, with a statement that is not prepared, or rewrite the text before it is given",
			}
		default:
			return nil
		}
	}
	return nil
}
