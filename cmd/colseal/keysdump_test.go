package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/internal/inbox"
)

const dumpColumns = "key_id, purpose, scope, epoch, kek_id, wrapped, public, wrapped_to, seals_reserved, recovered, created_at, seals_from, retired_at, revoked_at, destroyed_at, changed_by, changed_why"

// dumpOf is a dump with rows of a keyring, in COPY's text format.
func dumpOf(rows ...string) string {
	return "COPY public.colseal_keys (" + dumpColumns + ") FROM stdin;\n" + strings.ReplaceAll(strings.Join(append(rows, `\.`, ""), "\n"), "|", "\t")
}

const (
	dumpID   = `0|keyring||1||\\x000102030405060708090a0b0c0d0e0f|\N|\N|0|f|2026-01-02 03:04:05.123456+00|2026-01-02 03:04:05+00|\N|\N|\N||`
	dumpData = `7|data|a\tb|1|kek|\\x0102|\N|\N|4096|f|2026-01-02 05:04:05.123456+02|2026-01-02 08:34:05+05:30|2026-01-03 00:00:00-03:30|2026-01-02 23:59:59-03|\N|ann|lost`
)

func TestLoadDump(t *testing.T) {
	private, err := inbox.NewPrivate(inbox.X25519, make([]byte, inbox.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	public := `\\x` + hex.EncodeToString(private.Public())
	for _, escape := range []bool{false, true} {
		text := dumpOf(dumpID, dumpData,
			`8|search||1|kek|\N|\N|\N|0|t|2026-01-02 03:04:05+00|2026-01-02 03:04:05+00|\N|\N|2026-01-04 00:00:00+00||`,
			`9|data||1|kek|\\x05|\N|\N|0|t|infinity|2026-01-02 03:04:05+00|\N|\N|\N||`,
			`10|other||1|kek|\\x05|\N|\N|0|f|2026-01-02 03:04:05+00|2026-01-02 03:04:05+00|\N|\N|\N||`,
			`11|inbox||1|kek|\\x05|`+public+`|\N|0|f|2026-01-02 03:04:05+00|2026-01-02 03:04:05+00|\N|\N|\N||`,
			`12|writer||12||\\x05|\N|11|9|f|2026-01-02 03:04:05+00|2026-01-02 03:04:05+00|\N|\N|\N||`)
		if escape { // bytea_output = escape
			text = strings.NewReplacer(`\\x000102030405060708090a0b0c0d0e0f`, `\\000\\001\\002\\003\\004\\005\\006\\007\\010\\011\\012\\013\\014\\015\\016\\017`,
				`\\x0102`, `\\001\\002`).Replace(text)
		}
		store, db, dropped, err := loadDump(t.Context(), strings.NewReader(text), "colseal_keys")
		if err != nil || dropped != 1 {
			t.Fatal(dropped, err)
		}
		defer db.Close()
		if id, err := store.ID(t.Context()); err != nil || id != "000102030405060708090a0b0c0d0e0f" {
			t.Error(id, err)
		}
		keys, err := store.Keys(t.Context(), []uint32{7, 8, 9, 11, 12})
		if err != nil || len(keys) != 5 {
			t.Fatal(keys, err)
		}
		created := time.Date(2026, 1, 2, 3, 4, 5, 123e6, time.UTC)
		retired, revoked := time.Date(2026, 1, 3, 3, 30, 0, 0, time.UTC), time.Date(2026, 1, 3, 2, 59, 59, 0, time.UTC)
		if k := keys[0]; k.Scope != "a\tb" && k.Invalid == nil || !bytes.Equal(k.Wrapped.Blob, []byte{1, 2}) || k.SealsReserved != 4096 || !k.CreatedAt.Equal(created) ||
			!k.RetiredAt.Equal(retired) || !k.RevokedAt.Equal(revoked) || k.Recovered || k.ChangedBy != "ann" || k.ChangedWhy != "lost" {
			t.Errorf("%+v", k)
		}
		if !keys[1].Destroyed || !keys[1].Recovered {
			t.Errorf("%+v", keys[1])
		}
		if k := keys[3]; k.Invalid != nil || !bytes.Equal(k.Public, private.Public()) {
			t.Errorf("%+v", k)
		}
		if k := keys[4]; k.Invalid != nil || k.WrappedTo != 11 || k.Epoch != 12 {
			t.Errorf("%+v", k)
		}
		if k := keys[2]; k.Invalid == nil || !strings.Contains(k.Invalid.Error(), "created_at is infinite") {
			t.Errorf("%+v", k)
		}
	}
	for _, tt := range []struct{ name, dump, table, want string }{
		{"two keyrings", dumpOf(dumpID, dumpData, dumpData), "colseal_keys", "stands there twice"},
		{"another table", "INSERT INTO colseal_keys (id) VALUES (1);", "colseal_keys", "no keyring's table"},
		{"no table", dumpOf(dumpID), "other", `no rows of a table "other"`},
		{"no name", dumpOf(dumpID), "a b", "is not a table name"},
	} {
		if _, _, _, err := loadDump(t.Context(), strings.NewReader(tt.dump), tt.table); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for text, want := range map[string]string{`\x`: "", `\x0A`: "0a", `\x0`: "!", `\xzz`: "!", ``: "", `a\\b`: "615c62", `\377`: "ff", `\400`: "!", `\37`: "!", `a\`: "!"} {
		got := "!"
		if b, ok := parseBytea(text); ok {
			got = hex.EncodeToString(b)
		}
		if got != want {
			t.Errorf("parseBytea(%q) = %s, want %s", text, got, want)
		}
	}
}

// TestKeysImportDump: what the command makes of a dump, without a server. integration/cli has one that pg_dump wrote.
func TestKeysImportDump(t *testing.T) {
	w := newKeysWorld(t)
	w.must(t, "init", "--warm")
	file := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(file, []byte(dumpOf(dumpID, dumpData)), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := w.keys(t, "import", "--dump", file); status != statusFailed || !strings.Contains(errs, "sqlite3 copy.db < FILE") {
		t.Error(status, errs)
	}
	for _, args := range []string{"import", "import --from a --dump b"} {
		if status, _, errs := w.keys(t, strings.Fields(args)...); status != statusFailed || !strings.Contains(errs, "[from dump]") {
			t.Error(args, status, errs)
		}
	}
}
