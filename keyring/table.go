package keyring

import (
	"fmt"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dialect"
)

// The dialects of a [Store]'s database.
const (
	Postgres = dialect.Postgres
	SQLite   = dialect.SQLite
)

// DefaultTable is the keyring's table when no name is given.
const DefaultTable = "colseal_keys"

// A tableColumn is one column of the keyring's table, as each dialect defines it.
type tableColumn struct{ name, postgres, sqlite string }

const (
	sqliteNow = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

	checkKeyID   = "CHECK (key_id BETWEEN 1 AND 4294967295)"
	checkPurpose = "CHECK (purpose IN ('data', 'search'))"
	checkEpoch   = "CHECK (epoch > 0)"
	checkSeals   = "CHECK (seals_reserved BETWEEN 0 AND 4294967296)"
	checkRevoked = "CHECK (revoked_at IS NULL OR retired_at IS NOT NULL OR purpose = 'search')"
)

// tableColumns are the keyring's columns. One row is one data key:
//
//   - seals_from is when a key may begin to seal: a second search key is first
//     searched for everywhere and only then sealed under;
//   - retired_at stops sealing for ever; revoked_at says that an operator did so
//     for a cause. A revoked search key goes on being searched for until it is
//     retired too, so that the rows under it are found meanwhile;
//   - destroyed_at comes with wrapped = NULL and leaves the row as a tombstone,
//     so that a reader can tell a destroyed key from a lost one;
//   - changed_by and changed_why are the operator's words for the last of these.
//
// All times are the database's, so that no process's clock counts.
var tableColumns = []tableColumn{
	{"key_id", "bigint      NOT NULL PRIMARY KEY " + checkKeyID, "INTEGER NOT NULL PRIMARY KEY " + checkKeyID},
	{"purpose", "text        NOT NULL " + checkPurpose, "TEXT    NOT NULL " + checkPurpose},
	{"scope", "text        NOT NULL", "TEXT    NOT NULL"},
	{"epoch", "bigint      NOT NULL " + checkEpoch, "INTEGER NOT NULL " + checkEpoch},
	{"kek_id", "text        NOT NULL", "TEXT    NOT NULL"},
	{"wrapped", "bytea", "BLOB"},
	{"seals_reserved", "bigint      NOT NULL " + checkSeals, "INTEGER NOT NULL " + checkSeals},
	{"created_at", "timestamptz NOT NULL DEFAULT now()", "TEXT    NOT NULL DEFAULT (" + sqliteNow + ")"},
	{"seals_from", "timestamptz NOT NULL DEFAULT now()", "TEXT    NOT NULL DEFAULT (" + sqliteNow + ")"},
	{"retired_at", "timestamptz", "TEXT"},
	{"revoked_at", "timestamptz " + checkRevoked, "TEXT    " + checkRevoked},
	{"destroyed_at", "timestamptz", "TEXT"},
	{"changed_by", "text        NOT NULL DEFAULT ''", "TEXT    NOT NULL DEFAULT ''"},
	{"changed_why", "text        NOT NULL DEFAULT ''", "TEXT    NOT NULL DEFAULT ''"},
}

// tableConstraints: the unique one lets exactly one process make each key.
var tableConstraints = []string{
	"UNIQUE (purpose, scope, epoch)",
	"CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))",
}

func (c tableColumn) def(d dialect.Dialect) string {
	if d == SQLite {
		return c.sqlite
	}
	return c.postgres
}

// ddl is the statement that creates the keyring's table.
func ddl(d dialect.Dialect, quotedTable string) string {
	var lines []string
	for _, c := range tableColumns {
		lines = append(lines, fmt.Sprintf("\t%-14s %s", c.name, c.def(d)))
	}
	for _, c := range tableConstraints {
		lines = append(lines, "\t"+c)
	}
	return "CREATE TABLE IF NOT EXISTS " + quotedTable + " (\n" + strings.Join(lines, ",\n") + "\n)"
}

// addColumns are the statements that add columns to a table which lacks them.
func addColumns(d dialect.Dialect, quotedTable string, missing []tableColumn) string {
	var b strings.Builder
	for _, c := range missing {
		def := strings.Join(strings.Fields(c.def(d)), " ")
		fmt.Fprintf(&b, "ALTER TABLE %s ADD COLUMN %s %s;\n", quotedTable, c.name, def)
	}
	return b.String()
}

// laterColumn tells whether a column can be added to a table that holds keys.
func laterColumn(c tableColumn) bool {
	switch c.name {
	case "revoked_at", "retired_at", "changed_by", "changed_why":
		return true
	}
	return false
}

// now is an expression for the database's time, as the columns hold it.
func now(d dialect.Dialect) string {
	if d == SQLite {
		return sqliteNow
	}
	return "now()"
}

// millis is an expression for a time in milliseconds since 1970.
func millis(d dialect.Dialect, expr string) string {
	if d == SQLite {
		return "CAST(round((julianday(" + expr + ") - 2440587.5) * 86400000) AS INTEGER)"
	}
	return "CAST(EXTRACT(EPOCH FROM " + expr + ") * 1000 AS bigint)"
}

// age is an expression for the milliseconds from the time in column to now, both
// by the database's clock.
func age(d dialect.Dialect, column string) string {
	if d == SQLite {
		return "CAST(round((julianday('now') - julianday(" + column + ")) * 86400000) AS INTEGER)"
	}
	return "CAST(EXTRACT(EPOCH FROM clock_timestamp() - " + column + ") * 1000 AS bigint)"
}

// later is an expression for the time from now by d; now when d is not negative,
// which in a Key means that sealing has begun.
func later(d dialect.Dialect, sealsFor time.Duration) string {
	ms := -min(sealsFor, 0).Milliseconds()
	if d == SQLite {
		return fmt.Sprintf("strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now', '+%d.%03d seconds')", ms/1000, ms%1000)
	}
	return fmt.Sprintf("now() + interval '%d milliseconds'", ms)
}
