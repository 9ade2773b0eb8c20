//go:build unix

package queries

import (
	"syscall"
	"time"
)

// processTime is how long the program has kept processors busy: what else runs on the machine does
// not count.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return wallTime()
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
