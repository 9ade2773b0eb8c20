package vet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/driver"
	"github.com/colseal/colseal/ops/explain"
)

const sqlText = `-- name: GetUser :one
SELECT id FROM users WHERE email = sqlc.arg(mail) AND (id = @id OR id = $1);

-- name: ListUsers :many
SELECT sqlc.embed(users) FROM users
ORDER BY born;

-- name: goyesql
SELECT id FROM users WHERE ssn = :ssn AND note = 'at 10:30 :x';

-- name: marks
SELECT id FROM users WHERE email = ? AND id = ?::bigint

-- name: many
SELECT id FROM users WHERE email = ANY(sqlc.slice('mails'));
-- colseal:ignore the job that sends it is not ours
-- name: ignored
SELECT id FROM users WHERE ssn LIKE 'x%'; -- colseal:ignore it is known
`

const migration = `-- +goose Up
CREATE TABLE notes (id bigint); /* ; */ SELECT ';', "a;b" FROM users WHERE lower(ssn) = 'x';
-- +goose StatementBegin
CREATE FUNCTION f() RETURNS text AS $x$ SELECT 1; SELECT 2; $x$ LANGUAGE sql;
-- +goose StatementEnd
DO $$ BEGIN PERFORM 1; END $$;
SELECT id FROM users WHERE note = E'it\'s; fine';
`

// A statement of a column in the stage copy works, and will be refused in sealed.
func TestCheckSQLStaged(t *testing.T) {
	ask := func(query string) (*explain.Explanation, error) {
		return explain.Offline(sealed, driver.DialectPostgres, query)
	}
	r, err := CheckSQL("SELECT id FROM guests WHERE email = $1;\nSELECT id FROM guests WHERE ssn = ?", "", ask)
	const want = "2:33: refused by Colseal in the stage sealed: = needs a deterministic column: guests.ssn; "
	if err != nil || r.Checked != 2 || len(r.NotJudged) > 0 || len(r.Found) != 1 || !strings.HasPrefix(r.Found[0].String(), want) {
		t.Errorf("%+v, %v, want %s", r, err, want)
	}
}

func TestCheckSQL(t *testing.T) {
	const ddl = "without a database: which tables the definition concerns is not known"
	for _, tt := range []struct {
		name, content, dialect string
		checked                int
		want                   []string
	}{
		{"queries", sqlText, "", 5, []string{
			"6:10 found", "9:32 found",
		}},
		{"migration", migration, "", 2, []string{
			"2:82 found", "2:1 not judged: " + ddl, "4:1 not judged: " + ddl, "6:1 not judged: " + ddl,
		}},
		{"sqlite", "SELECT id FROM users WHERE email = ? AND id = :id AND id = @id; SELECT id FROM users WHERE ssn = ?;", "sqlite", 2, []string{"1:92 found"}},
		{"empty", "-- nothing\n;;\n", "", 0, nil},
	} {
		d := driver.DialectPostgres
		if tt.dialect == "sqlite" {
			d = driver.DialectSQLite
		}
		ask := func(query string) (*explain.Explanation, error) { return explain.Offline(sealed, d, query) }
		r, err := CheckSQL(tt.content, tt.dialect, ask)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range r.Found {
			got = append(got, fmt.Sprintf("%d:%d found", n.Line, n.Column))
		}
		for _, n := range r.NotJudged {
			got = append(got, fmt.Sprintf("%d:%d %s", n.Line, n.Column, n.What))
		}
		if !slices.Equal(got, tt.want) || r.Checked != tt.checked {
			t.Errorf("%s: %d checked, %q, want %d, %q", tt.name, r.Checked, got, tt.checked, tt.want)
			for _, n := range r.Found {
				t.Log(n)
			}
		}
	}
}
