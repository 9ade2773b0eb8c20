package keyring

import (
	"errors"
	"fmt"
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
		{"an outage", kms.ErrTimeout, "check the network", "check the network; programs try again by themselves", "can be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Classify("unwrap", Key{ID: 7}, &kms.Error{Op: "unwrap data key", Class: c.class, Hint: c.hint})
			if text := hint.Of(err); !strings.HasPrefix(text, c.want) || c.not != "" && strings.Contains(text, c.not) || strings.HasSuffix(text, "; ") {
				t.Error(text)
			}
		})
	}
}

// The statements about the key table come by a method: no text of an error is long.
func TestTableErrors(t *testing.T) {
	s := OpenStore(nil, DialectSQLite, "ring")
	for _, tt := range []struct {
		err        error
		text, hint string
		ddl        string
		isNoTable  bool
	}{
		{s.noTable(), `keyring: no key table: "ring" does not exist`, "colseal keys init", s.DDL() + ";", true},
		{s.explainMissing(tableColumns[len(tableColumns)-1:], nil), `keyring: key table "ring" has no column changed_why`, "run the statements", "ALTER TABLE \"ring\" ADD COLUMN changed_why ", false},
		{s.explainMissing(tableColumns[:1], nil), `keyring: key table "ring" is not a key table but another one: it has no column ` + tableColumns[0].name, "name another table", "", false},
		{&TableError{Table: "ring", Class: ErrNoKeyTable, Reason: "does not exist, and more is not known", Cause: kms.ErrTimeout}, "keyring: no key table: ring does not exist, and more is not known: " + kms.ErrTimeout.Error(), "", "", true},
	} {
		e, ok := errors.AsType[*TableError](fmt.Errorf("handler: %w", tt.err))
		switch {
		case !ok || e.Error() != tt.text:
			t.Errorf("got %v, want a TableError %q", tt.err, tt.text)
		case !strings.HasPrefix(e.DDL(), tt.ddl) || (e.DDL() == "") != (tt.ddl == ""):
			t.Errorf("DDL() of %v = %q, want %q", e, e.DDL(), tt.ddl)
		case !strings.Contains(hint.Of(e), tt.hint) || strings.Contains(fmt.Sprintf("%+v", e), "CREATE"):
			t.Errorf("%+v", e)
		case errors.Is(e, ErrNoKeyTable) != tt.isNoTable:
			t.Errorf("%v is ErrNoKeyTable: %v", e, !tt.isNoTable)
		}
	}
}
