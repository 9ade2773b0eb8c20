// Package colseal holds what all of Colseal has in common: the errors that its two fronts return, and the hints that they
// carry.
//
// Colseal encrypts columns of a database in the program that uses it. Package driver wraps a database/sql driver, package
// pgxseal stands in front of pgx; both analyse each statement before it is sent, seal the values that go into the columns
// that a schema.Schema names, open those that come out, and refuse what they do not understand in full.
//
// Where to begin: the README, then package schema (which columns, and how), package kms (the key encryption key), and one
// of the fronts. Packages keyring, ops/reseal, ops/dbcheck and ops/explain are for operators.
package colseal
