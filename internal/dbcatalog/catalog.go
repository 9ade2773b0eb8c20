// Package dbcatalog asks a database's catalog what names mean and how tables are made, over
// one connection and whichever driver it is of. It holds what all of that needs: quoting,
// the grammar of table names, and the codes of errors.
package dbcatalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"
	"time"

	"github.com/colseal/colseal/internal/dialect"
)

// Querier runs this module's own statements on one connection, past the analysis of SQL. Its
// errors are the driver's, as they are.
type Querier interface {
	// Query returns all rows of a query. They are copies.
	Query(ctx context.Context, query string, args ...driver.Value) ([]Row, error)
	// Exec executes a statement and returns how many rows it changed.
	Exec(ctx context.Context, query string, args ...driver.Value) (int64, error)
}

// Row is one row of a Querier's result.
type Row []driver.Value

// Null reports whether a value is NULL.
func (r Row) Null(i int) bool { return r[i] == nil }

// Text returns a value of a text type; "" for NULL.
func (r Row) Text(i int) string {
	switch v := r[i].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Int returns an integer, which a driver may give as text; 0 for NULL.
func (r Row) Int(i int) int64 {
	if n, ok := r[i].(int64); ok {
		return n
	}
	n, _ := strconv.ParseInt(r.Text(i), 10, 64) // the server printed it as a number
	return n
}

// Bool returns a boolean, which a driver may give as PostgreSQL's text; false for NULL.
func (r Row) Bool(i int) bool {
	if b, ok := r[i].(bool); ok {
		return b
	}
	s := r.Text(i)
	return s == "t" || s == "true"
}

var errForm = errors.New("colseal: the driver's answer to a catalog query has an unexpected form")

// read runs a query whose result has so many columns.
func read(ctx context.Context, q Querier, columns int, query string, args ...driver.Value) ([]Row, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if len(row) != columns {
			return nil, errForm
		}
	}
	return rows, nil
}

// Relation is a table or view as the server describes it.
type Relation struct {
	Schema, Name string
	Temporary    bool
	View         bool
	Definition   string   // of a view: its query, names as this session takes them; for SQLite, CREATE VIEW
	Version      string   // of a view of PostgreSQL, as a Dependent has it
	Updatable    bool     // of a view: the server itself takes a write to it for one to the relation beneath
	Columns      []Column // live columns, in attribute order, hidden ones included
}

// Column is one column of a Relation.
type Column struct {
	Name      string
	Type      string // as the server prints it
	Storage   Storage
	Default   bool // there is a default other than NULL, or it is an identity column
	Generated bool // GENERATED ALWAYS AS (…)
	Key       bool // the key of the table's partitions has it, or an expression
	Hidden    bool // of a virtual table of SQLite: it can be named, but no star yields it
}

// Storage is how a column stores a cell.
type Storage uint8

// The storages.
const (
	StorageBytes Storage = iota + 1 // bytea or BLOB: the cell as it is
	StorageText                     // text, varchar: "cs1:" + base64url
	StorageOther                    // any other type: cannot hold a cell
)

// Column returns the named column, or nil.
func (r *Relation) Column(name string) *Column {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return &r.Columns[i]
		}
	}
	return nil
}

// SQL writes the relation's name with its parts quoted.
func (r *Relation) SQL() string { return Name{Schema: r.Schema, Table: r.Name}.SQL() }

// ReadRelation describes the relation that the server resolves a name to on this
// connection; nil if there is none. An empty schemaName means its search path. The
// Session is what the name was resolved under.
func ReadRelation(ctx context.Context, q Querier, d dialect.Dialect, schemaName, name string) (*Relation, Session, error) {
	if d == dialect.SQLite {
		return readSQLiteRelation(ctx, q, schemaName, name)
	}
	return readPostgresRelation(ctx, q, schemaName, name)
}

// Live answers what names mean by asking the server each time.
type Live struct {
	Querier
	Dialect dialect.Dialect
}

// Relation is [ReadRelation] without the session.
func (l Live) Relation(ctx context.Context, schemaName, name string) (*Relation, error) {
	rel, _, err := ReadRelation(ctx, l.Querier, l.Dialect, schemaName, name)
	return rel, err
}

// Session is what names mean on a connection.
type Session struct {
	Setting    string // PostgreSQL: search_path as it was set
	Path       string // all that the meaning of names depends on
	Temporary  bool   // there may be temporary tables
	NonStdText bool   // PostgreSQL: standard_conforming_strings is off
	NullWords  bool   // PostgreSQL: array_nulls is off
	NullEquals bool   // PostgreSQL: transform_null_equals is on
	FuzzyLimit bool   // PostgreSQL: gin_fuzzy_search_limit is set

	// Behind is how far what queries of the connection's transaction see may lie back; 0: they see
	// the present. The server itself finds what a name means now.
	Behind time.Duration
}

// Same reports whether names mean the same in two sessions.
func (s Session) Same(o Session) bool {
	s.Behind = o.Behind
	return s == o
}

// ReadSession reads what names mean on this connection.
func ReadSession(ctx context.Context, q Querier, d dialect.Dialect) (Session, error) {
	if d == dialect.SQLite {
		return readSQLiteSession(ctx, q)
	}
	return readPostgresSession(ctx, q)
}

// SQLState returns PostgreSQL's code of an error; "" if it has none. The errors of pgx
// (*pgconn.PgError) and of lib/pq have it.
func SQLState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}

// SQLiteCode returns SQLite's extended result code of an error; 0 if it has none. The errors
// of modernc.org/sqlite have it.
func SQLiteCode(err error) int {
	var e interface{ Code() int }
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
