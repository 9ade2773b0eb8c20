package queries

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/pgxseal"
)

// A pool is connections of one front: of database/sql, or of native pgx.
type pool interface {
	// one reads the three values of a row.
	one(ctx context.Context, text string, id int64) error
	// many reads the three values of the rows from first to before, and returns how many there
	// were.
	many(ctx context.Context, text string, first, before int64) (int, error)
	exec(ctx context.Context, text string, args ...any) error
	// renew closes all connections; new ones are opened when they are used. It is called when none
	// is in use.
	renew(conns int)
	close() error
}

// sqlPool is a pool of database/sql.
type sqlPool struct{ db *sql.DB }

// openSQL opens a pool over pgx's database/sql driver, through Colseal if sealing is not nil.
func openSQL(cfg *pgx.ConnConfig, conns int, sealing *driver.Config) (pool, error) {
	connector := stdlib.GetConnector(*cfg)
	if sealing != nil {
		sealed, err := driver.NewConnector(connector, *sealing)
		if err != nil {
			return nil, err
		}
		connector = sealed
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return sqlPool{db}, nil
}

func (p sqlPool) one(ctx context.Context, text string, id int64) error {
	var name, email, phone string
	return p.db.QueryRowContext(ctx, text, id).Scan(&name, &email, &phone)
}

func (p sqlPool) many(ctx context.Context, text string, first, before int64) (n int, err error) {
	rows, err := p.db.QueryContext(ctx, text, first, before)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	for ; rows.Next(); n++ {
		var name, email, phone string
		if err := rows.Scan(&name, &email, &phone); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

func (p sqlPool) exec(ctx context.Context, text string, args ...any) error {
	_, err := p.db.ExecContext(ctx, text, args...)
	return err
}

func (p sqlPool) renew(conns int) {
	p.db.SetMaxIdleConns(-1)
	p.db.SetMaxIdleConns(conns)
}

func (p sqlPool) close() error { return p.db.Close() }

// nativePool is a pool of pgx's, or of Colseal's over it.
type nativePool struct {
	nativeMethods
	bytes bool // what is read is bytea, which pgx does not scan into strings
}

type nativeMethods interface {
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, text string, args ...any) pgx.Row
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
	Reset()
	Close()
}

// openNative opens a pool of pgx's, through Colseal if sealing is not nil.
func openNative(cfg *pgx.ConnConfig, conns int, sealing *driver.Config) (pool, error) {
	config, err := pgxpool.ParseConfig(cfg.ConnString())
	if err != nil {
		return nil, err
	}
	config.ConnConfig = cfg.Copy()
	config.MaxConns = int32(conns) //nolint:gosec // a few
	ctx := context.Background()
	if sealing == nil {
		p, err := pgxpool.NewWithConfig(ctx, config)
		return nativePool{nativeMethods: p}, err
	}
	p, err := pgxseal.New(ctx, config, *sealing)
	return nativePool{nativeMethods: p}, err
}

func (p nativePool) one(ctx context.Context, text string, id int64) error {
	if p.bytes {
		var name, email, phone []byte
		return p.QueryRow(ctx, text, id).Scan(&name, &email, &phone)
	}
	var name, email, phone string
	return p.QueryRow(ctx, text, id).Scan(&name, &email, &phone)
}

func (p nativePool) many(ctx context.Context, text string, first, before int64) (n int, err error) {
	rows, err := p.Query(ctx, text, first, before)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; p.bytes && rows.Next(); n++ {
		var name, email, phone []byte
		if err := rows.Scan(&name, &email, &phone); err != nil {
			return n, err
		}
	}
	for ; !p.bytes && rows.Next(); n++ {
		var name, email, phone string
		if err := rows.Scan(&name, &email, &phone); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

func (p nativePool) exec(ctx context.Context, text string, args ...any) error {
	_, err := p.Exec(ctx, text, args...)
	return err
}

func (p nativePool) renew(int) { p.Reset() }

func (p nativePool) close() error {
	p.Close()
	return nil
}
