package driver_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/schema"
)

// What pgx takes beside plain arguments, in each of its exec modes.

const pgUsers = `CREATE TABLE users (id bigint PRIMARY KEY, email bytea, ssn text, mail text, note text DEFAULT 'n',
	half int GENERATED ALWAYS AS (id / 2) STORED, gone int, nothing bytea DEFAULT NULL);
ALTER TABLE users DROP COLUMN gone`

var pgSealed = schema.Columns("users",
	schema.Column{Name: "email", Mode: schema.ModeDeterministic}, schema.Column{Name: "ssn"}, schema.Column{Name: "mail", Mode: schema.ModeDeterministic})

var allModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

const (
	pgInsert    = "INSERT INTO users(id, email, ssn, mail, note) VALUES ($1, $2, $3, $2, $4)"
	pgSelect    = "SELECT id, email, ssn, note FROM users WHERE id = $1"
	pgAnyBytes  = "SELECT id FROM users WHERE email = ANY($1) ORDER BY id"
	pgAnyText   = "SELECT id FROM users WHERE mail = ANY($1) ORDER BY id"
	pgAggregate = "SELECT array_agg(email ORDER BY id) AS all FROM users"
)

func TestPGModes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		service := newMemKMS(t)
		for _, mode := range allModes {
			t.Run(strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) {
				mustExec(t, server.Admin, "DROP TABLE IF EXISTS users; "+pgUsers)
				testPGMode(t, openPG(t, server, service, mode, pgSealed), server)
			})
		}
	})
}

func testPGMode(t *testing.T, db *sql.DB, server *pgtest.DB) {
	mustExec(t, db, pgInsert, 1, "a@x", "078", "plain")
	mustExec(t, db, pgInsert, 2, "", nil, nil)
	mustExec(t, db, pgInsert, pgx.QueryExecModeDescribeExec, 3, pgtype.Text{String: "c@x", Valid: true}, "", "x")
	mustExec(t, db, pgInsert, 4, pgtype.Text{}, "4", "x")

	st, err := db.Prepare(pgInsert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec(5, "a@x", "5", "x"); err != nil {
		t.Fatal(err)
	}
	_ = st.Close()

	// The server has cells.
	var first, fifth []byte
	var ssn, mail string
	if err := server.Admin.QueryRow("SELECT a.email, b.email, a.ssn, a.mail FROM users a, users b WHERE a.id = 1 AND b.id = 5").Scan(&first, &fifth, &ssn, &mail); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, fifth) {
		t.Errorf("equal values are stored as %x and %x", first, fifth)
	}
	table := schema.Must(pgSealed).Lookup("", "users")
	for column, cell := range map[string][]byte{"email": first, "ssn": fromText(t, ssn), "mail": fromText(t, mail)} {
		if _, err := codec.Recognize(cell, table.Column(column).Tag()); err != nil {
			t.Errorf("%s is stored as %x: %v", column, cell, err)
		}
	}

	for _, opts := range [][]any{nil, {pgx.QueryExecModeSimpleProtocol}, {pgx.QueryResultFormats{0, 0, 0, 0}, pgx.QueryExecModeCacheDescribe}} {
		var id int64
		var e, s, note *string
		if err := db.QueryRow(pgSelect, append(opts, 1)...).Scan(&id, &e, &s, &note); err != nil || *e != "a@x" || *s != "078" || *note != "plain" {
			t.Errorf("%v: read %v %v %v, %v", opts, e, s, note, err)
		}
		if err := db.QueryRow(pgSelect, append(opts, 2)...).Scan(&id, &e, &s, &note); err != nil || e == nil || *e != "" || s != nil || note != nil {
			t.Errorf("%v: read %v %v %v, %v", opts, e, s, note, err)
		}
	}

	nul := (*string)(nil)
	a := "a@x"
	for _, query := range []string{pgAnyBytes, pgAnyText} {
		for _, arg := range []any{
			[]string{"a@x", "z"}, []*string{&a, nul}, pgtype.FlatArray[string]{"a@x"}, []pgtype.Text{{String: "a@x", Valid: true}, {}},
			pgtype.Array[string]{Elements: []string{"a@x"}, Dims: []pgtype.ArrayDimension{{Length: 1, LowerBound: 1}}, Valid: true}, `{a@x,NULL}`,
		} {
			if got := idsOf(t, db, query, arg); !slices.Equal(got, []int64{1, 5}) {
				t.Errorf("%s with %T: %v", query, arg, got)
			}
		}
		for _, arg := range []any{[]string{}, []string(nil), nil, pgtype.Array[string]{}} {
			if got := idsOf(t, db, query, arg); len(got) != 0 {
				t.Errorf("%s with %T: %v", query, arg, got)
			}
		}
	}

	var all string
	if err := db.QueryRow(pgAggregate).Scan(&all); err != nil || all != `{a@x,"",c@x,NULL,a@x}` {
		t.Errorf("array_agg: %s, %v", all, err)
	}
}

// fromText decodes a cell of a text column.
func fromText(t *testing.T, text string) []byte {
	t.Helper()
	cell, err := codec.DecodeText([]byte(text))
	if err != nil {
		t.Errorf("%q is stored: %v", text, err)
	}
	return cell
}

func idsOf(t *testing.T, db *sql.DB, query string, args ...any) []int64 {
	t.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s with %T: %v", query, args[0], err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return ids
}

type rewriter struct{ calls int }

func (r *rewriter) RewriteQuery(_ context.Context, _ *pgx.Conn, text string, args []any) (string, []any, error) {
	r.calls++
	return strings.TrimPrefix(text, "rewrite "), append([]any{int64(9)}, args...), nil
}

func TestPGRewriters(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, pgUsers)
		db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement, pgSealed)
		named := "INSERT INTO users(id, email, ssn, note) VALUES (@id, @email, @ssn, @note)"
		values := pgx.NamedArgs{"id": 1, "email": "a@x", "ssn": "078", "note": "n"}
		mustExec(t, db, named, values)
		values["id"] = 2
		mustExec(t, db, named, pgx.QueryExecModeSimpleProtocol, pgx.StrictNamedArgs(values))
		delete(values, "ssn")
		if _, err := db.Exec(named, pgx.StrictNamedArgs(values)); err == nil || strings.Contains(err.Error(), "a@x") {
			t.Errorf("a missing named argument: %v", err)
		}
		r := &rewriter{}
		if _, err := db.Exec("rewrite "+pgInsert, r, "b@x", nil, nil); err != nil || r.calls != 1 {
			t.Errorf("rewritten %d times: %v", r.calls, err)
		}
		if got := idsOf(t, db, pgAnyBytes, []string{"a@x", "b@x"}); !slices.Equal(got, []int64{1, 2, 9}) {
			t.Errorf("found %v", got)
		}
		// Plain statements are rewritten once, too.
		var n int
		if err := db.QueryRow("rewrite SELECT count(*) FROM users WHERE id = $1 AND note IS NOT DISTINCT FROM $2", r, nil).Scan(&n); err != nil || n != 1 || r.calls != 2 {
			t.Errorf("plain: %d, rewritten %d times: %v", n, r.calls, err)
		}
	})
}

// A transaction that failed stays failed, and the server's error comes back as it is; a
// statement that needs no catalog gets through.
func TestPGFailedTransaction(t *testing.T) {
	server := pgtest.New(t)
	mustExec(t, server.Admin, pgUsers)
	db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement, pgSealed)
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	mustExec(t, tx, "SAVEPOINT s")
	var pgErr *pgconn.PgError
	if _, err := tx.Exec("SELECT 1/0"); !errors.As(err, &pgErr) || pgErr.Code != "22012" {
		t.Fatal(err)
	}
	if _, err := tx.Exec("SELECT * FROM users"); !errors.As(err, &pgErr) || pgErr.Code != "25P02" {
		t.Errorf("in a failed transaction: %v", err)
	}
	mustExec(t, tx, "ROLLBACK TO s")
	mustExec(t, tx, "SELECT * FROM users")
}

func TestPGNonstandardStrings(t *testing.T) {
	server := pgtest.New(t)
	mustExec(t, server.Admin, pgUsers)
	db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement, pgSealed)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Statements of Colseal's may not turn the setting off; what goes around it may.
	raw := func(query string) error {
		return conn.Raw(func(c any) error {
			inner, _ := driver.Raw(c)
			_, err := inner.(*stdlib.Conn).Conn().Exec(t.Context(), query)
			return err
		})
	}
	through := func(query string) error {
		_, err := conn.ExecContext(t.Context(), query)
		return err
	}
	for _, tt := range []struct {
		run     func(string) error
		query   string
		refused bool
	}{
		{through, "SELECT email FROM users", false}, {raw, "SET standard_conforming_strings = off", false}, {through, "SELECT 1", false},
		{through, "SELECT email FROM users", false}, {through, "SELECT email FROM users WHERE note = 'it''s'", false},
		{through, `SELECT email FROM users -- \`, true}, {through, `SELECT 2 -- \`, true},
		{through, "UPDATE users SET email = 'x'", true}, // the cell's text would have a backslash
		{raw, "SET standard_conforming_strings = on", false}, {through, "SELECT email FROM users", false}, {through, `SELECT 2 -- \`, false},
	} {
		if err := tt.run(tt.query); errors.Is(err, driver.ErrRefused) != tt.refused || !tt.refused && err != nil {
			t.Errorf("%s: %v", tt.query, err)
		}
	}
}

// A literal of a randomized column is another cell each time. Beside a parameter it is sent as one, so that the text is the same
// each time and pgx's cache of prepared statements holds it once.
func TestPGRandomizedLiteralsAreParameters(t *testing.T) {
	server := pgtest.New(t)
	mustExec(t, server.Admin, pgUsers)
	db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeCacheStatement, pgSealed)
	db.SetMaxOpenConns(1)
	prepared := func() (n int) {
		t.Helper()
		if err := db.QueryRow("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 5 {
		mustExec(t, db, "INSERT INTO users(id, ssn) VALUES ($1, 'x')", i)
	}
	if n := prepared(); n != 1 {
		t.Errorf("five executions of one statement leave %d prepared statements, want 1", n)
	}
}

func TestPGCopyFrom(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, server *pgtest.DB) {
		mustExec(t, server.Admin, pgUsers+"; CREATE TABLE plain (a int, b text)")
		service := newMemKMS(t)
		for i, mode := range allModes {
			mustExec(t, server.Admin, "TRUNCATE users")
			db := openPG(t, server, service, mode, pgSealed)
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rows := [][]any{{1, "a@x", "078", "n"}, {2, nil, sql.NullString{}, nil}, {3, pgtype.Text{String: "", Valid: true}, "9", "m"}}
			n, err := driver.CopyFrom(t.Context(), conn, "Users", []string{"id", "email", "ssn", "note"}, rows)
			if err != nil || n != 3 || rows[0][1] != "a@x" {
				t.Fatal(n, err)
			}
			var cells string
			if err := server.Admin.QueryRow(`SELECT count(*) FILTER (WHERE get_byte(email, 0) = 1) || ' ' || count(*) FILTER (WHERE ssn LIKE 'cs1:%') FROM users`).Scan(&cells); err != nil || cells != "2 2" {
				t.Errorf("cells of email and ssn: %s, %v", cells, err)
			}
			var id int64
			var e, s, note *string
			if err := db.QueryRow(pgSelect, 1).Scan(&id, &e, &s, &note); err != nil || *e != "a@x" || *s != "078" {
				t.Error(err)
			}
			if err := db.QueryRow(pgSelect, 2).Scan(&id, &e, &s, &note); err != nil || e != nil || s != nil {
				t.Error(err)
			}
			if n, err := driver.CopyFrom(t.Context(), conn, "public.plain", []string{"a", "b"}, [][]any{{i, "x"}}); err != nil || n != 1 {
				t.Error(n, err)
			}
			for name, bad := range map[string]func() error{
				"no table": func() error {
					_, err := driver.CopyFrom(t.Context(), conn, "nosuch", []string{"a"}, nil)
					return err
				},
				"short row": func() error {
					_, err := driver.CopyFrom(t.Context(), conn, "users", []string{"id", "ssn"}, [][]any{{canary}})
					return err
				},
				"bad value": func() error {
					_, err := driver.CopyFrom(t.Context(), conn, "users", []string{"id", "ssn"}, [][]any{{7, struct{ V string }{canary}}})
					return err
				},
				"bad name": func() error {
					_, err := driver.CopyFrom(t.Context(), conn, "a.b.c", []string{"id"}, nil)
					return err
				},
			} {
				if err := bad(); err == nil || strings.Contains(err.Error(), canary) {
					t.Errorf("%s: %v", name, err)
				}
			}
			_ = conn.Close()
		}
	})
}

// COPY is pgx's: other drivers are refused, with Colseal and without.
func TestCopyFromNeedsPGX(t *testing.T) {
	sealed, plain, _ := openLite(t)
	for _, db := range []*sql.DB{sealed, plain} {
		mustExec(t, db, strings.Replace(liteTable, "TABLE", "TABLE IF NOT EXISTS", 1))
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := driver.CopyFrom(t.Context(), conn, "users", []string{"ssn"}, [][]any{{canary}}); err == nil || strings.Contains(err.Error(), canary) {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

// A table that changed under an open handle: pgx's own error once, then right.
func TestPGChangedResult(t *testing.T) {
	server := pgtest.New(t)
	mustExec(t, server.Admin, pgUsers+"; INSERT INTO users VALUES (1)")
	db := openPG(t, server, newMemKMS(t), pgx.QueryExecModeDescribeExec, pgSealed)
	read := func(want int) {
		t.Helper()
		rows, err := db.Query("SELECT * FROM users")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if cols, _ := rows.Columns(); len(cols) != want || !rows.Next() {
			t.Errorf("columns %v, %v", cols, rows.Err())
		}
	}
	read(7)
	mustExec(t, server.Admin, "ALTER TABLE users DROP COLUMN half; ALTER TABLE users ADD COLUMN x int, ADD COLUMN y int")
	read(8)
	read(8)
}
