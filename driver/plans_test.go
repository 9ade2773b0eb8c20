package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keyring"
)

// sealedPlan is a plan for one statement that sends text.
func sealedPlan(text string, params ...sqlplan.Param) *sqlplan.Plan {
	p := &sqlplan.Plan{Sealed: true, Statements: 1, Chunks: []string{text}, Params: params}
	for _, param := range params {
		p.NumInput = max(p.NumInput, int(param.From))
	}
	return p
}

// One argument in two roles, and another order than the caller's.
func TestParametersSplitAndReordered(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["s"] = sealedPlan("s'",
		sqlplan.Param{From: 2, Use: b.use("ssn")}, sqlplan.Param{From: 1}, sqlplan.Param{From: 2})
	args := []any{7, "078"}
	for _, prepared := range []bool{false, true} {
		var err error
		if prepared {
			var st *sql.Stmt
			if st, err = b.db.Prepare("s"); err == nil {
				_, err = st.Exec(args...)
			}
		} else {
			_, err = b.db.Exec("s", args...)
		}
		if err != nil {
			t.Fatal(err)
		}
		sent := b.server.lastArgs
		if len(sent) != 3 || b.open(t, "ssn", sent[0].Value) != "078" || sent[1].Value != int64(7) || sent[2].Value != "078" {
			t.Errorf("prepared %t: sent %v", prepared, sent)
		}
		for i, nv := range sent {
			if nv.Ordinal != i+1 || nv.Name != "" {
				t.Errorf("parameter %d has ordinal %d, name %q", i, nv.Ordinal, nv.Name)
			}
		}
	}
}

func TestNamedParameters(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["s"] = &sqlplan.Plan{
		Sealed: true, Statements: 1, Chunks: []string{"s'"}, NumInput: 2, NamedInput: true,
		Params: []sqlplan.Param{{Name: 1, Use: b.use("ssn")}, {Name: 2}}, Names: []string{"ssn", "id"},
	}
	if _, err := b.db.Exec("s", sql.Named("id", 1), sql.Named("ssn", "078")); err != nil {
		t.Fatal(err)
	}
	if got := b.open(t, "ssn", b.server.lastArgs[0].Value); got != "078" || b.server.lastArgs[1].Value != int64(1) {
		t.Errorf("sent %v", b.server.lastArgs)
	}
	_, err := b.db.Exec("s", sql.Named("id", 1))
	if err == nil || !strings.Contains(err.Error(), `"ssn"`) {
		t.Errorf("a missing name: %v", err)
	}
}

type email string

type pointerValuer struct{ s string }

func (p *pointerValuer) Value() (sqldriver.Value, error) {
	if p == nil {
		return "was nil", nil
	}
	return p.s, nil
}

// What a sealed argument may be.
func TestSealedArgumentValues(t *testing.T) {
	s := "a@x"
	ps := &s
	tests := []struct {
		name   string
		column string
		arg    any
		want   any // nil: NULL is sent
	}{
		{"string", "email", "a@x", "a@x"},
		{"empty string", "email", "", ""},
		{"named type", "email", email("a@x"), "a@x"},
		{"pointer", "email", &s, "a@x"},
		{"pointer to pointer", "email", &ps, "a@x"},
		{"nil", "email", nil, nil},
		{"nil pointer", "email", (*string)(nil), nil},
		{"NullString", "email", sql.NullString{String: "a@x", Valid: true}, "a@x"},
		{"invalid NullString", "email", sql.NullString{String: "a@x"}, nil},
		{"Null[T]", "email", sql.Null[email]{V: "a@x", Valid: true}, "a@x"},
		{"Valuer", "email", inPtr{"a@x"}, "a@x"},
		{"nil pointer to a Valuer", "email", (*inPtr)(nil), nil},
		{"nil pointer that is a Valuer", "email", (*pointerValuer)(nil), "was nil"},
		{"bytes", "email", []byte("a@x"), "a@x"},
		{"nil bytes", "email", []byte(nil), nil},
		{"int", "age", int32(7), int64(7)},
		{"decimal text", "age", "7", int64(7)},
		{"big integer", "age", big.NewInt(7), int64(7)},
		{"nil big integer", "age", (*big.Int)(nil), nil},
		{"time", "born", time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC).Local()},
		{"JSON from a map", "profile", map[string]int{"a": 1}, []byte(`{"a":1}`)},
		{"JSON from a struct pointer", "profile", &struct{ A int }{1}, []byte(`{"A":1}`)},
		{"JSON from a nil map", "profile", map[string]int(nil), nil},
		{"array", "tags", []string{"a", "b c"}, `{a,"b c"}`},
		{"array literal", "tags", `{a,NULL}`, `{a,NULL}`},
		{"nil array", "tags", []string(nil), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "full")
			b.plans.plans["s"] = sealedPlan("s", sqlplan.Param{From: 1, Use: b.use(tt.column)})
			if _, err := b.db.Exec("s", tt.arg); err != nil {
				t.Fatal(err)
			}
			sent := b.server.lastArgs[0].Value
			if tt.want == nil {
				if sent != nil {
					t.Errorf("sent %v, want NULL", sent)
				}
				return
			}
			if got := b.open(t, tt.column, sent); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("sealed %v (%T), want %v", got, got, tt.want)
			}
		})
	}
}

// NULLs need no key: they pass even while the key service is down.
func TestNullNeedsNoKey(t *testing.T) {
	b := newBench(t, "full")
	b.keys.err = keyring.ErrKeyUnavailable
	b.plans.plans["s"] = sealedPlan("s", sqlplan.Param{From: 1, Use: b.use("ssn")})
	if _, err := b.db.Exec("s", nil); err != nil {
		t.Error(err)
	}
	if _, err := b.db.Exec("s", "x"); !errors.Is(err, ErrKeyUnavailable) || !strings.Contains(err.Error(), "users.ssn") {
		t.Errorf("without a key: %v", err)
	}
}

// One Sealer call per statement and column, for all its cells.
func TestSealerIsAskedOncePerColumn(t *testing.T) {
	b := newBench(t, "full")
	array := &sqlplan.Use{Column: b.col("ssn"), Storage: dbcatalog.StorageBytes, Array: true}
	p := sealedPlan("", sqlplan.Param{From: 1, Use: b.use("ssn")}, sqlplan.Param{From: 2, Use: array},
		sqlplan.Param{From: 3, Use: b.use("ssn")}, sqlplan.Param{From: 4, Use: b.use("age")})
	p.Chunks = []string{"a ", " b"}
	p.Literals = []sqlplan.Literal{{Value: "lit", Use: *b.use("ssn")}}
	b.plans.plans["s"] = p
	var e *string
	if _, err := b.db.Exec("s", "x", []any{"y", e, "z"}, nil, 3); err != nil {
		t.Fatal(err)
	}
	if b.keys.sealed["users.ssn"] != 4 || b.keys.sealed["users.age"] != 1 {
		t.Errorf("cells asked for: %v", b.keys.sealed)
	}
}

func TestLiterals(t *testing.T) {
	texts := func(b *bench, storage dbcatalog.Storage, array bool, v any) *sqlplan.Plan {
		p := sealedPlan("")
		p.Chunks = []string{"VALUES (", ", 1)"}
		p.Literals = []sqlplan.Literal{{Value: v, Use: sqlplan.Use{Column: b.col("email"), Storage: storage, Array: array}}}
		return p
	}
	hexOf := func(b *bench, v string) string { return fmt.Sprintf("%x", b.cell(t, "email", v)) }
	tests := []struct {
		name    string
		dialect dialect.Dialect
		storage dbcatalog.Storage
		array   bool
		value   any
		want    func(b *bench) string
		param   string // in a prepared statement
	}{
		{"bytea", DialectPostgres, dbcatalog.StorageBytes, false, "a", func(b *bench) string { return `'\x` + hexOf(b, "a") + `'::pg_catalog.bytea` }, "$1::pg_catalog.bytea"},
		{"text", DialectPostgres, dbcatalog.StorageText, false, "a", func(b *bench) string { return "'" + codec.EncodeText(b.cell(t, "email", "a")) + "'" }, "$1::pg_catalog.text"},
		{"blob", DialectSQLite, dbcatalog.StorageBytes, false, "a", func(b *bench) string { return "X'" + hexOf(b, "a") + "'" }, "?1"},
		{"array", DialectPostgres, dbcatalog.StorageBytes, true, []any{"a", nil, "b,c"}, func(b *bench) string {
			return `'{"\\x` + hexOf(b, "a") + `",NULL,"\\x` + hexOf(b, "b,c") + `"}'::pg_catalog.bytea[]`
		}, "$1::pg_catalog.bytea[]"},
		{"text array", DialectPostgres, dbcatalog.StorageText, true, []any{"a"}, func(b *bench) string {
			return `'{"` + codec.EncodeText(b.cell(t, "email", "a")) + `"}'::pg_catalog.text[]`
		}, "$1::pg_catalog.text[]"},
		{"empty array", DialectPostgres, dbcatalog.StorageBytes, true, []any{}, func(*bench) string { return `'{}'::pg_catalog.bytea[]` }, "$1::pg_catalog.bytea[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "full", func(c *Config) { c.Dialect = tt.dialect })
			b.plans.plans["s"] = texts(b, tt.storage, tt.array, tt.value)
			want := "VALUES (" + tt.want(b) + ", 1)"
			if _, err := b.db.Exec("s"); err != nil {
				t.Fatal(err)
			}
			if b.server.lastQuery != want {
				t.Errorf("Exec sent %s\nwant %s", b.server.lastQuery, want)
			}
			st, err := b.db.Prepare("s")
			if err != nil {
				t.Fatal(err)
			}
			b.server.lastQuery = ""
			if _, err := st.Exec(); err != nil || b.server.lastQuery != "VALUES ("+tt.param+", 1)" || len(b.server.lastArgs) != 1 {
				t.Fatalf("prepared: sent %s with %d arguments, %v", b.server.lastQuery, len(b.server.lastArgs), err)
			}
			// Deterministic: the same cells as in the text.
			var stored string
			switch v := b.server.lastArgs[0].Value.(type) {
			case []byte:
				stored = hex.EncodeToString(v)
			case string:
				stored = v
			}
			if !strings.Contains(want, stored) || stored == "" {
				t.Errorf("prepared: the argument is %v, want the cell of %s", b.server.lastArgs[0].Value, want)
			}
		})
	}
}

func TestArrayArguments(t *testing.T) {
	b := newBench(t, "full")
	for _, storage := range []dbcatalog.Storage{dbcatalog.StorageBytes, dbcatalog.StorageText} {
		use := &sqlplan.Use{Column: b.col("email"), Storage: storage, Array: true}
		b.plans.plans["s"] = sealedPlan("s", sqlplan.Param{From: 1, Use: use})
		x := "x"
		for _, arg := range []any{[]string{"x", "y"}, []email{"x", "y"}, [2]string{"x", "y"}, []any{&x, "y"}, `{x,y}`, []byte(`{"x","y"}`)} {
			if _, err := b.db.Exec("s", arg); err != nil {
				t.Fatalf("%T: %v", arg, err)
			}
			literal, _ := b.server.lastArgs[0].Value.(string)
			elems, err := pgarray.Parse(literal)
			if err != nil || len(elems) != 2 {
				t.Fatalf("%T: sent %q: %v", arg, literal, err)
			}
			want := codec.EncodeText(b.cell(t, "email", "x"))
			if storage == dbcatalog.StorageBytes {
				want = fmt.Sprintf(`\x%x`, b.cell(t, "email", "x"))
			}
			if elems[0].Text != want {
				t.Errorf("%T: sent %q", arg, elems[0].Text)
			}
		}
		for _, arg := range []any{nil, []string(nil), (*[]string)(nil)} {
			if _, err := b.db.Exec("s", arg); err != nil || b.server.lastArgs[0].Value != nil {
				t.Errorf("%T: sent %v, %v", arg, b.server.lastArgs, err)
			}
		}
		if _, err := b.db.Exec("s", []string{}); err != nil || b.server.lastArgs[0].Value != "{}" {
			t.Errorf("an empty array: sent %v, %v", b.server.lastArgs, err)
		}
		for _, arg := range []any{7, canary, []byte(canary), map[string]int{}} {
			if _, err := b.db.Exec("s", arg); !errors.Is(err, ErrValue) {
				t.Errorf("%T for an array: %v", arg, err)
			}
		}
	}
}

// Two live search keys: the plan for two is taken, and each use has its key.
func TestSearchKeys(t *testing.T) {
	b := newBench(t, "full")
	second := *b.use("email")
	second.Key = 1
	one := sealedPlan("one", sqlplan.Param{From: 1, Use: b.use("email")})
	two := sealedPlan("two", sqlplan.Param{From: 1, Use: b.use("email")}, sqlplan.Param{From: 1, Use: &second})
	one.Search, two.Search = true, true
	one.SearchKeys, two.SearchKeys = 1, 2
	b.plans.byKeys = map[int]*sqlplan.Plan{1: one, 2: two}

	st, err := b.db.Prepare("s")
	if err != nil {
		t.Fatal(err)
	}
	run := func(want string, params int) {
		t.Helper()
		for _, exec := range []func() error{
			func() error { _, err := b.db.Exec("s", "a@x"); return err },
			func() error { _, err := st.Exec("a@x"); return err },
		} {
			if err := exec(); err != nil {
				t.Fatal(err)
			}
			if b.server.lastQuery != want || len(b.server.lastArgs) != params {
				t.Errorf("sent %q with %d parameters, want %q with %d", b.server.lastQuery, len(b.server.lastArgs), want, params)
			}
			for _, nv := range b.server.lastArgs {
				if got := b.open(t, "email", nv.Value); got != "a@x" {
					t.Errorf("sealed %v", got)
				}
			}
		}
	}
	run("one", 1)
	b.keys.live = []uint32{11, 12}
	run("two", 2)
	b.keys.live = []uint32{12}
	run("one", 1)
}

// A prepared statement follows its plan.
func TestPreparedStatementIsRenewed(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["s"] = sealedPlan("first", sqlplan.Param{From: 1, Use: b.use("ssn")})
	b.plans.plans["ddl"] = &sqlplan.Plan{Effects: sqlplan.ChangesCatalog}
	st, err := b.db.Prepare("s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec("x"); err != nil || b.server.lastQuery != "first" {
		t.Fatal(b.server.lastQuery, err)
	}
	b.plans.plans["s"] = sealedPlan("second", sqlplan.Param{From: 1})
	if _, err := st.Exec("x"); err != nil || b.server.lastQuery != "first" {
		t.Error("prepared again without a reason:", b.server.lastQuery, err)
	}
	if _, err := b.db.Exec("ddl"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec("x"); err != nil || b.server.lastQuery != "second" || b.server.lastArgs[0].Value != "x" {
		t.Error("not prepared again after DDL:", b.server.lastQuery, err)
	}
}

func TestSeveralStatements(t *testing.T) {
	b := newBench(t, "full")
	p := sealedPlan("a; b")
	p.Statements = 2
	b.plans.plans["s"] = p
	if _, err := b.db.Exec("s"); err != nil {
		t.Errorf("Exec: %v", err)
	}
	b.server.calls()
	var qe *QueryError
	if _, err := b.db.Query("s"); !errors.Is(err, ErrRefused) || !errors.As(err, &qe) {
		t.Errorf("Query: %v", err)
	}
	if _, err := b.db.Prepare("s"); !errors.Is(err, ErrRefused) {
		t.Errorf("Prepare: %v", err)
	}
	for _, c := range b.server.calls() {
		if strings.Contains(c, "a; b") {
			t.Errorf("sent %q", c)
		}
	}
}

func TestRefusalSendsNothing(t *testing.T) {
	b := newBench(t, "full")
	b.plans.err = &sqlplan.Refusal{Reason: "LIKE", Table: "users", Column: "email"}
	_, execErr := b.db.Exec("s")
	_, queryErr := b.db.Query("s")
	_, prepareErr := b.db.Prepare("s")
	for _, err := range []error{execErr, queryErr, prepareErr} {
		if !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	}
	for _, c := range b.server.calls() {
		if strings.Contains(c, " s") {
			t.Errorf("sent %q", c)
		}
	}
}

func TestNonstandardStrings(t *testing.T) {
	b := newBench(t, "full")
	b.server.nonstdStrings = true
	b.plans.plans[`s'\'`] = sealedPlan(`s'\'`)
	b.plans.plans[`s'\'`].Backslash = true
	b.plans.plans["s"] = sealedPlan("s")
	if _, err := b.db.Exec(`s'\'`); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "standard_conforming_strings") {
		t.Errorf("sealed with a backslash: %v", err)
	}
	for _, text := range []string{"s", "plain"} {
		if _, err := b.db.Exec(text); err != nil {
			t.Errorf("%s, without a backslash: %v", text, err)
		}
	}
	if _, err := b.db.Exec(`plain '\'`); !errors.Is(err, ErrRefused) {
		t.Errorf("plain with a backslash: %v", err)
	}
}

// Without pgx nobody tells of a change of the setting: it is read again with the session.
func TestStringsThatChange(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["s"] = sealedPlan("s")
	b.plans.plans["s"].Backslash = true
	b.plans.plans["SELECT f()"] = &sqlplan.Plan{Effects: sqlplan.ChangesSession}
	for _, change := range []func(t *testing.T){
		func(t *testing.T) { mustExec(t, b.db, "SELECT f()") },
		func(t *testing.T) {
			c, err := b.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Raw(func(dc any) error { Raw(dc); return nil }); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, off := range []bool{false, true} {
			change(t)
			b.server.nonstdStrings = off
			for _, text := range []string{"s", `plain '\'`} {
				if _, err := b.db.Exec(text); errors.Is(err, ErrRefused) != off || !off && err != nil {
					t.Errorf("%s, off %t: %v", text, off, err)
				}
			}
		}
	}
}

// textUse is use for a column of type text.
func (b *bench) textUse(name string) *sqlplan.Use {
	return &sqlplan.Use{Column: b.col(name), Storage: dbcatalog.StorageText}
}

// The underlying driver is asked which arguments are its options, and not shown the values of
// others before they are sealed.
func TestOptionsAreToldByType(t *testing.T) {
	type option struct{ n int }
	type name string
	type person struct{ Name string }
	b := newBench(t, "full")
	var seen []any
	b.server.check = func(nv *sqldriver.NamedValue) error {
		seen = append(seen, nv.Value)
		switch v := nv.Value.(type) {
		case option:
			return sqldriver.ErrRemoveArgument
		case *option:
			v.n++
			return sqldriver.ErrRemoveArgument
		case func() bool:
			if v() {
				return sqldriver.ErrRemoveArgument
			}
		case []option:
			_ = v[0] // the underlying driver is not ready for an empty one
		}
		return nil
	}
	p := b.textUse("ssn")
	b.plans.plans["s"] = sealedPlan("s", sqlplan.Param{From: 1, Use: p}, sqlplan.Param{From: 2, Use: p})
	secret := canary
	for _, args := range [][]any{
		{option{1}, canary, canary}, {canary, &option{1}, name(canary)}, {[]byte(canary), &secret, func() bool { return true }},
		{option{1}, sql.NullString{String: canary, Valid: true}, name(canary), option{2}},
	} {
		seen = nil
		if _, err := b.db.Exec("s", args...); err != nil {
			t.Errorf("%T: %v", args, err)
		}
		if text := fmt.Sprintf("%+v %q", seen, seen); strings.Contains(text, canary) {
			t.Errorf("%T: the underlying driver saw a value that is to be sealed", args)
		}
		if n := len(b.server.lastArgs); n != 2 {
			t.Errorf("%T: sent %d", args, n)
		}
	}
	for _, args := range [][]any{{canary, canary, []option{{1}}}, {person{canary}, canary, canary}} {
		if _, err := b.db.Exec("s", args...); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%T: %v", args, err)
		}
	}
}

// The caller's values and slices are left alone.
func TestCallerIsNotChanged(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["s"] = sealedPlan("s", sqlplan.Param{From: 1, Use: b.use("ssn")}, sqlplan.Param{From: 2})
	c, _ := b.cn.Connect(context.Background())
	raw := []byte("078-05-1120")
	args := []sqldriver.NamedValue{{Ordinal: 1, Value: raw}, {Ordinal: 2, Value: 5}, {Ordinal: 3, Value: "beyond"}}
	before := fmt.Sprint(args)
	if _, err := c.(sqldriver.ExecerContext).ExecContext(context.Background(), "s", args[:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.(sqldriver.ExecerContext).ExecContext(context.Background(), "plain", args[:2]); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(args); after != before {
		t.Errorf("arguments changed from %s to %s", before, after)
	}
}

func TestWrongNumberOfArguments(t *testing.T) {
	b := newBench(t, "full")
	b.plans.plans["s"] = sealedPlan("s", sqlplan.Param{From: 1, Use: b.use("ssn")})
	for _, args := range [][]any{{}, {canary, canary}} {
		_, err := b.db.Exec("s", args...)
		if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "expected 1 arguments") {
			t.Errorf("%d arguments: %v", len(args), err)
		}
	}
}

func mustExec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
