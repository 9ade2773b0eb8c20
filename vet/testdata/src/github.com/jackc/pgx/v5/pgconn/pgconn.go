// Package pgconn has the types of github.com/jackc/pgx/v5/pgconn that the tests use.
package pgconn

type CommandTag struct{}

type StatementDescription struct{}
