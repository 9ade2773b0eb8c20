package keyring_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/audit/audittest"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
)

func TestAuditOfAdministration(t *testing.T) {
	rec, logger := audittest.New(t)
	s, w := sqliteStore(t), keytest.NewKMS()
	a := keyring.NewAdmin(s, w, keyring.AdminConfig{By: "ann", Logger: logger})
	const scope = "tenant:1"
	first := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeData, scope))
	second := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeData, scope))
	search := must[keyring.Key](t)(a.Rotate(t.Context(), keyring.PurposeSearch, scope))
	must[keyring.Key](t)(a.Revoke(t.Context(), second.ID, "leaked"))
	must[[]keyring.Key](t)(a.Destroy(t.Context(), scope, "asked for"))
	about := func(k keyring.Key, why string) string {
		return fmt.Sprintf("key_id=%08x purpose=%s scope=%s epoch=%d kek=kek by=ann why=%s", k.ID, k.Purpose, scope, k.Epoch, why)
	}
	for _, tt := range []struct {
		event audit.Event
		want  []string
	}{
		{audit.KeyCreated, []string{about(first, "rotate"), about(search, "rotate")}},
		{audit.KeyRevoked, []string{about(second, "leaked")}},
	} {
		if got := rec.Take(tt.event); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.event.Name, got, tt.want)
		}
	}
	if got := rec.Take(audit.KeyRotated); len(got) != 2 || got[0] != about(second, "rotate") { // and the revoked one's successor
		t.Errorf("%q", got)
	}
	for _, got := range rec.Take(audit.KeyDestroyed) {
		if !strings.Contains(got, " scope="+scope+" ") || !strings.HasSuffix(got, " by=ann why=asked for") {
			t.Errorf("%q", got)
		}
	}
	if names := rec.Names(); len(names) != 0 {
		t.Errorf("also: %q", names)
	}
}
