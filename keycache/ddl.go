package keycache

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Dialect is the SQL dialect of the keyring's database.
type Dialect uint8

// The dialects. The zero value is Postgres.
const (
	Postgres Dialect = iota
	SQLite
)

// String returns "postgres" or "sqlite".
func (d Dialect) String() string {
	if d == SQLite {
		return "sqlite"
	}
	return "postgres"
}

// DefaultTable is the keyring's table when no name is given.
const DefaultTable = "colseal_keys"

// identifier is one part of a table name: bare, or quoted with "" for a quote.
var identifier = regexp.MustCompile(`^(?:([A-Za-z_][A-Za-z0-9_$]*)|"((?:[^"\x00]|"")+)")(?:\.|$)`)

// parseTable splits "table", "schema.table" or quoted forms into names as the
// catalog has them: a bare name folds to lower case, as PostgreSQL folds it.
func parseTable(name string) ([]string, error) {
	if name == "" {
		return []string{DefaultTable}, nil
	}
	var parts []string
	for rest := name; rest != ""; {
		m := identifier.FindStringSubmatch(rest)
		if m == nil || strings.HasSuffix(m[0], ".") && len(m[0]) == len(rest) {
			return nil, fmt.Errorf("keycache: %q is not a table name; write table, schema.table or \"Quoted\".\"Names\"", name)
		}
		part := strings.ToLower(m[1])
		if m[2] != "" {
			part = strings.ReplaceAll(m[2], `""`, `"`)
		}
		parts, rest = append(parts, part), rest[len(m[0]):]
	}
	if len(parts) > 2 {
		return nil, fmt.Errorf("keycache: table name %q has %d parts; at most a schema and a table are possible", name, len(parts))
	}
	return parts, nil
}

func quoteTable(parts []string) string {
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ".")
}

// ddl is the keyring's table. One row is one data key:
//
//   - the unique (purpose, scope, epoch) lets exactly one process make each key;
//   - seals_from is when a key may begin to seal: a second search key is first
//     searched for everywhere and only then sealed under;
//   - retired_at stops sealing for ever; destroyed_at comes with wrapped = NULL
//     and leaves the row as a tombstone, so that a reader can tell a destroyed
//     key from a lost one.
//
// All times are the database's, so that no process's clock counts.
const postgresDDL = `CREATE TABLE IF NOT EXISTS %s (
	key_id         bigint      NOT NULL PRIMARY KEY CHECK (key_id BETWEEN 1 AND 4294967295),
	purpose        text        NOT NULL CHECK (purpose IN ('data', 'search')),
	scope          text        NOT NULL,
	epoch          bigint      NOT NULL CHECK (epoch > 0),
	kek_id         text        NOT NULL,
	wrapped        bytea,
	seals_reserved bigint      NOT NULL CHECK (seals_reserved BETWEEN 0 AND 4294967296),
	created_at     timestamptz NOT NULL DEFAULT now(),
	seals_from     timestamptz NOT NULL DEFAULT now(),
	retired_at     timestamptz,
	destroyed_at   timestamptz,
	UNIQUE (purpose, scope, epoch),
	CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
)`

const sqliteDDL = `CREATE TABLE IF NOT EXISTS %s (
	key_id         INTEGER NOT NULL PRIMARY KEY CHECK (key_id BETWEEN 1 AND 4294967295),
	purpose        TEXT    NOT NULL CHECK (purpose IN ('data', 'search')),
	scope          TEXT    NOT NULL,
	epoch          INTEGER NOT NULL CHECK (epoch > 0),
	kek_id         TEXT    NOT NULL,
	wrapped        BLOB,
	seals_reserved INTEGER NOT NULL CHECK (seals_reserved BETWEEN 0 AND 4294967296),
	created_at     TEXT    NOT NULL DEFAULT (strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now')),
	seals_from     TEXT    NOT NULL DEFAULT (strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now')),
	retired_at     TEXT,
	destroyed_at   TEXT,
	UNIQUE (purpose, scope, epoch),
	CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
)`

func (d Dialect) ddl(quotedTable string) string {
	if d == SQLite {
		return fmt.Sprintf(sqliteDDL, quotedTable)
	}
	return fmt.Sprintf(postgresDDL, quotedTable)
}

// age is an expression for the milliseconds from the time in column to now, both
// by the database's clock.
func (d Dialect) age(column string) string {
	if d == SQLite {
		return "CAST(round((julianday('now') - julianday(" + column + ")) * 86400000) AS INTEGER)"
	}
	return "CAST(EXTRACT(EPOCH FROM clock_timestamp() - " + column + ") * 1000 AS bigint)"
}

// later is an expression for the time from now by d; now when d is not negative,
// which in a Record means that sealing has begun.
func (d Dialect) later(sealsFor time.Duration) string {
	ms := -min(sealsFor, 0).Milliseconds()
	if d == SQLite {
		return fmt.Sprintf("strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now', '+%d.%03d seconds')", ms/1000, ms%1000)
	}
	return fmt.Sprintf("now() + interval '%d milliseconds'", ms)
}
