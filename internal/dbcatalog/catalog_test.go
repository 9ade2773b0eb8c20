package dbcatalog

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/colseal/colseal/internal/dialect"
)

// answers is a Querier that gives the same rows to every query.
type answers []Row

func (a answers) Query(context.Context, string, ...driver.Value) ([]Row, error) { return a, nil }

func (answers) Exec(context.Context, string, ...driver.Value) (int64, error) { return 0, nil }

// A driver that answers in a way that is not known gets an error, not a panic.
func TestUnknownAnswer(t *testing.T) {
	for _, d := range []dialect.Dialect{dialect.Postgres, dialect.SQLite} {
		for _, rows := range []answers{{{"x"}}, {{}}} {
			if _, _, err := ReadRelation(t.Context(), rows, d, "", "users"); !errors.Is(err, errForm) {
				t.Errorf("ReadRelation on %v with %v: %v", d, rows, err)
			}
			if _, err := ReadSession(t.Context(), rows, d); !errors.Is(err, errForm) {
				t.Errorf("ReadSession on %v with %v: %v", d, rows, err)
			}
		}
		if _, err := ReadSession(t.Context(), answers{}, d); !errors.Is(err, errForm) {
			t.Errorf("ReadSession on %v without rows: %v", d, err)
		}
		if _, _, err := ReadRelation(t.Context(), answers{}, d, "", "users"); !errors.Is(err, errForm) {
			t.Errorf("ReadRelation on %v without rows: %v", d, err)
		}
	}
}

func TestRow(t *testing.T) {
	tests := []struct {
		v    driver.Value
		text string
		n    int64
		yes  bool
	}{
		{nil, "", 0, false},
		{"12", "12", 12, false},
		{[]byte("12"), "12", 12, false},
		{int64(12), "", 12, false},
		{"t", "t", 0, true},
		{"true", "true", 0, true},
		{true, "", 0, true},
		{"f", "f", 0, false},
	}
	for _, tt := range tests {
		r := Row{tt.v}
		if r.Text(0) != tt.text || r.Int(0) != tt.n || r.Bool(0) != tt.yes || r.Null(0) != (tt.v == nil) {
			t.Errorf("Row{%v}: Text %q, Int %d, Bool %v, Null %v", tt.v, r.Text(0), r.Int(0), r.Bool(0), r.Null(0))
		}
	}
}

type stateError struct{ error }

func (stateError) SQLState() string { return "42P01" }

type codeError struct{ error }

func (codeError) Code() int { return 2067 }

func TestErrorCodes(t *testing.T) {
	plain := errors.New("plain")
	if got := SQLState(fmt.Errorf("wrapped: %w", stateError{plain})); got != "42P01" {
		t.Errorf("SQLState = %q", got)
	}
	if got := SQLiteCode(fmt.Errorf("wrapped: %w", codeError{plain})); got != 2067 {
		t.Errorf("SQLiteCode = %d", got)
	}
	if SQLState(plain) != "" || SQLiteCode(plain) != 0 || SQLState(nil) != "" {
		t.Error("an error without a code has one")
	}
}
