// Package reseal holds what reseal.Run promises, on real PostgreSQL servers: that it changes keys and no values,
// beside readers and writers, and that it can be killed at any moment.
package reseal
