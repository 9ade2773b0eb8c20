package driver

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

// canary is plaintext that no error may hold.
const canary = "canary-7d1f"

// result is a plan whose results are named columns; "ssn" and the like are sealed.
func (b *bench) result(names ...string) *sqlplan.Plan {
	p := sealedPlan("q")
	p.Returns = true
	for _, name := range names {
		r := sqlplan.Result{Name: name}
		if col := b.col(name); col != nil {
			r.Columns = []*schema.Column{col}
		}
		p.Head = append(p.Head, r)
	}
	return p
}

// answer makes the server give rows.
func (b *bench) answer(names []string, rows ...[]sqldriver.Value) {
	b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) {
		return &bareRows{s: b.server, cols: names, data: rows}, nil
	}
}

func TestRowsAreOpened(t *testing.T) {
	b := newBench(t, "full")
	born := time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC).Local()
	b.plans.plans["q"] = b.result("id", "email", "ssn", "born", "age", "profile", "tags", "note")
	b.answer([]string{"id", "email", "ssn", "born", "age", "profile", "tags", "note"}, []sqldriver.Value{
		int64(1), b.cell(t, "email", "a@x"), codec.EncodeText(b.cell(t, "ssn", "")), []byte(codec.EncodeText(b.cell(t, "born", born))),
		b.cell(t, "age", 7), nil, b.cell(t, "tags", []string{"x"}), "plain",
	})
	rows, err := b.db.Query("q")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := make([]any, 8)
	dest := make([]any, 8)
	for i := range got {
		dest[i] = &got[i]
	}
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	if err := rows.Scan(dest...); err != nil {
		t.Fatal(err)
	}
	want := []any{int64(1), "a@x", "", born, int64(7), nil, "{x}", "plain"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if rows.Next() || rows.Err() != nil {
		t.Error("more rows, or", rows.Err())
	}
}

// The key of a column is asked for once, until a row comes under another.
func TestKeyMemoPerRows(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("ssn")
	var data [][]sqldriver.Value
	for i := range 10 {
		if i == 5 {
			b.keys.dataID = 6
		}
		data = append(data, []sqldriver.Value{b.cell(t, "ssn", "x")})
	}
	b.answer([]string{"ssn"}, data...)
	rows, err := b.db.Query("q")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil || s != "x" {
			t.Fatal(s, err)
		}
	}
	if b.keys.opened != 2 {
		t.Errorf("%d keys asked for, want 2", b.keys.opened)
	}
}

// Where a column may come from one of several, the cell's tag decides; no other opens.
func TestSeveralSources(t *testing.T) {
	b := newBench(t, "full")
	p := b.result("x")
	p.Head[0].Columns = []*schema.Column{b.col("email"), b.col("ssn")}
	b.plans.plans["q"] = p
	for _, name := range []string{"email", "ssn"} {
		b.answer([]string{"x"}, []sqldriver.Value{b.cell(t, name, name)})
		var s string
		if err := b.db.QueryRow("q").Scan(&s); err != nil || s != name {
			t.Error(name, s, err)
		}
	}
	b.answer([]string{"x"}, []sqldriver.Value{b.cell(t, "age", 1)})
	var s string
	if err := b.db.QueryRow("q").Scan(&s); !errors.Is(err, ErrColumnMismatch) {
		t.Error("a cell of another column:", err)
	}
}

// Every way a stored value can be wrong is an error that names the column, and says
// nothing of a value.
func TestWrongCells(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("id", "ssn")
	good := b.cell(t, "ssn", canary)
	flip := func(i int) []byte {
		c := append([]byte(nil), good...)
		c[i] ^= 1
		return c
	}
	text := codec.EncodeText(good)
	tests := map[string]struct {
		stored any
		is     error
	}{
		"plaintext":         {canary, ErrNotSealed},
		"plaintext bytes":   {[]byte(canary), ErrNotSealed},
		"empty":             {"", ErrNotSealed},
		"a number":          {int64(4711), ErrNotSealed},
		"a time":            {time.Now(), ErrNotSealed},
		"version":           {flip(0), ErrFormat},
		"tag":               {flip(2), ErrColumnMismatch},
		"key id":            {flip(7), ErrAuth},
		"body":              {flip(20), ErrAuth},
		"cut":               {good[:len(good)-1], ErrAuth},
		"cut header":        {good[:6], ErrFormat},
		"text of no base64": {"cs1:!" + canary, ErrFormat},
		"of another column": {b.cell(t, "email", canary), ErrColumnMismatch},
		"of another kind":   {b.cell(t, "age", 1), ErrColumnMismatch},
		"text, lower case":  {strings.ToLower(text), ErrFormat},
		"text, a blank":     {" " + text, ErrFormat},
		"text, no prefix":   {text[4:], ErrFormat},
		"bytes as text":     {string(good), ErrFormat},
		"hexadecimal text":  {fmt.Sprintf(`\x%x`, good), ErrFormat},
		"hexadecimal bytes": {fmt.Appendf(nil, `\x%x`, good), ErrFormat},
		"half a header":     {append([]byte{good[0] ^ 0x40, good[1] ^ 0x40}, good[2:]...), ErrFormat},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b.answer([]string{"id", "ssn"}, []sqldriver.Value{int64(1), tt.stored})
			var id, ssn any
			err := b.db.QueryRow("q").Scan(&id, &ssn)
			if !errors.Is(err, tt.is) {
				t.Fatalf("%v, want %v", err, tt.is)
			}
			var ce *CellError
			if !errors.As(err, &ce) || ce.Table != "users" || ce.Column != "ssn" || !strings.Contains(err.Error(), "result column 1") {
				t.Errorf("the error does not name the column: %v", err)
			}
			if ssn != nil || strings.Contains(err.Error(), canary) {
				t.Errorf("a value came out: %v, %v", ssn, err)
			}
		})
	}
}

func TestArrayOfCells(t *testing.T) {
	b := newBench(t, "full")
	p := b.result("e", "a")
	p.Head[0].Columns, p.Head[0].Array = []*schema.Column{b.col("email")}, true
	p.Head[1].Columns, p.Head[1].Array = []*schema.Column{b.col("age")}, true
	b.plans.plans["q"] = p
	b.answer([]string{"e", "a"}, []sqldriver.Value{
		fmt.Sprintf(`{"\\x%x",NULL,"%s"}`, b.cell(t, "email", `a "b", c`), codec.EncodeText(b.cell(t, "email", "d"))),
		[]byte(fmt.Sprintf(`{"\\x%x"}`, b.cell(t, "age", -3))),
	})
	var e, a string
	if err := b.db.QueryRow("q").Scan(&e, &a); err != nil {
		t.Fatal(err)
	}
	if e != `{"a \"b\", c",NULL,d}` || a != "{-3}" {
		t.Errorf("opened %s, %s", e, a)
	}
	for _, bad := range []string{canary, `{` + canary + `}`, `{"\\x00"}`, `{"\\xzz"}`, `{{"\\x00"}}`} {
		b.answer([]string{"e", "a"}, []sqldriver.Value{bad, nil})
		if err := b.db.QueryRow("q").Scan(&e, new(any)); !errors.Is(err, ErrFormat) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestColumnTypes(t *testing.T) {
	for _, full := range []bool{false, true} {
		b := newBench(t, "full")
		b.plans.plans["q"] = b.result("id", "email", "age", "born")
		names := []string{"id", "email", "age", "born"}
		b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) {
			bare := bareRows{s: b.server, cols: names}
			if full {
				return &fullRows{bareRows: bare}, nil
			}
			return &bare, nil
		}
		rows, err := b.db.Query("q")
		if err != nil {
			t.Fatal(err)
		}
		types, err := rows.ColumnTypes()
		if err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
		var got []string
		for _, ct := range types {
			length, hasLength := ct.Length()
			nullable, known := ct.Nullable()
			_, _, decimal := ct.DecimalSize()
			got = append(got, fmt.Sprint(ct.ScanType(), ct.DatabaseTypeName(), length, hasLength, nullable, known, decimal))
		}
		// What database/sql says of rows without the interfaces, and with them.
		plain, null := "interface {}0 false false false false", "false false"
		if full {
			plain, null = "uint8INNER99 true true true true", "true true"
		}
		want := []string{
			plain, fmt.Sprintf("stringTEXT%d true %s false", int64(math.MaxInt64), null),
			"int64INT80 false " + null + " false", "time.TimeTIMESTAMPTZ0 false " + null + " false",
		}
		for i := range want {
			if strings.ReplaceAll(got[i], " ", "") != strings.ReplaceAll(want[i], " ", "") {
				t.Errorf("full %t, column %d: %s, want %s", full, i, got[i], want[i])
			}
		}
	}
}

// Plain results are the underlying rows themselves.
func TestPlainRowsAreNotWrapped(t *testing.T) {
	b := newBench(t, "full")
	inner := &fullRows{bareRows: bareRows{s: b.server, cols: []string{"id"}}}
	b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) { return inner, nil }
	b.plans.plans["sealed"] = b.result("id")
	c, _ := b.cn.Connect(t.Context())
	for _, q := range []string{"plain", "sealed"} {
		rows, err := c.(sqldriver.QueryerContext).QueryContext(t.Context(), q, nil)
		if err != nil || rows != sqldriver.Rows(inner) {
			t.Errorf("%s: %T, %v", q, rows, err)
		}
	}
}

func TestNextResultSet(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("ssn")
	for sets := range 2 {
		b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) {
			return &fullRows{bareRows: bareRows{s: b.server, cols: []string{"ssn"}}, sets: sets}, nil
		}
		rows, err := b.db.Query("q")
		if err != nil {
			t.Fatal(err)
		}
		if rows.Next() || rows.NextResultSet() {
			t.Error("a row, or a further result set")
		}
		if got := rows.Err() != nil; got != (sets == 1) {
			t.Errorf("%d further sets: %v", sets, rows.Err())
		}
		_ = rows.Close()
	}
}

// A result with other columns than planned is planned again, once.
func TestResultColumnsDiffer(t *testing.T) {
	names := []string{"id", "new", "ssn"}
	for _, tt := range []struct {
		name  string
		fresh []string
		ok    bool
	}{
		{"planned again", names, true},
		{"still different", []string{"id", "ssn"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "full")
			b.answer(names, []sqldriver.Value{int64(1), int64(2), b.cell(t, "ssn", "078")})
			stale, fresh := b.result("id", "ssn"), b.result(tt.fresh...)
			b.plans.plans["q"] = stale
			opened := b.inner.open
			connections := 0
			b.inner.open = func() sqldriver.Conn {
				if connections++; connections == 2 {
					b.plans.plans["q"] = fresh
				}
				return opened()
			}
			var id, n int64
			var ssn string
			err := b.db.QueryRow("q").Scan(&id, &n, &ssn)
			if tt.ok && (err != nil || ssn != "078" || id != 1) {
				t.Errorf("%v %v %v", id, ssn, err)
			}
			if !tt.ok && (err == nil || !strings.Contains(err.Error(), "other columns")) {
				t.Errorf("%v", err)
			}
			if b.plans.invalidated != 1 || connections != 2 {
				t.Errorf("catalog forgotten %d times, %d connections", b.plans.invalidated, connections)
			}
		})
	}
}

// Columns of unknown number between known ones.
func TestOpenPlan(t *testing.T) {
	b := newBench(t, "full")
	p := b.result("ssn")
	p.Open = true
	p.Tail = []sqlplan.Result{{Name: "email", Columns: []*schema.Column{b.col("email")}}}
	b.plans.plans["q"] = p
	b.answer([]string{"ssn", "a", "b", "email"}, []sqldriver.Value{b.cell(t, "ssn", "s"), "1", "2", b.cell(t, "email", "e")})
	var v [4]string
	if err := b.db.QueryRow("q").Scan(&v[0], &v[1], &v[2], &v[3]); err != nil || v != [4]string{"s", "1", "2", "e"} {
		t.Error(v, err)
	}
}

func TestRowsErrorsAsTheyAre(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("ssn")
	inner := &pgLikeError{state: "0A000"}
	b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) {
		return &bareRows{s: b.server, cols: []string{"ssn"}, failAt: inner}, nil
	}
	rows, err := b.db.Query("q")
	if err != nil {
		t.Fatal(err)
	}
	if rows.Next() || rows.Err() != inner { //nolint:errorlint // identity is the point
		t.Error(rows.Err())
	}
	if b.plans.invalidated != 1 {
		t.Error("a changed result type did not make the catalog be read again")
	}
}

// The driver's own memory is not written to unless it gives it away.
func TestInnerMemoryIsNotWritten(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("ssn")
	stored := b.cell(t, "ssn", "078")
	before := string(stored)
	b.answer([]string{"ssn"}, []sqldriver.Value{stored})
	var s sql.RawBytes
	rows, err := b.db.Query("q")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() || rows.Scan(&s) != nil || string(s) != "078" {
		t.Error("read", string(s), rows.Err())
	}
	if string(stored) != before {
		t.Error("the underlying driver's memory was written to")
	}
}

// After a statement was executed no error is driver.ErrBadConn: database/sql would execute it again.
func TestExecutedOnce(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["q"] = b.result("email")
	runs := 0
	b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) {
		runs++
		b.inner.fail = sqldriver.ErrBadConn // a second connection cannot be had
		return &bareRows{s: b.server, cols: []string{"another", "column"}}, nil
	}
	_, err := b.db.Query("q")
	if err == nil || errors.Is(err, sqldriver.ErrBadConn) || !strings.Contains(err.Error(), "was executed") {
		t.Errorf("Query() = %v, want an error that says that the statement was executed", err)
	}
	if runs != 1 {
		t.Errorf("the statement was executed %d times", runs)
	}
}
