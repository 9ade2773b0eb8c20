// Package pgxsuite runs pgx's own test suites through Colseal: that for database/sql through the driver, and those of pgx and pgxpool
// through package pgxseal.
//
// pgx's module holds the tests. This package's tests copy that module as the go command has it, let every connection of those tests
// go through the wrapper, by a short list of substitutions in their text, and run them. With nothing tagged the wrapper must not be
// noticed: every test that passes without it passes with it, but for a few that are listed with the reason.
package pgxsuite
