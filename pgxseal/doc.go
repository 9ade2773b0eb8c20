// Package pgxseal is pgx with sealed columns: [Pool], [Conn] and [Tx] have the methods of pgxpool.Pool, pgx.Conn and pgx.Tx, so that a
// program, or code that sqlc generated for pgx/v5, uses them in their place. What package driver does for database/sql is done
// here: the analysis of each statement, the keys, the cells, the refusals ([driver.QueryError]) and the metrics are the same, and so
// is the configuration.
//
// Arguments for sealed columns may be of every Go type that pgx takes for the plain column, with the types that the program
// registered on the connection. Results are scanned by pgx as values of the plain column's type: text, bytea, int8, float8, bool,
// timestamptz, jsonb, uuid, numeric, date, timestamp, text[] and int8[]. Field descriptions say so, and raw values are such values;
// neither ever shows a cell.
//
// The promise: plaintext of a sealed column reaches neither the server nor an error text, a tracer or a log record. What the program
// does with the connection below is outside it: with what the methods Raw, Conn of transactions and rows, and PgConn return, with
// the pool that was given to [Wrap], and in the hooks of the pool's configuration.
package pgxseal
