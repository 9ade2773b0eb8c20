package doc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, Page)
	page := "# Head\n<!-- begin goals -->\nnone\n<!-- end goals -->\n<!-- begin cells -->\nold\n<!-- end cells -->\n<!-- begin cache -->\nkept\n<!-- end cache -->\ntail\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	table := Table{Title: "T", Columns: []string{"what", "ns"}, Notes: []string{"A note."}}
	table.Add("seal", 219)
	r := &Report{Section: "cells", Command: "go run ./bench cells", Machine: Machine{Date: "2026-01-31", CPU: "a processor"}, Tables: []Table{table},
		Plots: []Plot{{"p.svg", "P"}}}
	for range 2 { // a second run replaces the first
		if err := r.Update(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(path)
	for _, want := range []string{"# Head\n", "| seal | 219 |", "A note.", "![P](plots/p.svg)", "kept", "tail\n", r.Machine.String()} {
		if strings.Count(string(got), want) != 1 {
			t.Errorf("%d times %q in\n%s", strings.Count(string(got), want), want, got)
		}
	}
	if strings.Contains(string(got), "old") {
		t.Error("the old text stayed")
	}
	r.Section = "queries"
	if err := r.Update(dir); err == nil {
		t.Error("no error without the comments")
	}
}
