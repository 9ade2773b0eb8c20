package telemetry

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/colseal/colseal/kms"
)

func TestPageListsInstruments(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | kind | unit | attributes | what |\n|---|---|---|---|---|\n")
	for _, i := range Instruments() {
		attrs := make([]string, len(i.Attributes))
		for n, key := range i.Attributes {
			attrs[n] = "`" + string(key) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n", i.Name, i.Kind, i.Unit, strings.Join(attrs, " "), i.Description)
	}
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), b.String()) {
		t.Errorf("docs/operating.md must hold this table:\n%s", b.String())
	}
}

// Without an SDK nothing happens, and nothing fails.
func TestWithoutAnSDK(t *testing.T) {
	h := Start(Config{}, func() Snapshot { return Snapshot{Open: true} })
	_, done := h.ObserveKMS(t.Context(), kms.Call{Op: kms.OpGenerate})
	done(kms.Answer{Err: errors.New("x")})
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
