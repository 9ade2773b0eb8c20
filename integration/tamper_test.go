package integration

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// vaultColumn is one sealed column of the tampered table; a and b differ in nothing but their name.
type vaultColumn struct {
	name    string
	mode    schema.Mode
	storage string
}

var vaultColumns = []vaultColumn{
	{"random_bytea", schema.ModeRandomized, "bytea"}, {"random_text", schema.ModeRandomized, "text"},
	{"search_bytea", schema.ModeDeterministic, "bytea"}, {"search_text", schema.ModeDeterministic, "text"},
}

// vault is a table with a row 1 that nobody touched, a twin column beside each column, and a place for stored
// values that were tampered with.
func vault(t *testing.T, pg *pgtest.DB) *sql.DB {
	t.Helper()
	var columns []schema.Column
	ddl := "CREATE TABLE vault (id bigint PRIMARY KEY"
	for _, c := range vaultColumns {
		for _, name := range []string{c.name, c.name + "_twin"} {
			columns = append(columns, schema.Column{Name: name, Mode: c.mode})
			ddl += fmt.Sprintf(", %s %s", name, c.storage)
		}
	}
	mustExec(t, pg.Admin, ddl+")")
	db := sealedDB(t, pg, schema.Must(schema.Columns("vault", columns...)))
	for id, secret := range []string{1: "attack at dawn", 2: "retreat at dusk"} {
		if id == 0 {
			continue
		}
		mustExec(t, db, "INSERT INTO vault (id, random_bytea, random_text, search_bytea, search_text) VALUES ($1, $2, $2, $2, $2)", id, secret)
	}
	return db
}

// TestTamper changes what the database holds as its administrator could, and reads it through Colseal.
func TestTamper(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, pg *pgtest.DB) {
		db := vault(t, pg)
		for _, c := range vaultColumns {
			t.Run(c.name, func(t *testing.T) {
				if v := scanOne[string](t, db, "SELECT "+c.name+" FROM vault WHERE id = 1"); v != "attack at dawn" {
					t.Fatalf("untouched, it reads %q", v)
				}
				stored := scanOne[[]byte](t, pg.Admin, "SELECT "+c.name+" FROM vault WHERE id = 1")
				forged := flips(stored)
				if c.storage == "text" {
					forged = misspellings(string(stored))
				}
				neverAValue(t, db, pg, c, forged)
				neverAValue(t, db, pg, c, cuts(stored))
				neverAValue(t, db, pg, c, relabelled(t, stored, c.storage))
				swapColumns(t, db, pg, c)
				swapRows(t, db, pg, c)
				plaintext(t, db, pg, c)
			})
		}
	})
}

// forgery is a stored value that Colseal did not write.
type forgery struct {
	what  string
	value []byte
}

// flips is the cell with each of its bits changed, and each whole byte.
func flips(cell []byte) (all []forgery) {
	for i := range cell {
		for _, mask := range []byte{1, 2, 4, 8, 16, 32, 64, 128, 255} {
			f := append([]byte(nil), cell...)
			f[i] ^= mask
			all = append(all, forgery{fmt.Sprintf("byte %d of %d ^ %02x", i, len(cell), mask), f})
		}
	}
	return all
}

// misspellings is the text with each of its characters replaced, by others of its alphabet (the neighbour too, which
// decodes to the same bytes at the end of careless base64) and by strangers.
func misspellings(text string) (all []forgery) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range text {
		others := "Aa0_-=+/ \n1:"
		if at := strings.IndexByte(alphabet, text[i]); at >= 0 {
			others += string(alphabet[at^1]) + string(alphabet[at^2]) + string(alphabet[at^32])
		}
		for _, r := range []byte(others) {
			if r != text[i] {
				all = append(all, forgery{fmt.Sprintf("character %d of %d is %q", i, len(text), r), []byte(text[:i] + string(rune(r)) + text[i+1:])})
			}
		}
	}
	return all
}

// cuts is the value cut at every length, doubled, and with something behind it.
func cuts(stored []byte) (all []forgery) {
	for n := range stored {
		all = append(all, forgery{fmt.Sprintf("cut to %d of %d", n, len(stored)), stored[:n]})
	}
	twice := append(append([]byte(nil), stored...), stored...)
	return append(all, forgery{"twice", twice}, forgery{"one byte more", twice[:len(stored)+1]}, forgery{"first byte gone", stored[1:]})
}

// relabelled is the cell under other key ids: one that there is not, and the next.
func relabelled(t *testing.T, stored []byte, storage string) (all []forgery) {
	t.Helper()
	cell := stored
	if storage == "text" {
		var err error
		if cell, err = codec.DecodeText(stored); err != nil {
			t.Fatal(err)
		}
	}
	h, err := codec.ParseHeader(cell)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint32{0, 1, h.KeyID + 1, 1<<32 - 1} {
		f := append([]byte(nil), cell...)
		binary.BigEndian.PutUint32(f[4:], id)
		if storage == "text" {
			f = []byte(codec.EncodeText(f))
		}
		all = append(all, forgery{fmt.Sprintf("key id %08x", id), f})
	}
	return all
}

// neverAValue stores each forgery and reads it.
func neverAValue(t *testing.T, db *sql.DB, pg *pgtest.DB, c vaultColumn, forged []forgery) {
	t.Helper()
	if len(forged) == 0 {
		t.Fatal("nothing to try")
	}
	store := fmt.Sprintf("INSERT INTO vault (id, %[1]s) SELECT 1000 + n, v FROM unnest($1::%[2]s[]) WITH ORDINALITY AS f (v, n)", c.name, c.storage)
	mustExec(t, pg.Admin, "DELETE FROM vault WHERE id > 1000")
	var values any
	if c.storage == "text" {
		var texts []string
		for _, f := range forged {
			texts = append(texts, string(f.value))
		}
		values = texts
	} else {
		var cells [][]byte
		for _, f := range forged {
			cells = append(cells, f.value)
		}
		values = cells
	}
	mustExec(t, pg.Admin, store, values)
	for i, f := range forged {
		var v any
		err := db.QueryRowContext(t.Context(), "SELECT "+c.name+" FROM vault WHERE id = $1", 1001+i).Scan(&v)
		if !errors.Is(err, driver.ErrAuth) && !errors.Is(err, driver.ErrFormat) || v != nil {
			t.Errorf("%s: %s: read %v, error %v", c.name, f.what, v, err)
		}
	}
}

// swapColumns: a cell in another column does not open, not even in one that differs only in its name.
func swapColumns(t *testing.T, db *sql.DB, pg *pgtest.DB, c vaultColumn) {
	t.Helper()
	for _, other := range vaultColumns {
		for _, target := range []string{other.name, other.name + "_twin"} {
			if target == c.name || other.storage != c.storage {
				continue
			}
			mustExec(t, pg.Admin, fmt.Sprintf("INSERT INTO vault (id, %s) SELECT 100, %s FROM vault WHERE id = 1", target, c.name))
			var v any
			err := db.QueryRow("SELECT " + target + " FROM vault WHERE id = 100").Scan(&v)
			if !errors.Is(err, driver.ErrColumnMismatch) || !errors.Is(err, driver.ErrAuth) || v != nil {
				t.Errorf("a cell of %s in %s: %v, %v", c.name, target, v, err)
			}
			mustExec(t, pg.Admin, "DELETE FROM vault WHERE id = 100")
		}
	}
}

// swapRows: a cell in another row of its column opens. That is by design, for a cell knows its column and not its row:
// UPDATE … SET a = a of other rows, INSERT … SELECT, and restores with new ids go on working. An administrator of the
// database can therefore exchange values within a column (see the threat model).
func swapRows(t *testing.T, db *sql.DB, pg *pgtest.DB, c vaultColumn) {
	t.Helper()
	mustExec(t, pg.Admin, fmt.Sprintf("INSERT INTO vault (id, %[1]s) SELECT 101, %[1]s FROM vault WHERE id = 2", c.name))
	if v := scanOne[string](t, db, "SELECT "+c.name+" FROM vault WHERE id = 101"); v != "retreat at dusk" {
		t.Errorf("a cell in another row reads %q", v)
	}
	mustExec(t, pg.Admin, "DELETE FROM vault WHERE id = 101")
}

// plaintext in a sealed column is reported as such, whatever it looks like, and does not show in the error.
func plaintext(t *testing.T, db *sql.DB, pg *pgtest.DB, c vaultColumn) {
	t.Helper()
	for _, value := range []string{"plain old value", "", "x", "cs1", "\x01", strings.Repeat("long ", 5000)} {
		mustExec(t, pg.Admin, fmt.Sprintf("INSERT INTO vault (id, %s) VALUES (102, $1)", c.name), storedAs(c.storage, value))
		var v any
		err := db.QueryRowContext(context.Background(), "SELECT "+c.name+" FROM vault WHERE id = 102").Scan(&v)
		if !errors.Is(err, driver.ErrNotSealed) || !errors.Is(err, driver.ErrFormat) || v != nil {
			t.Errorf("%s: plaintext %.20q reads %v, %v", c.name, value, v, err)
		}
		if err != nil && len(value) > 3 && strings.Contains(err.Error(), value) {
			t.Errorf("the error shows the value: %v", err)
		}
		mustExec(t, pg.Admin, "DELETE FROM vault WHERE id = 102")
	}
}

func storedAs(storage, value string) any {
	if storage == "text" {
		return value
	}
	return []byte(value)
}
