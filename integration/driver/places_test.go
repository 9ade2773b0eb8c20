package driver_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// places are statements with one value in several places of randomized columns, by what stands for the value: $1, or a literal. Each
// has a row for every cell, or a column.
var places = []string{
	"INSERT INTO users (id, ssn) VALUES (1, $1), (2, $1), (3, $1)",
	"INSERT INTO users (id, ssn, alt) VALUES (1, $1, $1), (2, $1, $1) ON CONFLICT (id) DO UPDATE SET ssn = $1, alt = excluded.alt",
	"UPDATE users SET ssn = $1, alt = $1 WHERE id = 1",
	"UPDATE users SET ssn = CASE WHEN id = 2 THEN $1 ELSE COALESCE($1, ssn) END WHERE id IN (2, 3) AND $1 IS NOT NULL",
	"INSERT INTO users (id, ssn, alt) VALUES ($2, $1, $1) ON CONFLICT (id) DO UPDATE SET ssn = $1, alt = $1",
}

// cells returns the stored cells, which are all different.
func cells(t *testing.T, raw *sql.DB) map[string]bool {
	t.Helper()
	rows, err := raw.Query("SELECT ssn FROM users WHERE ssn IS NOT NULL UNION ALL SELECT alt FROM users WHERE alt IS NOT NULL")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var c []byte
		if err := rows.Scan(&c); err != nil {
			t.Fatal(err)
		}
		if found[string(c)] {
			t.Error("a cell stands in two places")
		}
		found[string(c)] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func testPlaces(t *testing.T, db, raw *sql.DB) {
	t.Helper()
	seen := map[string]bool{}
	check := func(what string) {
		t.Helper()
		fresh := 0
		for c := range cells(t, raw) {
			if !seen[c] {
				fresh++
			}
			seen[c] = true
		}
		if fresh == 0 {
			t.Errorf("%s: no new cell", what)
		}
		for _, column := range []string{"ssn", "alt"} {
			rows, err := db.Query("SELECT " + column + " FROM users")
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var s sql.NullString
				if err := rows.Scan(&s); err != nil || s.Valid && s.String != "secret" {
					t.Errorf("%s: %v, %v", what, s, err)
				}
			}
			if err := rows.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	run := func(query string, again int, exec func(args ...any) error) {
		t.Helper()
		args := []any{"secret"}
		if strings.Contains(query, "$2") {
			args = append(args, 3)
		}
		if !strings.Contains(query, "$1") {
			args = args[1:]
		}
		for range again {
			if strings.HasPrefix(query, "INSERT") {
				mustExec(t, raw, "DELETE FROM users WHERE id < 3")
				if !strings.Contains(query, "CONFLICT") {
					mustExec(t, raw, "DELETE FROM users")
				}
			}
			if err := exec(args...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			check(query)
		}
	}
	for _, query := range places {
		run(query, 2, func(args ...any) error { _, err := db.Exec(query, args...); return err })
		if !strings.Contains(query, "$2") { // a literal may not be the parameter's only place
			literal := strings.ReplaceAll(query, "$1", "'secret'")
			run(literal, 1, func(args ...any) error { _, err := db.Exec(literal, args...); return err })
		}
	}
	for _, query := range places {
		for _, q := range []string{query, strings.Replace(query, "$1", "'secret'", 1)} {
			st, err := db.Prepare(q)
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			run(q, 5, func(args ...any) error { _, err := st.Exec(args...); return err })
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A value that stands in several places of randomized columns has a cell of its own in each, and at each execution.
func TestPGOneCellPerPlace(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, "CREATE TABLE users (id int PRIMARY KEY, ssn bytea, alt bytea)")
		service := newMemKMS(t)
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			t.Run(fmt.Sprint(mode), func(t *testing.T) {
				mustExec(t, server.Admin, "TRUNCATE users")
				testPlaces(t, openPG(t, server, service, mode, schema.Columns("users", schema.Column{Name: "ssn"}, schema.Column{Name: "alt"})), server.Admin)
			})
		}
	})
}

func TestSQLiteOneCellPerPlace(t *testing.T) {
	db, raw, _ := openLite(t, func(c *driver.Config) {
		c.Schema = schema.Must(schema.Columns("users", schema.Column{Name: "ssn"}, schema.Column{Name: "alt"}))
	})
	mustExec(t, raw, "CREATE TABLE users (id INTEGER PRIMARY KEY, ssn BLOB, alt BLOB)")
	testPlaces(t, db, raw)
}
