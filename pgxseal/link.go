package pgxseal

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"reflect"
	"unsafe"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/hint"
)

// link is what a session asks of its connection.
type link struct{ raw *pgx.Conn }

var _ front.Conn = link{}

// TxStatus implements front.Conn.
func (l link) TxStatus() byte { return l.raw.PgConn().TxStatus() }

// Parameter implements front.Conn.
func (l link) Parameter(name string) string { return l.raw.PgConn().ParameterStatus(name) }

// Query implements dbcatalog.Querier. It takes one round trip and caches nothing, whatever the
// connection's default mode is.
func (l link) Query(ctx context.Context, text string, params ...sqldriver.Value) ([]dbcatalog.Row, error) {
	rows, err := l.raw.Query(ctx, text, ownArgs(params)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []dbcatalog.Row
	for rows.Next() {
		values := rows.RawValues() // texts, in this mode
		row := make(dbcatalog.Row, len(values))
		for i, v := range values {
			if v != nil {
				row[i] = string(v)
			}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// Exec implements dbcatalog.Querier.
func (l link) Exec(ctx context.Context, text string, params ...sqldriver.Value) (int64, error) {
	tag, err := l.raw.Exec(ctx, text, ownArgs(params)...)
	return tag.RowsAffected(), err
}

var _ front.Spare = link{}

// QueryContext implements driver.QueryerContext, for the keyring.
func (l link) QueryContext(ctx context.Context, text string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	rows, err := l.raw.Query(ctx, text, ownArgs(valuesOf(args))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &readRows{columns: make([]string, len(rows.FieldDescriptions()))}
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return nil, err
		}
		for i, v := range row {
			if row[i], err = sqldriver.DefaultParameterConverter.ConvertValue(v); err != nil {
				return nil, err
			}
		}
		out.rows = append(out.rows, row)
	}
	return out, rows.Err()
}

// ExecContext implements driver.ExecerContext, for the keyring.
func (l link) ExecContext(ctx context.Context, text string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	n, err := l.Exec(ctx, text, valuesOf(args)...)
	return sqldriver.RowsAffected(n), err
}

func valuesOf(args []sqldriver.NamedValue) []sqldriver.Value {
	values := make([]sqldriver.Value, len(args))
	for i, a := range args {
		values[i] = a.Value
	}
	return values
}

// readRows are rows in memory.
type readRows struct {
	columns []string
	rows    [][]any
}

func (r *readRows) Columns() []string { return r.columns }
func (r *readRows) Close() error      { return nil }

func (r *readRows) Next(dest []sqldriver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	for i := range dest {
		dest[i] = r.rows[0][i]
	}
	r.rows = r.rows[1:]
	return nil
}

func ownArgs(params []sqldriver.Value) []any {
	args := make([]any, 0, len(params)+1)
	args = append(args, pgx.QueryExecModeExec)
	for _, p := range params {
		args = append(args, p)
	}
	return args
}

// hooks are what a program has done with each new connection.
type hooks struct {
	before func(context.Context, *pgx.ConnConfig) error
	after  func(context.Context, *pgx.Conn) error
}

// newDB returns what the connections to one database share.
func newDB(cfg driver.Config, connect *pgx.ConnConfig, h hooks) (*front.DB, error) {
	shared, err := cfg.Front()
	if err != nil {
		return nil, err
	}
	if cfg.Dialect != driver.DialectPostgres {
		return nil, errors.New("colseal: Config.Dialect is not Postgres, the only one that pgx speaks")
	}
	if preparedIndex == nil || batchTx == nil || commitText == nil {
		return nil, hint.With(errors.New("colseal: this version of pgx keeps prepared statements or batches in another way than the versions that pgxseal knows"),
			"use the version that Colseal's go.mod requires")
	}
	connect = connect.Copy() // the program may change its own for another connection
	var opts []stdlib.OptionOpenDB
	if h.before != nil {
		opts = append(opts, stdlib.OptionBeforeConnect(h.before))
	}
	if h.after != nil {
		opts = append(opts, stdlib.OptionAfterConnect(h.after))
	}
	shared.Connector = stdlib.GetConnector(*connect, opts...)
	shared.Connect = func(ctx context.Context) (front.Conn, func() error, error) {
		raw, err := h.connect(ctx, connect)
		if err != nil {
			return nil, nil, err
		}
		return link{raw}, func() error { return raw.Close(context.WithoutCancel(ctx)) }, nil
	}
	return front.New(shared), nil
}

// connect opens a connection as the program's pool does.
func (h hooks) connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	cfg = cfg.Copy()
	if h.before != nil {
		if err := h.before(ctx, cfg); err != nil {
			return nil, err
		}
	}
	raw, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if h.after != nil {
		if err := h.after(ctx, raw); err != nil {
			return nil, errors.Join(err, raw.Close(context.WithoutCancel(ctx)))
		}
	}
	return raw, nil
}

// preparedStatements are the statements that were prepared on a connection, by name. pgx reads a
// text as the name of one before it reads it as SQL. Statements that were prepared past this
// package, in a hook of the pool for example, were not analysed. Only pgx knows them.
type preparedStatements = map[string]*pgconn.StatementDescription

// preparedIndex is where pgx keeps them; nil if that is not known.
var preparedIndex = func() *uintptr {
	f, ok := reflect.TypeFor[pgx.Conn]().FieldByName("preparedStatements")
	if !ok || f.Type != reflect.TypeFor[preparedStatements]() {
		return nil
	}
	return &f.Offset
}()

func preparedOn(raw *pgx.Conn) preparedStatements {
	return *(*preparedStatements)(unsafe.Add(unsafe.Pointer(raw), *preparedIndex))
}
