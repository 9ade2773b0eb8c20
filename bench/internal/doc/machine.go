package doc

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
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
}

// ThisMachine describes the machine that it runs on, now.
func ThisMachine() Machine {
	return Machine{
		Date:  time.Now().UTC().Format(time.DateOnly),
		CPU:   cpuModel(),
		Cores: runtime.GOMAXPROCS(0),
		Go:    strings.TrimPrefix(runtime.Version(), "go"),
		OS:    runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// String is "2026-01-31 on AMD EPYC 7B13, 2 cores, go 1.26.0, linux/amd64".
func (m Machine) String() string {
	return fmt.Sprintf("%s on %s, %d cores, go %s, %s", m.Date, m.CPU, m.Cores, m.Go, m.OS)
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
