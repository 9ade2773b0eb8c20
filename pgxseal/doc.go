// Package pgxseal is pgx with sealed columns. [Pool], [Conn] and [Tx] have the methods of
// pgxpool.Pool, pgx.Conn and pgx.Tx: a program, or code that sqlc generated for pgx/v5, uses them
// in their place. The package does for pgx what package driver does for database/sql. The analysis
// of statements, the keys, the cells, the refusals ([driver.QueryError]), the metrics and the
// configuration are the same.
//
// An argument for a sealed column may be of every Go type that pgx accepts for the plain column,
// including the types that the program registered on the connection. pgx scans results as values of
// the plain column's type: text, bytea, int8, float8, bool, timestamptz, jsonb, uuid, numeric,
// date, timestamp, text[] or int8[]. Field descriptions name that type, and raw values are of it.
// Neither ever shows a cell.
//
// The promise: plaintext of a sealed column reaches neither the server nor an error text, a tracer
// or a log record. What the program does with pgx's own connection is outside of it: with what Raw,
// PgConn, and Conn of transactions and rows return, with the pool that was given to [Wrap], and in
// the hooks of the pool's configuration.
package pgxseal
