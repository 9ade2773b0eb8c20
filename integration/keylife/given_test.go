package keylife

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/mortal"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
)

// spoiled is a Wrapper whose new keys are wrapped, it says, by this.
type spoiled struct {
	kms.Wrapper
	spoil func(*kms.Wrapped)
}

func (s spoiled) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	dk, err := s.Wrapper.GenerateDataKey(ctx, ec)
	s.spoil(&dk.Wrapped)
	return dk, err
}

// TestSpoiledWrapped: nothing is sealed under a key whose row nobody could read, and no such row is stored.
func TestSpoiledWrapped(t *testing.T) {
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		name := func(s string) func(*kms.Wrapped) { return func(w *kms.Wrapped) { w.KeyID = s } }
		blob := func(b []byte) func(*kms.Wrapped) { return func(w *kms.Wrapped) { w.Blob = b } }
		for what, spoil := range map[string]func(*kms.Wrapped){
			"no name": name(""), "an escape": name("a\x1b"), "a line": name("a\n"), "U+0000": name("a\x00"), "no UTF-8": name("a\xff"), "another direction": name("a\u202e"),
			"a long name": name(strings.Repeat("a", 9000)), "nothing": blob(nil), "no bytes": blob([]byte{}), "1 MB": blob(make([]byte, 1<<20)),
		} {
			db := must[*sql.DB](t)(openLetters(pg.DSN(), driver.Config{KMS: spoiled{awskms.New(w.kms.Client(t), alias), spoil}}, mortal.New(0)))
			err := write(t.Context(), db, what, "ann", "x")
			if !errors.Is(err, driver.ErrKeyInvalid) || !strings.Contains(colseal.Hint(err), "kms.Wrapper") {
				t.Errorf("%s: %v", what, err)
			}
			if err := errors.Join(db.Close(), write(t.Context(), w.open(t), what, "ann", "x")); err != nil {
				t.Errorf("%s, and then a key service that works: %v", what, err)
			}
		}
	})
}

// TestKeysAreReturned: nothing is sealed under a key that the table does not return as it was stored.
func TestKeysAreReturned(t *testing.T) {
	pgtest.Newest(t, func(t *testing.T, pg *pgtest.DB) {
		w := newWorld(t, pg)
		_ = w.program(t) // for its role
		trigger := func(when, body string) [2]string {
			return [2]string{"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$BEGIN " + body + "; END$$; CREATE TRIGGER t " + when + " INSERT ON colseal_keys FOR EACH ROW EXECUTE FUNCTION f()",
				"DROP FUNCTION f CASCADE"}
		}
		for what, change := range map[string][2]string{
			"a trigger keeps rows out":       trigger("BEFORE", "RETURN NULL"),
			"a trigger deletes rows":         trigger("AFTER", "DELETE FROM colseal_keys WHERE key_id = NEW.key_id; RETURN NULL"),
			"a trigger changes wrapped keys": trigger("BEFORE", "NEW.wrapped := NEW.wrapped || 'x'::bytea; RETURN NEW"),
			"a trigger changes KEKs":         trigger("BEFORE", "NEW.kek_id := NEW.kek_id || ' '; RETURN NEW"),
			"a trigger changes scopes":       trigger("BEFORE", "NEW.scope := NEW.scope || ' '; RETURN NEW"),
			"a trigger changes purposes":     trigger("BEFORE", "NEW.purpose := CASE NEW.purpose WHEN 'data' THEN 'search' ELSE 'data' END; RETURN NEW"),
			"a trigger changes epochs":       trigger("BEFORE", "NEW.epoch := NEW.epoch + 1; RETURN NEW"),
			"a rule keeps rows out":          {"CREATE RULE r AS ON INSERT TO colseal_keys DO INSTEAD NOTHING", "DROP RULE r ON colseal_keys"},
			"a policy hides rows":            {"CREATE POLICY p ON colseal_keys USING (key_id = 0) WITH CHECK (true); ALTER TABLE colseal_keys ENABLE ROW LEVEL SECURITY", "DROP POLICY p ON colseal_keys; ALTER TABLE colseal_keys DISABLE ROW LEVEL SECURITY"},
			"a time that nobody fills in":    {"ALTER TABLE colseal_keys ALTER created_at DROP DEFAULT, ALTER created_at DROP NOT NULL", "UPDATE colseal_keys SET created_at = now() WHERE created_at IS NULL; ALTER TABLE colseal_keys ALTER created_at SET NOT NULL, ALTER created_at SET DEFAULT now()"},
			"a table that ends with a crash": {"ALTER TABLE colseal_keys SET UNLOGGED", "ALTER TABLE colseal_keys SET LOGGED"},
			"a view in the place of a table": {"ALTER TABLE colseal_keys RENAME TO k; CREATE VIEW colseal_keys AS SELECT * FROM k; GRANT ALL ON colseal_keys, k TO " + w.app.name, "DROP VIEW colseal_keys; ALTER TABLE k RENAME TO colseal_keys"},
		} {
			w.exec(t, change[0])
			for _, table := range []string{"", "public.colseal_keys"} {
				db := must[*sql.DB](t)(openLetters(w.app.dsn, driver.Config{KMS: awskms.New(w.kms.Client(t), alias), KeyTable: table}, mortal.New(0)))
				err := write(t.Context(), db, what+table, "ann", "x")
				if err == nil || colseal.Hint(err) == "" {
					t.Errorf("%s: %v, %q", what, err, colseal.Hint(err))
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}
			w.exec(t, change[1])
		}
		var n int
		if err := pg.Admin.QueryRowContext(t.Context(), "SELECT count(*) FROM letters").Scan(&n); err != nil || n > 0 {
			t.Errorf("%d letters were sealed, %v", n, err)
		}
	})
}
