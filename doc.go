// Package colseal holds the errors that both fronts of Colseal return, and their hints.
//
// Colseal encrypts columns of a database in the program that uses it. The fronts are package
// driver, which wraps a database/sql driver, and package pgxseal, which wraps pgx. Both analyse
// each statement before it is sent. They seal the values that go into the columns that a
// schema.Schema names, open those that come out, and refuse what they do not understand in full.
//
// Where to begin: the README, then package schema (which columns, and how), package kms (the key
// encryption key), and one of the fronts. Packages keyring, ops/reseal, ops/dbcheck and ops/explain
// are for operators.
package colseal
