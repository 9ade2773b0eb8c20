// Package codec seals one value into one cell, and opens it again.
//
// A cell is what a sealed column holds instead of a value: a header of eight bytes that says which
// version, suite, column and data key it belongs to, and a body that only the holder of that data
// key can read or make. SPEC.md beside this file is the authority on every byte; testdata/vectors
// holds one case per way to fail.
//
// Five suites exist. SuiteRandomized (AES-256-GCM under a random nonce) shows nothing but the
// length of a value. SuiteDeterministic (a synthetic IV, AES-256-CTR) also shows which values of
// one column are equal, so that the database can search by equality. SuiteOrdered (the same behind
// an order term) shows their order and about how far apart they are, so that it can sort and find
// ranges.
//
// SuiteTerms is SuiteDeterministic with tokens, by which a value can also be searched for: by its
// lower case, its beginnings and ends, or the members of an array. SuiteRandomTerms has such tokens
// and a salt, so that equal values have equal tokens in different cells.
//
// The package works on bytes: it knows no clock, context, SQL or key service. A [Key] holds
// everything that is expensive and is made once per data key and column.
//
// It promises this: what it opens is exactly what was sealed, as the same kind, for the same
// column, under the same data key. Anything else is an error, and no error ever holds a value or a
// key.
package codec
