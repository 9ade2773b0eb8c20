package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/colseal/colseal/internal/sqlplan"
)

// Which calls reach the underlying driver, by variant: the same as without us.
func TestForwarding(t *testing.T) {
	ctx := context.Background()
	type op struct {
		name string
		do   func(t *testing.T, db *sql.DB)
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ops := []op{
		{"ping", func(t *testing.T, db *sql.DB) { must(t, db.PingContext(ctx)) }},
		{"exec", func(t *testing.T, db *sql.DB) {
			_, err := db.ExecContext(ctx, "x", 1)
			must(t, err)
		}},
		{"query", func(t *testing.T, db *sql.DB) {
			rows, err := db.QueryContext(ctx, "q", "a")
			must(t, err)
			must(t, rows.Close())
		}},
		{"prepare", func(t *testing.T, db *sql.DB) {
			st, err := db.PrepareContext(ctx, "p")
			must(t, err)
			_, err = st.ExecContext(ctx, 1)
			must(t, err)
			rows, err := st.QueryContext(ctx)
			must(t, err)
			must(t, rows.Close())
			must(t, st.Close())
		}},
		{"begin", func(t *testing.T, db *sql.DB) {
			tx, err := db.BeginTx(ctx, nil)
			must(t, err)
			must(t, tx.Commit())
			tx, err = db.BeginTx(ctx, nil)
			must(t, err)
			must(t, tx.Rollback())
		}},
		{"raw", func(t *testing.T, db *sql.DB) {
			c, err := db.Conn(ctx)
			must(t, err)
			must(t, c.Raw(func(dc any) error {
				if _, ok := Raw(dc); !ok {
					t.Error("Raw does not know its own connection")
				}
				return nil
			}))
			must(t, c.Close())
		}},
	}
	for _, variant := range []string{"lean", "full"} {
		for _, op := range ops {
			t.Run(variant+"/"+op.name, func(t *testing.T) {
				b := newBench(t, variant)
				op.do(t, b.db)
				op.do(t, b.db) // a connection that is used again is reset and validated
				got := b.server.calls()

				plain := sql.OpenDB(&fakeConnector{open: b.inner.open})
				plain.SetMaxOpenConns(1)
				op2 := op
				if op.name == "raw" {
					op2.do = func(t *testing.T, db *sql.DB) {
						c, err := db.Conn(ctx)
						must(t, err)
						must(t, c.Close())
					}
				}
				op2.do(t, plain)
				op2.do(t, plain)
				want := b.server.calls()
				must(t, plain.Close())
				if !slices.Equal(got, want) {
					t.Errorf("through the wrapper: %q\nwithout: %q", got, want)
				}
			})
		}
	}
}

// Optional interfaces are there only where they may be.
func TestValidatorOnlyWithInner(t *testing.T) {
	for variant, want := range map[string]bool{"lean": false, "full": true} {
		b := newBench(t, variant)
		c, err := b.cn.Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, got := c.(sqldriver.Validator); got != want {
			t.Errorf("%s: Validator %t, want %t", variant, got, want)
		}
	}
}

// bareStmts prepares statements that lack the interfaces with contexts.
type bareStmts struct{ leanConn }

func (c *bareStmts) PrepareContext(_ context.Context, query string) (sqldriver.Stmt, error) {
	return &bareStmt{s: c.s, query: query}, nil
}

// A driver from before contexts is refused when it connects, and its statements when they are prepared.
func TestDriversWithoutContexts(t *testing.T) {
	b := newBench(t, "full")
	b.inner.open = func() sqldriver.Conn { return &bareConn{b.server} }
	if err := b.db.Ping(); err == nil || !strings.Contains(err.Error(), "*driver.bareConn") {
		t.Errorf("Ping() = %v, want an error that names the type of the connection", err)
	}
	if got := b.server.calls(); !slices.Equal(got, []string{"Close"}) {
		t.Errorf("the connection got %q, want that it is closed", got)
	}
	b.inner.open = func() sqldriver.Conn { return &bareStmts{leanConn{bareConn{b.server}}} }
	if _, err := b.db.Prepare("s"); err == nil || !strings.Contains(err.Error(), "*driver.bareStmt") {
		t.Errorf("Prepare() = %v, want an error that names the type of the statement", err)
	}
}

// ErrSkip of the underlying connection makes database/sql prepare, and the plan applies there.
func TestErrSkip(t *testing.T) {
	for _, variant := range []string{"lean", "full"} {
		t.Run(variant, func(t *testing.T) {
			b := newBench(t, variant)
			b.server.skip = true
			b.plans.plans["ins"] = &sqlplan.Plan{
				Sealed: true, Statements: 1, Chunks: []string{"ins'"}, NumInput: 1,
				Params: []sqlplan.Param{{From: 1, Use: b.use("ssn")}},
			}
			if _, err := b.db.Exec("ins", "078-05-1120"); err != nil {
				t.Fatal(err)
			}
			if b.server.lastQuery != "ins'" {
				t.Errorf("sent %q", b.server.lastQuery)
			}
			if got := b.open(t, "ssn", b.server.lastArgs[0].Value); got != "078-05-1120" {
				t.Errorf("sealed %v", got)
			}
		})
	}
}

type inPtr struct{ v string }

func (p inPtr) Value() (sqldriver.Value, error) { return p.v, nil }

// Plain arguments are converted exactly as without us, and errors read the same.
func TestPlainArguments(t *testing.T) {
	removeOption := func(nv *sqldriver.NamedValue) error {
		if nv.Value == "option" {
			return sqldriver.ErrRemoveArgument
		}
		return sqldriver.ErrSkip
	}
	tests := []struct {
		name    string
		variant string
		check   func(*sqldriver.NamedValue) error
		args    []any
	}{
		{"values", "full", nil, []any{int64(1), "a", []byte("b"), 1.5, true, nil}},
		{"conversions", "full", nil, []any{1, uint8(2), float32(1.5), inPtr{"v"}, (*inPtr)(nil), sql.NullString{}, sql.NullInt64{Int64: 3, Valid: true}}},
		{"unsupported", "full", nil, []any{1, struct{}{}}},
		{"high bit", "full", nil, []any{uint64(1 << 63)}},
		{"option removed", "full", removeOption, []any{1, "option", 2}},
		{"checker fails", "full", func(*sqldriver.NamedValue) error { return errors.New("no") }, []any{1}},
		{"checker fails on a name", "full", func(*sqldriver.NamedValue) error { return errors.New("no") }, []any{sql.Named("n", 1)}},
		{"named", "full", nil, []any{sql.Named("n", 1)}},
		{"lean", "lean", nil, []any{1, inPtr{"v"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.variant)
			b.server.check = tt.check
			_, gotErr := b.db.Exec("x", tt.args...)
			got := b.server.lastArgs
			b.server.lastArgs = nil
			plain := sql.OpenDB(&fakeConnector{open: b.inner.open})
			defer plain.Close()
			_, wantErr := plain.Exec("x", tt.args...)
			if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
				t.Errorf("error %v, want %v", gotErr, wantErr)
			}
			if !reflect.DeepEqual(got, b.server.lastArgs) {
				t.Errorf("sent %v, want %v", got, b.server.lastArgs)
			}
		})
	}
}

// Nothing is copied when nothing has to be done.
func TestPlainArgumentsPassAsTheyAre(t *testing.T) {
	b := newBench(t, "full")
	c, _ := b.cn.Connect(context.Background())
	own := c.(validConn).conn
	own.check.nvc = nil
	args := []sqldriver.NamedValue{{Ordinal: 1, Value: int64(1)}, {Ordinal: 2, Value: "a"}}
	if _, err := own.ExecContext(context.Background(), "x", args); err != nil {
		t.Fatal(err)
	}
	if &args[0] != &b.server.lastArgs[0] {
		t.Error("the arguments were copied")
	}
	ctx := context.Background()
	plan := &sqlplan.Plan{}
	b.plans.onPlan = func(context.Context, string, *sqlplan.Env) (*sqlplan.Plan, error) { return plan, nil }
	if n := testing.AllocsPerRun(100, func() {
		if err := own.prepareCall(ctx, new(call), "x", args, false); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a plain statement", n)
	}
}

// Inner errors come back as they are: database/sql and ORMs compare them.
func TestInnerErrorsAsTheyAre(t *testing.T) {
	inner := &pgLikeError{state: "23505"}
	b := newBench(t, "full")
	b.server.onRun = func(string, []sqldriver.NamedValue) (sqldriver.Rows, error) { return nil, inner }
	if _, err := b.db.Exec("x"); err != inner { //nolint:errorlint // identity is the point
		t.Errorf("Exec: %v", err)
	}
	if _, err := b.db.Query("q"); err != inner { //nolint:errorlint // identity is the point
		t.Errorf("Query: %v", err)
	}
	if b.plans.invalidated != 0 {
		t.Error("an unrelated error made the catalog be read again")
	}
	inner.state = "42703"
	_, _ = b.db.Exec("x")
	if b.plans.invalidated != 1 {
		t.Error("undefined_column did not make the catalog be read again")
	}
}

type pgLikeError struct{ state string }

func (e *pgLikeError) Error() string    { return "server error " + e.state }
func (e *pgLikeError) SQLState() string { return e.state }

func TestStatsAndClose(t *testing.T) {
	b := newBench(t, "full")
	if s, err := Stats(t.Context(), b.db); err != nil || s.Hits != 42 {
		t.Errorf("Stats: %+v, %v", s, err)
	}
	traced := sql.OpenDB(&fakeConnector{open: func() sqldriver.Conn { return tracedConn{b.conn(t)} }})
	defer traced.Close()
	if s, err := Stats(t.Context(), traced); err != nil || s.Hits != 42 {
		t.Errorf("Stats below a wrapper: %+v, %v", s, err)
	}
	other := newBench(t, "full")
	other.with(other.plans, nil)
	if s, err := Stats(t.Context(), other.db); err != nil || s.Hits != 0 {
		t.Errorf("Stats before the first key: %+v, %v", s, err)
	}
	plain := sql.OpenDB(&fakeConnector{open: b.inner.open})
	defer plain.Close()
	if _, err := Stats(t.Context(), plain); err == nil {
		t.Error("Stats of a database that is not ours")
	}
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if b.inner.closed != 1 {
		t.Errorf("the underlying connector was closed %d times", b.inner.closed)
	}
}

func TestRegister(t *testing.T) {
	b := newBench(t, "full")
	Register("colseal-test", Config{Driver: b.inner.Driver(), Schema: b.schema, KMS: noKMS{}})
	db, err := sql.Open("colseal-test", "dsn")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	if _, err := Stats(t.Context(), db); err != nil {
		t.Errorf("Stats of a registered driver: %v", err)
	}
	c, err := db.Driver().Open("dsn")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for name, register := range map[string]func(){
		"nil driver": func() { Register("colseal-test-2", Config{}) },
		"twice":      func() { Register("colseal-test", Config{Driver: b.inner.Driver()}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			register()
		}()
	}
	Register("colseal-test-bad", Config{Driver: b.inner.Driver(), Dialect: 9})
	_, err = sql.Open("colseal-test-bad", "")
	if err == nil {
		t.Fatal("no error for a bad Config")
	}
	for _, part := range []string{"Config.Schema", "Config.KMS", "Config.Dialect"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
}

func TestRawOfOthers(t *testing.T) {
	if _, ok := Raw(&bareConn{}); ok {
		t.Error("Raw took a foreign connection")
	}
}
