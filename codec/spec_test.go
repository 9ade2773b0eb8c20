package codec

import (
	"os"
	"strings"
	"testing"
)

// TestSpecQuotesVectors: the worked examples in SPEC.md are those of the vectors, and its
// accumulated hash is the tested one.
func TestSpecQuotesVectors(t *testing.T) {
	text, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	// Long values are broken over lines.
	spec := strings.Join(strings.Fields(string(text)), "")
	if !strings.Contains(spec, accumulatedHash) {
		t.Error("SPEC.md has another accumulated hash")
	}
	examples := 0
	for _, v := range readVectors(t) {
		if v.name != "good-randomized-text" && v.name != "good-deterministic-text" && v.name != "good-deterministic-terms-text" {
			continue
		}
		examples++
		for _, field := range []string{"aad", "aead key", "nonce", "mac key", "enc key", "iv", "term key", "tokens", "encoding", "cell", "text"} {
			if field == "text" && v.fields["term key"] != "" || field == "aad" && v.fields["term key"] != "" {
				continue // they say nothing new
			}
			if !strings.Contains(spec, strings.ReplaceAll(v.fields[field], " ", "")) {
				t.Errorf("SPEC.md lacks %s of %s", field, v.name)
			}
		}
	}
	if examples != 3 {
		t.Errorf("%d of 3 worked examples", examples)
	}
}
