package sim

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// An Access is one lookup of a recorded trace.
type Access struct {
	At  time.Duration // since the trace began
	Key int           // number of the key, in the order of first appearance
}

// ReadTrace reads a trace: one lookup per line, either a key id (any word without a
// comma), and then the lookups are rate per second; or seconds, a comma and a key
// id, in the order of time. Empty lines and those that start with # are passed over.
// It returns the lookups and how many different keys there are.
func ReadTrace(r io.Reader, rate float64) (accesses []Access, keys int, err error) {
	number := map[string]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		at := time.Duration(float64(len(accesses)) / rate * float64(time.Second))
		id := line
		if seconds, rest, timed := strings.Cut(line, ","); timed {
			s, err := strconv.ParseFloat(strings.TrimSpace(seconds), 64)
			if err != nil || s < 0 {
				return nil, 0, fmt.Errorf("trace, line %d: want \"seconds,key-id\"", n)
			}
			at, id = time.Duration(s*float64(time.Second)), strings.TrimSpace(rest)
		}
		if len(accesses) > 0 && at < accesses[len(accesses)-1].At {
			return nil, 0, fmt.Errorf("trace, line %d: earlier than the line before", n)
		}
		if _, known := number[id]; !known {
			number[id] = len(number)
		}
		accesses = append(accesses, Access{at, number[id]})
	}
	if err := lines.Err(); err != nil {
		return nil, 0, err
	}
	if len(accesses) == 0 {
		return nil, 0, fmt.Errorf("the trace is empty")
	}
	return accesses, len(number), nil
}
