package doc

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A Machine is where and when a run was made.
type Machine struct {
	Date  string `json:"date"` // UTC, YYYY-MM-DD
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"` // that Go uses
	Go    string `json:"go"`
	OS    string `json:"os"`

	// The share of all processors that other programs used just before and just after
	// the run; negative where that cannot be told.
	Before float64 `json:"busy_before"`
	After  float64 `json:"busy_after"`
}

// ThisMachine describes the machine that it runs on, before a run. It takes a second.
func ThisMachine() Machine {
	return Machine{
		Before: others(time.Second), After: -1,
		Date:  time.Now().UTC().Format(time.DateOnly),
		CPU:   cpuModel(),
		Cores: runtime.GOMAXPROCS(0),
		Go:    strings.TrimPrefix(runtime.Version(), "go"),
		OS:    runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// Ended completes the description after the run. It takes a second.
func (m *Machine) Ended() { m.After = others(time.Second) }

// String is "2026-01-31 on AMD EPYC 7B13, 2 cores, go 1.26.0, linux/amd64; other programs
// used 2 % of the processors just before and 1 % just after".
func (m Machine) String() string {
	text := fmt.Sprintf("%s on %s, %d cores, go %s, %s", m.Date, m.CPU, m.Cores, m.Go, m.OS)
	if m.Before >= 0 && m.After >= 0 {
		text += fmt.Sprintf("; other programs used %.0f %% of the processors just before and %.0f %% just after", 100*m.Before, 100*m.After)
	}
	return text
}

// others returns the share of all processors that other programs use, by looking for a
// while; -1 where that cannot be told.
func others(look time.Duration) float64 {
	busy, total, ok := processorTimes()
	time.Sleep(look)
	busyNow, totalNow, okNow := processorTimes()
	if !ok || !okNow || totalNow <= total {
		return -1
	}
	return (busyNow - busy) / (totalNow - total)
}

// processorTimes reads the times that Linux counts: those that were busy, and all.
func processorTimes() (busy, total float64, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	return parseProcessorTimes(string(text))
}

// parseProcessorTimes reads "cpu user nice system idle iowait irq softirq …".
func parseProcessorTimes(text string) (busy, total float64, ok bool) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, 0, false
	}
	const idle, iowait, guest = 4, 5, 9 // a guest's time is in the user's already
	for i, f := range fields[1:min(len(fields), guest)] {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, false
		}
		total += v
		if i+1 != idle && i+1 != iowait {
			busy += v
		}
	}
	return busy, total, true
}

// cpuModel asks Linux; elsewhere the architecture must do.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "an unnamed " + runtime.GOARCH + " processor"
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unnamed " + runtime.GOARCH + " processor"
}
