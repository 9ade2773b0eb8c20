//go:build unix

package stat

import (
	"syscall"
	"time"
)

// cpuTime is the processor time that this process has used, in user and system mode.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
