// Package profile tells where a program's processor time goes, by kinds of work: why
// something costs what it does, and what could be saved at most.
package profile

import (
	"bytes"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// The kinds of work, in the order that they are reported in.
const (
	Crypto    = "AES-GCM and other cryptography"
	Colseal   = "Colseal itself"
	Memory    = "allocating memory"
	Collector = "collecting garbage"
	PGX       = "pgx"
	SQL       = "database/sql"
	Network   = "the network"
	Other     = "scheduling, and the rest"
)

// Kinds are all of them.
var Kinds = []string{Crypto, Colseal, Memory, Collector, PGX, SQL, Network, Other}

// Run profiles work, which runs for about length, and returns the processor time by kind.
// Only one profile can be taken at a time: with another under way it is an error.
func Run(length time.Duration, work func()) (map[string]time.Duration, error) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		return nil, err
	}
	for start := time.Now(); time.Since(start) < length; {
		work()
	}
	pprof.StopCPUProfile()
	p, err := profile.Parse(&b)
	if err != nil {
		return nil, err
	}
	return sum(p), nil
}

func sum(p *profile.Profile) map[string]time.Duration {
	at := len(p.SampleType) - 1 // the last is processor time
	times := map[string]time.Duration{}
	for _, s := range p.Sample {
		times[kindOf(stack(s))] += time.Duration(s.Value[at])
	}
	return times
}

// stack returns the functions of a sample, the innermost first.
func stack(s *profile.Sample) []string {
	var names []string
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				names = append(names, line.Function.Name)
			}
		}
	}
	return names
}

// kindOf is decided by the collector and the allocator wherever they stand, and else by
// the innermost function that belongs to one of the kinds: what a copy costs is its
// caller's.
func kindOf(stack []string) string {
	for _, f := range stack {
		if strings.HasPrefix(f, "runtime.gc") || strings.HasPrefix(f, "runtime.bgsweep") || strings.HasPrefix(f, "runtime.deductAssistCredit") {
			return Collector
		}
	}
	for _, f := range stack {
		if f == "runtime.mallocgc" || f == "runtime.newobject" || f == "runtime.growslice" {
			return Memory
		}
	}
	for _, f := range stack {
		for _, k := range prefixes {
			if strings.HasPrefix(f, k.prefix) {
				return k.kind
			}
		}
	}
	return Other
}

var prefixes = []struct{ prefix, kind string }{
	{"crypto/", Crypto},
	{"github.com/colseal/colseal/bench", Other},
	{"github.com/colseal/colseal/", Colseal},
	{"github.com/jackc/pgx", PGX},
	{"database/sql", SQL},
	{"net.", Network}, {"internal/poll", Network}, {"syscall.", Network}, {"internal/runtime/syscall", Network},
}
