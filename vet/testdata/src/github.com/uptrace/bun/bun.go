// Package bun has the signatures of github.com/uptrace/bun that the tests use.
package bun

import (
	"context"
	"database/sql"
)

type DB struct{}

type Ident string

type RawQuery struct{}

func (*DB) NewRaw(query string, args ...any) *RawQuery { return nil }
func (*DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return nil, nil
}
