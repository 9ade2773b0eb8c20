package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/colseal/colseal/cmd/colseal/internal/pgdump"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/keyring"
)

// SQLite's codes of a row that is there already.
const (
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
)

// loadDump reads the keyring of a dump into a keyring in memory, which the caller closes with db.
// So its rows are validated as those of any other keyring. dropped is the number of rows that no
// keyring's table would hold.
func loadDump(ctx context.Context, r io.Reader, table string) (store *keyring.Store, db *sql.DB, dropped int, err error) {
	name, err := dbcatalog.ParseName(table)
	if err != nil {
		return nil, nil, 0, err
	}
	db = sql.OpenDB(liteConnector(":memory:"))
	db.SetMaxOpenConns(1) // each connection would have a database of its own
	defer func() {
		if err != nil {
			_ = db.Close() // it holds nothing
		}
	}()
	store = keyring.OpenStore(db, dialect.SQLite, "")
	if _, err = db.ExecContext(ctx, store.DDL()); err != nil {
		return nil, nil, 0, err
	}
	err = pgdump.Read(r, name, func(columns []string, fields []pgdump.Field) error {
		values := make([]any, len(fields))
		for i, f := range fields {
			if !f.Null {
				values[i] = dumpValue(columns[i], f.Text)
			}
		}
		_, err := db.ExecContext(ctx, insertInto(columns), values...)
		switch code := dbcatalog.SQLiteCode(err); {
		case code == sqlitePrimaryKey, code == sqliteUnique:
			return fmt.Errorf("a key of %s stands there twice: this is not one keyring", name.SQL())
		case code&0xff == sqliteConstraint:
			dropped++
			return nil
		case err != nil:
			return fmt.Errorf("%s is no keyring's table: %w", name.SQL(), err)
		}
		return nil
	})
	return store, db, dropped, err
}

// sqliteConstraint is SQLite's code of a row that a CHECK or NOT NULL refuses; more bits say which.
const sqliteConstraint = 19

func insertInto(columns []string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = dbcatalog.QuoteIdent(c)
	}
	return "INSERT INTO " + keyring.DefaultTable + " (" + strings.Join(quoted, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")"
}

// dumpValue returns what SQLite's keyring holds for a column's value in PostgreSQL's text. A text
// that is none of the column's type stays as it is: then the row is invalid.
func dumpValue(column, text string) any {
	switch column {
	case "key_id", "epoch", "seals_reserved", "wrapped_to":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "recovered":
		return text == "t" || text == "true"
	case "wrapped", "public":
		if b, ok := parseBytea(text); ok {
			return b
		}
	case "created_at", "seals_from", "retired_at", "revoked_at", "destroyed_at":
		for _, zone := range []string{"-07", "-07:00", "-07:00:00"} {
			if t, err := time.Parse("2006-01-02 15:04:05"+zone, text); err == nil {
				return t.UTC().Format("2006-01-02T15:04:05.000Z")
			}
		}
	}
	return text
}

// parseBytea reads bytes in either form of bytea_output.
func parseBytea(text string) (b []byte, ok bool) {
	if digits, ok := strings.CutPrefix(text, `\x`); ok {
		b, err := hex.DecodeString(digits)
		return b, err == nil
	}
	for text != "" {
		c, rest := text[0], text[1:]
		switch {
		case c != '\\':
		case strings.HasPrefix(rest, `\`):
			rest = rest[1:]
		case len(rest) < 3:
			return nil, false
		default:
			n, err := strconv.ParseUint(rest[:3], 8, 8)
			if err != nil {
				return nil, false
			}
			c, rest = byte(n), rest[3:]
		}
		b, text = append(b, c), rest
	}
	return b, true
}
