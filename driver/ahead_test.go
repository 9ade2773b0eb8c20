package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"io"
	"strings"
	"testing"
)

// apartRows are underlying rows that leave cells out, and use their memory again for the next row, as pgx does.
type apartRows struct {
	cols  []string
	data  [][]sqldriver.Value
	left  map[int]bool
	cells [][]byte // of the current row, in memory that is used again
}

func (r *apartRows) Columns() []string { return r.cols }
func (r *apartRows) Close() error      { return nil }

func (r *apartRows) leave(i int) bool {
	r.left[i] = true
	return true
}

func (r *apartRows) cell(i int) ([]byte, error) { return r.cells[i], nil }

func (r *apartRows) Next(dest []sqldriver.Value) error {
	if len(r.data) == 0 {
		return io.EOF
	}
	for i, v := range r.data[0] {
		dest[i] = v
		if r.left[i] {
			dest[i] = nil
			if v == nil {
				r.cells[i] = nil
			} else {
				r.cells[i] = append(r.cells[i][:0:cap(r.cells[i])], v.([]byte)...)
			}
		}
	}
	r.data = r.data[1:]
	return nil
}

type givesAway struct{ underlying }

func (givesAway) copies() bool { return true }
func (givesAway) shows() bool  { return false }

// However often a result is read ahead, and fails half way because it is too large, no cell is lost or stands in another row.
func TestReadAheadHalfWay(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("note", "ssn", "age")
	c := b.conn(t)
	c.under = givesAway{c.under}
	large := strings.Repeat("x", 17<<20) // too large to read more than one row ahead
	var data [][]sqldriver.Value
	const n = 6
	for i := range n {
		row := []sqldriver.Value{large, b.cell(t, "ssn", strings.Repeat("s", i)), b.cell(t, "age", i)}
		if i == 3 {
			row[1] = nil
		}
		data = append(data, row)
	}
	under := &apartRows{cols: []string{"note", "ssn", "age"}, data: data, left: map[int]bool{}, cells: make([][]byte, 3)}
	opened, err := c.openRows(context.Background(), under, b.plans.plans["q"], "q")
	if err != nil {
		t.Fatal(err)
	}
	r := opened.(*rows)
	for i := range n {
		dest := make([]sqldriver.Value, 3)
		if err := r.Next(dest); err != nil {
			t.Fatal(i, err)
		}
		check := func(ssn, age any) {
			t.Helper()
			var want any = strings.Repeat("s", i)
			if i == 3 {
				want = nil
			}
			if ssn != want || age != int64(i) {
				t.Errorf("row %d: %v, %v", i, ssn, age)
			}
		}
		check(dest[1], dest[2])
		for range 2 - i%3 {
			if err := r.ReadAhead(); err == nil && i < 3 {
				t.Error("all was read ahead")
			}
			if !r.fromAhead { // the columns of the row that were not opened when it was read ahead
				ssn, err := r.openApart(&r.openers[0])
				if err != nil {
					t.Fatal(i, err)
				}
				age, err := r.openApart(&r.openers[1])
				if err != nil {
					t.Fatal(i, err)
				}
				check(ssn, age)
			}
		}
	}
	if err := r.Next(make([]sqldriver.Value, 3)); err != io.EOF {
		t.Errorf("after the last row: %v", err)
	}
}
