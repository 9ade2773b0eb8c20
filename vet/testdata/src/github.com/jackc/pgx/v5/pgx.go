// Package pgx has the signatures of github.com/jackc/pgx/v5 that the tests use.
package pgx

import (
	"context"

	"github.com/jackc/pgx/v5/pgconn"
)

type Conn struct{}

type Rows interface{ Next() bool }

type Row interface{ Scan(dest ...any) error }

type Batch struct{}

type QueuedQuery struct{}

type Identifier []string

type NamedArgs map[string]any

type CopyFromSource interface{ Next() bool }

func (*Conn) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, nil
}
func (*Conn) Query(ctx context.Context, sql string, args ...any) (Rows, error) { return nil, nil }
func (*Conn) QueryRow(ctx context.Context, sql string, args ...any) Row        { return nil }
func (*Conn) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return nil, nil
}
func (*Conn) CopyFrom(ctx context.Context, table Identifier, columns []string, src CopyFromSource) (int64, error) {
	return 0, nil
}
func (*Batch) Queue(query string, args ...any) *QueuedQuery { return nil }
