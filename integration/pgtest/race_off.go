//go:build !race

package pgtest

// Race tells whether the race detector is on. It makes everything several times slower, so that a
// test of volume does less under it.
const Race = false
