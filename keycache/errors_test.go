package keycache

import (
	"errors"
	"strings"
	"testing"

	"github.com/colseal/colseal/kms"
)

// An error has one hint: the KMS's, if it gave one.
func TestOneHint(t *testing.T) {
	for _, c := range []struct {
		name      string
		class     error
		mend      string
		want, not string
	}{
		{"KMS says what to do", kms.ErrDenied, "allow it", "; allow it; until KMS agrees again nothing is sealed", "state and policy"},
		{"KMS does not say", kms.ErrDenied, "", "; check the KEK's state and policy; until KMS agrees", ""},
		{"a changed row", kms.ErrInvalidWrapped, "restore the row", "; restore the row", "this keyring row"},
		{"an outage", kms.ErrTimeout, "check the network", "; check the network; it is tried again by itself", "can be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := classify("unwrap", Record{ID: 7}, &kms.Error{Op: "unwrap data key", Class: c.class, Mend: c.mend})
			if text := err.Error(); !strings.Contains(text, c.want) || c.not != "" && strings.Contains(text, c.not) || strings.HasSuffix(text, "; ") {
				t.Error(text)
			}
		})
	}
}

// A table of the keyring's name that is another's is told apart from one of a former version.
func TestAnotherTable(t *testing.T) {
	s := OpenStore(sqliteDB(t, t.TempDir()+"/app.db"), SQLite, "")
	if _, err := s.db.Exec("CREATE TABLE colseal_keys (id INTEGER PRIMARY KEY, key_id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"read":  func() error { _, err := s.Ring(t.Context(), PurposeData, ""); return err }(),
		"check": s.Check(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), `"colseal_keys" is not a key table but another one: it has no column purpose`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s = sqliteStore(t)
	if _, err := s.db.Exec("ALTER TABLE " + s.table + " DROP COLUMN changed_why"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ring(t.Context(), PurposeData, ""); err != nil && !strings.Contains(err.Error(), "add what is missing") {
		t.Error(err)
	}
}

func TestZeroIDSaysSo(t *testing.T) {
	err := new(Cache).notFound(0)
	if !errors.Is(err, ErrKeyNotFound) || !strings.Contains(err.Error(), "00000000") {
		t.Error(err)
	}
}
