// Package pgxsuite runs pgx's own test suite for database/sql through Colseal's driver.
//
// pgx's module holds the tests of its stdlib package, the one that Colseal wraps. This package's test copies
// that module as the go command has it, lets every connection of those tests go through the wrapper, by a short
// list of substitutions in their text, and runs them. With nothing tagged the wrapper must not be
// noticed: every test that passes without it passes with it.
package pgxsuite
