// Package driver wraps any database/sql driver so that the columns that a
// [schema.Schema] names hold sealed cells in the database and plaintext in the
// program. Register a wrapped driver under a name of your own, or wrap a connector
// with [NewConnector], and go on using *sql.DB as before.
//
// Every statement is analysed before it is sent (package internal/sqlplan): its
// parameters and literals for sealed columns are sealed, its result columns opened,
// and a statement that is not understood in full is refused with a [QueryError].
// Statements that touch no sealed column, and the values of all other columns, pass
// through untouched: the underlying driver sees the caller's own text and arguments, and
// its errors and results come back as they are.
//
// The promise: plaintext of a sealed column reaches neither the underlying driver nor an
// error text nor a log record. What goes around this package ([Raw]) is outside it.
package driver
