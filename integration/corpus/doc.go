// Package corpus has the analysis read PostgreSQL's own regression tests, tens of thousands of statements that were
// written to find what a server gets wrong, with columns of their tables declared sealed. No statement may make it
// panic or hang, none that names a sealed column or a star of a sealed table may be forwarded without having been
// analysed, and what it would send must be SQL.
//
// The statements are read from the module of the grammar that this project is built with, which holds them as its
// test data. Nothing of them is kept here.
package corpus
