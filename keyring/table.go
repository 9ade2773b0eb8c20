package keyring

import (
	"fmt"
	"strings"
	"time"

	"github.com/colseal/colseal/internal/dialect"
)

// The dialects of a [Store]'s database.
const (
	DialectPostgres = dialect.Postgres
	DialectSQLite   = dialect.SQLite
)

// DefaultTable is the keyring's table when no name is given.
const DefaultTable = "colseal_keys"

// A tableColumn is one column of the keyring's table, as each dialect defines it.
type tableColumn struct {
	name, postgres, sqlite string
	program                bool // a program names it when it inserts a key
}

const (
	sqliteNow = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

	checkKeyID   = "CHECK (key_id BETWEEN 0 AND 4294967295)"
	checkPurpose = "CHECK (purpose IN ('data', 'search', 'inbox', 'writer', 'keyring'))"
	checkInbox   = "CHECK ((wrapped_to IS NOT NULL) = (purpose = 'writer'))"
	checkEpoch   = "CHECK (epoch > 0)"
	checkSeals   = "CHECK (seals_reserved BETWEEN 0 AND 4294967296)"
	checkRevoked = "CHECK (revoked_at IS NULL OR retired_at IS NOT NULL OR purpose = 'search')"
)

// checkSize returns a CHECK for the bytes of a column.
func checkSize(column, condition string) (postgres, sqlite string) {
	return fmt.Sprintf("CHECK (octet_length(%s) %s)", column, condition),
		fmt.Sprintf("CHECK (length(CAST(%s AS BLOB)) %s)", column, condition)
}

// tableColumns are the keyring's columns. The row of key_id 0 is no key: it holds the keyring's id,
// in wrapped. Every other row is one data key:
//
//   - public is the public key of an inbox, whose private key is in wrapped, and wrapped_to the
//     inbox that a writer's key is encrypted to. The epoch of a writer's key is its key_id, so that
//     writers never meet;
//   - seals_from is when a key may begin to seal: a second search key is first searched for
//     everywhere and only then sealed under;
//   - retired_at stops sealing permanently; revoked_at says that an operator did so for a cause. A
//     revoked search key goes on being searched for until it is retired too, so that the rows under
//     it are found meanwhile;
//   - destroyed_at comes with wrapped = NULL and leaves the row as a tombstone, so that a reader
//     can tell a destroyed key from a lost one. A scope with such a row is destroyed;
//   - recovered says that the row was gone, and a process that held the key stored it again: it
//     opens, and neither seals nor is searched for;
//   - changed_by and changed_why are the operator's words for the last of these.
//
// All times are the database's, so that no process's clock counts. What a program's role may insert
// does not include them: it makes neither a time nor a tombstone.
var tableColumns = func() []tableColumn {
	scope, scopeLite := checkSize("scope", fmt.Sprint("<= ", maxScope))
	kek, kekLite := checkSize("kek_id", fmt.Sprint("<= ", maxKEK))
	wrapped, wrappedLite := checkSize("wrapped", fmt.Sprint("BETWEEN 1 AND ", maxWrapped))
	public, publicLite := checkSize("public", fmt.Sprint("BETWEEN 1 AND ", maxPublic))
	return []tableColumn{
		{"key_id", "bigint NOT NULL PRIMARY KEY " + checkKeyID, "INTEGER NOT NULL PRIMARY KEY " + checkKeyID, true},
		{"purpose", "pg_catalog.text NOT NULL " + checkPurpose, "TEXT    NOT NULL " + checkPurpose, true},
		{"scope", "pg_catalog.text NOT NULL " + scope, "TEXT    NOT NULL " + scopeLite, true},
		{"epoch", "bigint NOT NULL " + checkEpoch, "INTEGER NOT NULL " + checkEpoch, true},
		{"kek_id", "pg_catalog.text NOT NULL " + kek, "TEXT    NOT NULL " + kekLite, true},
		{"wrapped", "pg_catalog.bytea " + wrapped, "BLOB    " + wrappedLite, true},
		{"public", "pg_catalog.bytea " + public, "BLOB    " + publicLite, true},
		{"wrapped_to", "bigint " + checkInbox, "INTEGER " + checkInbox, true},
		{"seals_reserved", "bigint NOT NULL " + checkSeals, "INTEGER NOT NULL " + checkSeals, true},
		{"recovered", "boolean NOT NULL DEFAULT false", "INTEGER NOT NULL DEFAULT 0", true},
		{"created_at", "pg_catalog.timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at))", "TEXT    NOT NULL DEFAULT (" + sqliteNow + ")", false},
		{"seals_from", "pg_catalog.timestamptz NOT NULL DEFAULT now() CHECK (isfinite(seals_from))", "TEXT    NOT NULL DEFAULT (" + sqliteNow + ")", false},
		{"retired_at", "pg_catalog.timestamptz", "TEXT", false},
		{"revoked_at", "pg_catalog.timestamptz " + checkRevoked, "TEXT    " + checkRevoked, false},
		{"destroyed_at", "pg_catalog.timestamptz", "TEXT", false},
		{"changed_by", "pg_catalog.text NOT NULL DEFAULT ''", "TEXT    NOT NULL DEFAULT ''", false},
		{"changed_why", "pg_catalog.text NOT NULL DEFAULT ''", "TEXT    NOT NULL DEFAULT ''", false},
	}
}()

// tableConstraints: the unique one lets exactly one process make each key, as the primary
// key lets exactly one row hold the keyring's id.
func tableConstraints(d dialect.Dialect) []string {
	size := "octet_length(wrapped)"
	if d == DialectSQLite {
		size = "length(CAST(wrapped AS BLOB))"
	}
	return []string{
		"UNIQUE (purpose, scope, epoch)",
		"CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))",
		"CHECK ((key_id = 0) = (purpose = 'keyring') AND (key_id > 0 OR wrapped IS NOT NULL AND " + fmt.Sprintf("%s = %d", size, idSize) + "))",
	}
}

func (c tableColumn) def(d dialect.Dialect) string {
	if d == DialectSQLite {
		return c.sqlite
	}
	return c.postgres
}

// ddl returns the statement that creates the keyring's table.
func ddl(d dialect.Dialect, quotedTable string) string {
	var lines []string
	for _, c := range tableColumns {
		lines = append(lines, fmt.Sprintf("\t%-14s %s", c.name, c.def(d)))
	}
	for _, c := range tableConstraints(d) {
		lines = append(lines, "\t"+c)
	}
	return "CREATE TABLE IF NOT EXISTS " + quotedTable + " (\n" + strings.Join(lines, ",\n") + "\n)"
}

// grants returns the statements that give the roles of docs/keyring.md what they need of the
// table and no more.
func grants(quotedTable, program, writer, operator, auditor string) string {
	var columns []string
	for _, c := range tableColumns {
		if c.program {
			columns = append(columns, c.name)
		}
	}
	return fmt.Sprintf("GRANT SELECT, INSERT (%[2]s), UPDATE (seals_reserved) ON %[1]s TO %[3]s;\n"+
		"GRANT SELECT, INSERT (%[2]s) ON %[1]s TO %[4]s;\n"+
		"GRANT SELECT, INSERT, UPDATE ON %[1]s TO %[5]s;\nGRANT SELECT ON %[1]s TO %[6]s;\n",
		quotedTable, strings.Join(columns, ", "), program, writer, operator, auditor)
}

// addColumns returns the statements that add columns to a table which lacks them.
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
	case "revoked_at", "retired_at", "changed_by", "changed_why", "recovered", "public", "wrapped_to":
		return true
	}
	return false
}

// textType and bytesType name the types of texts and of bytes. A temporary table or a type named
// text, which every user may make, cannot take their place.
func textType(d dialect.Dialect) string {
	if d == DialectSQLite {
		return "TEXT"
	}
	return "pg_catalog.text"
}

func bytesType(d dialect.Dialect) string {
	if d == DialectSQLite {
		return "BLOB"
	}
	return "pg_catalog.bytea"
}

// now returns an expression for the database's time, as the columns hold it.
func now(d dialect.Dialect) string {
	if d == DialectSQLite {
		return sqliteNow
	}
	return "now()"
}

// clock returns an expression for the database's time in milliseconds since 1970.
func clock(d dialect.Dialect) string {
	if d == DialectSQLite {
		return millis(d, "'now'")
	}
	return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS bigint)"
}

// millis returns an expression for a time in milliseconds since 1970; NULL for one that is
// infinite, or no time at all.
func millis(d dialect.Dialect, expr string) string {
	if d == DialectSQLite {
		return "CAST(round((julianday(" + expr + ") - 2440587.5) * 86400000) AS INTEGER)"
	}
	return "CASE WHEN isfinite(" + expr + ") THEN CAST(EXTRACT(EPOCH FROM " + expr + ") * 1000 AS bigint) END"
}

// durable is a condition that is always true. In a statement that writes, it makes the server
// answer the commit only once that is on disk there, and on the synchronous standbys if there are
// any, whatever the role's synchronous_commit is. A cell must not outlive its key.
func durable(d dialect.Dialect) string {
	if d == DialectSQLite {
		return "TRUE" // see onConn
	}
	return "pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit')" +
		" WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true) IS NOT NULL"
}

// passed returns a condition: the time in column was at least d ago; in negative d: it is no
// further than that ahead. It compares, since times that are infinite have no difference.
func passed(di dialect.Dialect, column string, d time.Duration) string {
	if di == DialectSQLite {
		return fmt.Sprintf("julianday(%s) <= julianday('now') - %f", column, d.Hours()/24)
	}
	return fmt.Sprintf("%s <= clock_timestamp() - interval '%d milliseconds'", column, d.Milliseconds())
}

// later returns an expression for the time from now by d; now when d is not negative,
// which in a Key means that sealing has begun.
func later(d dialect.Dialect, sealsFor time.Duration) string {
	ms := -min(sealsFor, 0).Milliseconds()
	if d == DialectSQLite {
		return fmt.Sprintf("strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now', '+%d.%03d seconds')", ms/1000, ms%1000)
	}
	return fmt.Sprintf("now() + interval '%d milliseconds'", ms)
}
