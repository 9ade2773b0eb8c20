// Package driver wraps a database/sql driver. The columns that a [schema.Schema] names then hold
// sealed cells in the database and plaintext in the program. [Register] a wrapped driver under a
// name of your own, or wrap a connector with [NewConnector], and use *sql.DB as before.
//
// The driver analyses every statement before it sends it. It seals the parameters and literals for
// sealed columns, opens the result columns, and refuses a statement that it does not understand in
// full with a [QueryError]. Statements that touch no sealed column, and the values of other
// columns, pass through unchanged: the underlying driver sees the caller's own text and arguments,
// and its errors and results come back as they are.
//
// The promise: plaintext of a sealed column reaches neither the underlying driver nor an error text
// nor a log record. What goes around this package, by [Raw], is outside of it.
package driver
