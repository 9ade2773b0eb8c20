package keyring

import (
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/kms"
)

// An error has one hint: the KMS's, if it gave one.
func TestOneHint(t *testing.T) {
	for _, c := range []struct {
		name      string
		class     error
		hint      string
		want, not string
	}{
		{"KMS says what to do", kms.ErrDenied, "allow it", "allow it; until KMS agrees again nothing is sealed", "state and policy"},
		{"KMS does not say", kms.ErrDenied, "", "check the KEK's state and policy; until KMS agrees", ""},
		{"a changed row", kms.ErrInvalidWrapped, "restore the row", "restore the row", "this keyring row"},
		{"an outage", kms.ErrTimeout, "check the network", "check the network; it is tried again by itself", "can be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Classify("unwrap", Key{ID: 7}, &kms.Error{Op: "unwrap data key", Class: c.class, Hint: c.hint})
			if text := hint.Of(err); !strings.HasPrefix(text, c.want) || c.not != "" && strings.Contains(text, c.not) || strings.HasSuffix(text, "; ") {
				t.Error(text)
			}
		})
	}
}
