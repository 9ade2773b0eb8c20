// Package pooler tests Colseal behind PgBouncer in transaction mode, which gives each transaction, and each statement outside of
// one, whichever connection to the server is free.
package pooler
