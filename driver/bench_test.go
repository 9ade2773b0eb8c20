package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"testing"

	"github.com/colseal/colseal/internal/sqlplan"
)

// What the wrapper adds to a statement, without the underlying driver: BenchmarkPlain has to
// stay below 2 % of a round trip to a server, which takes some 50 µs on one machine.

func benchConn(b *testing.B) (*bench, *conn) {
	b.Helper()
	w := newBench(b, "full")
	w.with(nil, newMemoKeys(w.keys))
	return w, w.conn(b)
}

func BenchmarkPlain(b *testing.B) {
	_, c := benchConn(b)
	args := []sqldriver.NamedValue{{Ordinal: 1, Value: int64(1)}, {Ordinal: 2, Value: "x"}}
	benchCalls(b, c, "SELECT id, note, created FROM orders WHERE id = $1 AND note = $2", args, true)
}

// benchCalls times calls of a statement but the first, which looks at the catalog for all.
func benchCalls(b *testing.B, c *conn, query string, args []sqldriver.NamedValue, isQuery bool) {
	b.Helper()
	ctx := context.Background()
	prepare := func() {
		if err := c.prepareCall(ctx, new(call), query, args, isQuery); err != nil {
			b.Fatal(err)
		}
	}
	prepare()
	b.ReportAllocs()
	for b.Loop() {
		prepare()
	}
}

func BenchmarkSealFive(b *testing.B) {
	w := newBench(b, "full")
	names := []string{"email", "ssn", "ssn", "age", "born"}
	p := sealedPlan("s")
	args := make([]sqldriver.NamedValue, len(names))
	values := []any{"someone@example.com", "078-05-1120", "a note of the usual length, sixty-four bytes of plain text, so.", 42, "2001-02-03T04:05:06Z"}
	for i, name := range names {
		p.Params = append(p.Params, sqlplan.Param{From: int32(i + 1), Use: w.use(name)})
		args[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: values[i]}
	}
	p.NumInput = len(names)
	w.plans.plans["s"] = p
	w.with(w.plans, newMemoKeys(w.keys))
	benchCalls(b, w.conn(b), "s", args, false)
}

func BenchmarkOpenFive(b *testing.B) {
	w, c := benchConn(b)
	row := []sqldriver.Value{w.cell(b, "email", "someone@example.com"), w.cell(b, "ssn", "078"), w.cell(b, "age", 42),
		w.cell(b, "born", "2001-02-03T04:05:06Z"), w.cell(b, "tags", "{a,b}")}
	names := []string{"email", "ssn", "age", "born", "tags"}
	inner := &endlessRows{cols: names, row: row}
	rows, err := c.openRows(context.Background(), inner, w.result(names...), "q")
	if err != nil {
		b.Fatal(err)
	}
	dest := make([]sqldriver.Value, len(names))
	b.ReportAllocs()
	for b.Loop() {
		if err := rows.Next(dest); err != nil {
			b.Fatal(err)
		}
	}
}

type endlessRows struct {
	cols []string
	row  []sqldriver.Value
}

func (r *endlessRows) Columns() []string { return r.cols }
func (r *endlessRows) Close() error      { return nil }
func (r *endlessRows) Next(dest []sqldriver.Value) error {
	copy(dest, r.row)
	return nil
}
