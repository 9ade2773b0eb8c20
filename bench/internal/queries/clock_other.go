//go:build !unix

package queries

import "time"

// processTime is the clock's time, where it is not known how long the program kept processors busy.
func processTime() time.Duration { return wallTime() }
