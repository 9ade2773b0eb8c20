//go:build linux

package keycache

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
)

// A process that may lock no more than 64 KiB of memory, as containers often may,
// holds 256 data keys all the same: nothing is locked, so nothing can fail for it.
func TestLockedMemoryLimit(t *testing.T) {
	const child = "COLSEAL_TEST_MEMLOCK"
	if os.Getenv(child) != "" {
		manyKeys(t, 256)
		return
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -l 64 && exec "$0" -test.run='^TestLockedMemoryLimit$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "256 keys within 64 KiB") {
		t.Errorf("%v\n%s", err, out)
	}
}

func manyKeys(t *testing.T, n int) {
	limits, err := os.ReadFile("/proc/self/limits")
	if err != nil || !regexp.MustCompile(`Max locked memory +65536 `).Match(limits) {
		t.Fatalf("the limit does not hold: %v\n%s", err, limits)
	}
	c := New(keytest.NewKeyring(), keytest.NewKMS(), Config{}, random, random2)
	defer c.Close()
	var cells [][]byte
	for i := range n {
		cells = append(cells, sealOne(t, c, keyring.WithScope(t.Context(), fmt.Sprint(i)), random))
	}
	for _, cell := range cells {
		if err := openOne(c, t.Context(), random, cell); err != nil {
			t.Error(err)
		}
	}
	if s := c.Stats(); s.Entries != n || s.Evictions != 0 {
		t.Errorf("%+v", s)
	}
	t.Logf("%d keys within 64 KiB", n)
}
