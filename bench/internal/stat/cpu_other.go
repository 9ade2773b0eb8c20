//go:build !unix

package stat

import "time"

// cpuTime is not known here: processor times are reported as zero.
func cpuTime() time.Duration { return 0 }
