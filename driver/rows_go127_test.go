//go:build go1.27

package driver

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// scanRows are underlying rows that are scanned by column. Next must not be called then.
type scanRows struct {
	t    *testing.T
	cols []string
	data [][]sqldriver.Value
	row  []sqldriver.Value
}

func (r *scanRows) Columns() []string { return r.cols }
func (r *scanRows) Close() error      { return nil }
func (r *scanRows) Next([]sqldriver.Value) error {
	r.t.Error("Next was called")
	return io.EOF
}

func (r *scanRows) NextRow() error {
	if len(r.data) == 0 {
		return io.EOF
	}
	r.row, r.data = r.data[0], r.data[1:]
	return nil
}

func (r *scanRows) ScanColumn(ctx sqldriver.ScanContext, i int, dest any) error {
	if p, ok := dest.(*[]int); ok { // what database/sql could not do
		*p = []int{1, 2, 3}
		return nil
	}
	return sql.ConvertAssign(ctx, dest, r.row[i])
}

func TestScanByColumn(t *testing.T) {
	born := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC).Local()
	for _, byColumn := range []bool{true, false} {
		t.Run(fmt.Sprint("inner scans by column: ", byColumn), func(t *testing.T) {
			b := newBench(t, "full")
			names := []string{"list", "ssn", "born", "age", "email"}
			b.plans.plans["q"] = b.result(names...)
			stored := b.cell(t, "ssn", "078")
			data := [][]sqldriver.Value{{"list", stored, b.cell(t, "born", born), b.cell(t, "age", 7), nil}}
			b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) {
				if byColumn {
					return &scanRows{t: t, cols: names, data: data}, nil
				}
				return &bareRows{s: b.server, cols: names, data: data}, nil
			}
			rows, err := b.db.Query("q")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			if !rows.Next() {
				t.Fatal(rows.Err())
			}
			for range 2 { // a row may be scanned twice
				var list any = &[]int{}
				if !byColumn {
					list = new(string)
				}
				var ssn string
				var at time.Time
				var age int
				var email *string
				if err := rows.Scan(list, &ssn, &at, &age, &email); err != nil {
					t.Fatal(err)
				}
				if ssn != "078" || !at.Equal(born) || age != 7 || email != nil {
					t.Error(ssn, at, age, email)
				}
				if ints, ok := list.(*[]int); ok && len(*ints) != 3 {
					t.Error("the plain column was not scanned by the underlying rows")
				}
			}
			var raw sql.RawBytes
			var null sql.NullInt64
			var anything any
			if err := rows.Scan(new(any), &raw, new(any), &null, &anything); err != nil || string(raw) != "078" || null.Int64 != 7 || anything != nil {
				t.Error(string(raw), null, anything, err)
			}
			if rows.Next() || rows.Err() != nil {
				t.Error("more rows, or", rows.Err())
			}
		})
	}
}

// A conversion that fails says where and into what, and nothing of the value.
func TestScanErrorHoldsNoValue(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("ssn")
	for _, dest := range []any{new(int), new(bool), new(time.Time), new([]int), new(struct{ X int }), new(float64), (*string)(nil), 7} {
		b.answer([]string{"ssn"}, []sqldriver.Value{b.cell(t, "ssn", canary)})
		err := b.db.QueryRow("q").Scan(dest)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("into %T: %v", dest, err)
		}
	}
	b.answer([]string{"ssn"}, []sqldriver.Value{canary})
	if err := b.db.QueryRow("q").Scan(new(string)); !errors.Is(err, ErrNotSealed) || strings.Contains(err.Error(), canary) {
		t.Errorf("plaintext: %v", err)
	}
}
