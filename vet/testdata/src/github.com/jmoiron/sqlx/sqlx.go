// Package sqlx has the signatures of github.com/jmoiron/sqlx that the tests use.
package sqlx

import (
	"context"
	"database/sql"
)

type DB struct{ *sql.DB }

type Rows struct{ *sql.Rows }

type NamedStmt struct{}

func (*NamedStmt) Get(dest any, arg any) error { return nil }

func (*DB) Get(dest any, query string, args ...any) error                                { return nil }
func (*DB) SelectContext(ctx context.Context, dest any, query string, args ...any) error { return nil }
func (*DB) NamedExec(query string, arg any) (sql.Result, error)                          { return nil, nil }
func (*DB) NamedQuery(query string, arg any) (*Rows, error)                              { return nil, nil }
func (*DB) PrepareNamed(query string) (*NamedStmt, error)                                { return nil, nil }
func (*DB) Queryx(query string, args ...any) (*Rows, error)                              { return nil, nil }
func (*DB) MustExec(query string, args ...any) sql.Result                                { return nil }
func (*DB) Rebind(query string) string                                                   { return query }

func In(query string, args ...any) (string, []any, error)     { return "", nil, nil }
func Select(q any, dest any, query string, args ...any) error { return nil }
func Named(query string, arg any) (string, []any, error)      { return "", nil, nil }
