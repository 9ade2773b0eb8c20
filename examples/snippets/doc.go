// Package snippets holds the Go code that README.md and docs/ show, so that it compiles.
// A test finds each block of the pages here, word for word, and checks what else the
// pages claim: that the SQL they list works or is refused, and that their links lead
// somewhere.
package snippets
