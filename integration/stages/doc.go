// Package stages runs programs in each pair of neighbouring stages side by side, on real databases, and compares what each statement
// does with a plaintext twin of the tables.
package stages
