package doc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colseal/colseal/bench/internal/stat"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		low, median, high float64
		want              Verdict
	}{{1, 1.5, 2, Met}, {1, 1.9, 2.1, MetBarely}, {1.9, 2.1, 2.3, NotQuite}, {2.1, 2.2, 2.3, NotMet}} {
		if got := Judge(stat.Ratio{Median: c.median, Low: c.low, High: c.high}, 2); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// The table of goals keeps those of the sections that were measured before.
func TestGoalsOfSeveralRuns(t *testing.T) {
	dir := t.TempDir()
	page := "<!-- begin goals -->\n<!-- end goals -->\n<!-- begin cells -->\n<!-- end cells -->\n<!-- begin queries -->\n<!-- end queries -->\n"
	if err := os.WriteFile(filepath.Join(dir, Page), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	quiet, busy := Machine{Before: 0.01, After: 0.02}, Machine{Before: 0.01, After: 0.9}
	for _, r := range []*Report{
		{Section: "queries", Machine: busy, Goals: []Goal{{What: "select", Limit: "≤ +5 %", Measured: "+9 %", Verdict: NotMet}}},
		{Section: "cells", Machine: quiet, Goals: []Goal{{What: "old", Verdict: Met}}},
		{Section: "cells", Machine: quiet, Goals: []Goal{{What: "seal", Limit: "≤ 2.2", Measured: "2.1", Verdict: Met}}},
	} {
		if err := r.Update(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(filepath.Join(dir, Page))
	text := string(got)
	for _, want := range []string{"1 of 2 goals are met", "| seal | ≤ 2.2 | 2.1 | – | met |", "| select | ≤ +5 % | +9 % | – | **not met** |", "up to 90 %"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "old") || strings.Index(text, "seal") > strings.Index(text, "select") {
		t.Errorf("goals of an earlier run stayed, or are out of order:\n%s", text)
	}
}

func TestParseProcessorTimes(t *testing.T) {
	busy, total, ok := parseProcessorTimes("cpu  10 1 5 80 4 0 0 2 7 0\ncpu0 1 1 1 1\n")
	if !ok || busy != 18 || total != 102 {
		t.Errorf("busy %v of %v, %v", busy, total, ok)
	}
	for _, bad := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"} {
		if _, _, ok := parseProcessorTimes(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}
