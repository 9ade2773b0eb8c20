// Package dialect names the SQL dialects that Colseal speaks.
package dialect

import "fmt"

// Dialect is the SQL of a database.
type Dialect uint8

// The dialects. The zero value is Postgres.
const (
	Postgres Dialect = iota
	SQLite
)

// String returns the name of the database: "PostgreSQL" or "SQLite".
func (d Dialect) String() string {
	switch d {
	case Postgres:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return fmt.Sprintf("Dialect(%d)", uint8(d))
}

// Parse returns the dialect that a command's flag names: "postgres" or "sqlite".
func Parse(flag string) (Dialect, error) {
	switch flag {
	case "postgres":
		return Postgres, nil
	case "sqlite":
		return SQLite, nil
	}
	return 0, fmt.Errorf("unknown dialect %q: write postgres or sqlite", flag)
}
