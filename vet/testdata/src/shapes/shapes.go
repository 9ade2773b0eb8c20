// Package shapes has the ways in which programs put SQL together.
package shapes

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"

	sq "github.com/Masterminds/squirrel"

	"queries"
)

func helpers(ctx context.Context, db *sql.DB, s *queries.Store) {
	name := os.Getenv("NAME")
	s.Run(ctx, "UPDATE users SET email = lower($1)", name) // want `refused by Colseal: .*users.email`
	s.Run(ctx, "UPDATE users SET email = $1", name)
	queries.Sorted(ctx, db, "id", "born") // want `ORDER BY .*users.born`
	queries.Sorted(ctx, db, "id", "id")
	queries.Sorted(ctx, db, "lower(email)", name) // want `whatever stands for .*lower.*users.email` `users.email`
	queries.Sorted(ctx, db, name, "id")
	parameters(db, name)
	db.Query(queries.ByAge) // want `users.born`
	db.Query(queries.Names) // want `users.email`
	db.Query(queries.Good(), name)
}

func parameters(db *sql.DB, by string) {
	db.Query("SELECT id FROM users WHERE email LIKE 'x' ORDER BY " + by) // want `whatever stands`
	db.Query("SELECT id FROM users ORDER BY " + by)
}

func appended(db *sql.DB, sorted bool, ids []string) {
	q := "SELECT id FROM users"
	if sorted {
		q += " ORDER BY born" // want `users.born`
	}
	db.Query(q)

	in := "SELECT id FROM users WHERE id IN ("
	for i := range ids {
		in += "$" + strconv.Itoa(i+1) + ","
	}
	in = strings.TrimSuffix(in, ",") + ")"
	db.Query(in)

	q = "SELECT id FROM users WHERE email = $1"
	switch len(ids) {
	case 0:
		q += " AND ssn = $2" // want `users.ssn`
	case 1:
		return
	default:
		q += " AND ssn IS NULL"
	}
	db.Query(q)

	var b strings.Builder
	b.WriteString("SELECT id FROM users")
	fmt.Fprintf(&b, " WHERE %s = $1", "email")
	db.Query(b.String())
	b.WriteString(" AND ssn LIKE 'x%'") // want `users.ssn`
	db.Query(b.String())

	var lost bytes.Buffer
	lost.WriteString("SELECT id FROM users ORDER BY born")
	lost.Reset()
	db.Query(lost.String())

	counted := "SELECT id FROM users"
	func() { counted += " ORDER BY born" }()
	db.Query(counted)
}

func formatted(db *sql.DB, n int) {
	column := os.Getenv("COLUMN")
	db.Query(fmt.Sprintf("SELECT id FROM users WHERE email LIKE $1 ORDER BY %s", column)) // want `whatever stands for the parts that are not constant: LIKE .*users.email`
	db.Query(fmt.Sprintf("SELECT id FROM users WHERE email = $1 ORDER BY %s", column))
	db.Query(fmt.Sprintf("SELECT %s FROM users ORDER BY born", column)) // born may be another column by then
	db.Query(fmt.Sprintf("SELECT id FROM users WHERE email = $1 LIMIT %d", n))
	db.Query(fmt.Sprintf("SELECT id FROM %s WHERE ssn = $1", "users"))       // want `users.ssn`
	db.Query(fmt.Sprintf("SELECT 100 %% 7 FROM users WHERE %s = $1", "ssn")) // want `users.ssn`
	db.Query(fmt.Sprintf("SELECT id FROM %s WHERE ssn = $1", column))
	db.Query(fmt.Sprintf("SELECT id FROM users WHERE ssn = $%d", n)) // want `users.ssn`
}

var psql = sq.StatementBuilder.PlaceholderFormat(sq.Dollar)

func built(db *sql.DB, name string, anything any) {
	column := os.Getenv("COLUMN")
	psql.Select("id").From("users").Where("email = ?", name).RunWith(db).Query()
	psql.Select("id").From("users").Where(sq.Eq{"ssn": name}).RunWith(db).Query()                                             // want `users.ssn`
	psql.Select("id").From("users").OrderBy("born").Limit(uint64(len(name))).ToSql()                                          // want `users.born`
	psql.Update("users").Set("email", name).Where(sq.Or{sq.Eq{"id": []int{1, 2}}, sq.Expr("lower(email) = ?", name)}).ToSql() // want `users.email`
	psql.Insert("users").Columns("email", "ssn").Values(name, name).ToSql()
	text, args, _ := psql.Select("id").From("users").Where("ssn LIKE ?", name).ToSql() // want `users.ssn`
	db.Query(text, args...)
	psql.Select(column).From("users").OrderBy("born").ToSql()
	psql.Select("id").From("users").Where(anything).ToSql()
}

// table is a list of texts that a loop sends.
var table = map[string]string{
	"good": "SELECT id FROM users WHERE email = $1",
	"bad":  "SELECT id FROM users ORDER BY born",
	"none": "SELECT id FROM others",
	"text": "select a user from the list",
}

func listed(db *sql.DB, key string) { db.Query(table[key]) }

func value(s *queries.Store) func(context.Context, string, ...any) error { return s.Run }
