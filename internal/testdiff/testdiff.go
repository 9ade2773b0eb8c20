// Package testdiff shows tests how two texts differ.
package testdiff

import (
	"os"
	"strings"
	"testing"
)

// Golden holds a text to that of a file, or with update writes the file. Look at each difference
// before that.
func Golden(t *testing.T, file, got string, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := Lines(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

// Lines returns the lines in which got differs from want: those of want alone after "-", those of
// got alone after "+", and after " " each common line beside them. It returns "" for equal texts.
func Lines(want, got string) string {
	if want == got {
		return ""
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var all []string // with their signs
	for len(w) > 0 && len(g) > 0 && w[0] == g[0] {
		all, w, g = append(all, " "+w[0]), w[1:], g[1:]
	}
	// common[i][j] is how many lines w[i:] and g[j:] have in common.
	common := make([][]int32, len(w)+1)
	for i := len(w); i >= 0; i-- {
		common[i] = make([]int32, len(g)+1)
		for j := len(g) - 1; j >= 0 && i < len(w); j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if w[i] == g[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(w) || j < len(g) {
		switch {
		case i < len(w) && j < len(g) && w[i] == g[j]:
			all = append(all, " "+w[i])
			i, j = i+1, j+1
		case j == len(g) || i < len(w) && common[i+1][j] >= common[i][j+1]:
			all = append(all, "-"+w[i])
			i++
		default:
			all = append(all, "+"+g[j])
			j++
		}
	}
	differs := func(n int) bool { return n >= 0 && n < len(all) && all[n][0] != ' ' }
	var b strings.Builder
	for n, line := range all {
		if differs(n-1) || differs(n) || differs(n+1) {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
