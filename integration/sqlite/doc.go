// Package sqlite compares sealed SQLite databases with plaintext twins: each statement gives the same labels, rows,
// error and stored values on both, or is refused before anything is sent, and no plaintext of a sealed column ever
// reaches the driver below.
package sqlite
