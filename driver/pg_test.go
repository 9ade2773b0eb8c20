package driver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/colseal/colseal/integration/pgtest"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/schema"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// Real pgx over a real server, with plans made by hand.

const pgUsers = `CREATE TABLE users (id bigint PRIMARY KEY, email bytea, ssn text, tags bytea, note text DEFAULT 'n',
	half int GENERATED ALWAYS AS (id / 2) STORED, gone int, nothing bytea DEFAULT NULL);
ALTER TABLE users DROP COLUMN gone`

// pgBench is newBench over pgx, in one exec mode.
func pgBench(t *testing.T, db *pgtest.DB, mode pgx.QueryExecMode, change ...func(*Config)) *bench {
	t.Helper()
	b := newBench(t, "full")
	cfg, err := pgx.ParseConfig(db.DSN())
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	c := Config{Schema: b.schema, KMS: noKMS{}}
	for _, f := range change {
		f(&c)
	}
	cn, err := NewConnector(stdlib.GetConnector(*cfg), c)
	if err != nil {
		t.Fatal(err)
	}
	b.cn = cn.(*connector)
	b.cn.st.plans = b.plans
	b.cn.st.ring.ready.Store(&openRing{keySource: b.keys})
	b.db = sql.OpenDB(b.cn)
	t.Cleanup(func() { _ = b.db.Close() })
	return b
}

func (b *bench) textUse(name string) *sqlplan.Use {
	return &sqlplan.Use{Column: b.col(name), Storage: sqlplan.StorageText}
}

var allModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

const (
	pgInsert    = "INSERT INTO users(id, email, ssn, note) VALUES ($1, $2, $3, $4)"
	pgSelect    = "SELECT id, email, ssn, note FROM users WHERE id = $1"
	pgAnyBytes  = "SELECT id FROM users WHERE email = ANY($1) ORDER BY id"
	pgAnyText   = "SELECT id FROM users WHERE ssn = ANY($1) ORDER BY id"
	pgAggregate = "SELECT array_agg(email ORDER BY id) AS all FROM users"
)

func (b *bench) pgPlans() {
	arrayOf := func(u *sqlplan.Use) *sqlplan.Use { u.Array = true; return u }
	b.plans.plans[pgInsert] = sealedPlan(pgInsert, sqlplan.Param{From: 1}, sqlplan.Param{From: 2, Use: b.use("email")},
		sqlplan.Param{From: 3, Use: b.textUse("ssn")}, sqlplan.Param{From: 4})
	sel := b.result("id", "email", "ssn", "note")
	sel.Chunks, sel.Params, sel.NumInput = []string{pgSelect}, []sqlplan.Param{{From: 1}}, 1
	b.plans.plans[pgSelect] = sel
	b.plans.plans[pgAnyBytes] = sealedPlan(pgAnyBytes, sqlplan.Param{From: 1, Use: arrayOf(b.use("email"))})
	// ssn is randomized; for the sake of the text array its cells are compared here.
	text := b.textUse("email")
	b.plans.plans[pgAnyText] = sealedPlan(pgAnyText, sqlplan.Param{From: 1, Use: arrayOf(text)})
	agg := b.result("all")
	agg.Chunks = []string{pgAggregate}
	agg.Head[0].Columns, agg.Head[0].Array = []*schema.Column{b.col("email")}, true
	b.plans.plans[pgAggregate] = agg
}

func TestPGModes(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		for _, mode := range allModes {
			t.Run(strings.ReplaceAll(mode.String(), " ", "_"), func(t *testing.T) {
				if _, err := db.Admin.Exec("DROP TABLE IF EXISTS users; " + pgUsers); err != nil {
					t.Fatal(err)
				}
				b := pgBench(t, db, mode)
				b.pgPlans()
				testPGMode(t, b, db)
			})
		}
	})
}

func testPGMode(t *testing.T, b *bench, db *pgtest.DB) {
	exec := func(args ...any) {
		t.Helper()
		if _, err := b.db.Exec(pgInsert, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(1, "a@x", "078", "plain")
	exec(2, "", nil, nil)
	exec(pgx.QueryExecModeDescribeExec, 3, pgtype.Text{String: "c@x", Valid: true}, "", "x")
	exec(4, pgtype.Text{}, "4", "x")

	st, err := b.db.Prepare(pgInsert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec(5, "a@x", "5", "x"); err != nil {
		t.Fatal(err)
	}
	_ = st.Close()

	// The server has cells.
	var email []byte
	var ssn string
	if err := db.Admin.QueryRow("SELECT email, ssn FROM users WHERE id = 1").Scan(&email, &ssn); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(email, b.cell(t, "email", "a@x")) || b.open(t, "ssn", ssn) != "078" {
		t.Errorf("stored %x, %s", email, ssn)
	}

	for _, opts := range [][]any{nil, {pgx.QueryExecModeSimpleProtocol}, {pgx.QueryResultFormats{0, 0, 0, 0}, pgx.QueryExecModeCacheDescribe}} {
		var id int64
		var e, s, note *string
		if err := b.db.QueryRow(pgSelect, append(opts, 1)...).Scan(&id, &e, &s, &note); err != nil || *e != "a@x" || *s != "078" || *note != "plain" {
			t.Errorf("%v: read %v %v %v, %v", opts, e, s, note, err)
		}
		if err := b.db.QueryRow(pgSelect, append(opts, 2)...).Scan(&id, &e, &s, &note); err != nil || e == nil || *e != "" || s != nil || note != nil {
			t.Errorf("%v: read %v %v %v, %v", opts, e, s, note, err)
		}
	}

	nul := (*string)(nil)
	a := "a@x"
	for _, arg := range []any{
		[]string{"a@x", "z"}, []*string{&a, nul}, pgtype.FlatArray[string]{"a@x"}, []pgtype.Text{{String: "a@x", Valid: true}, {}},
		pgtype.Array[string]{Elements: []string{"a@x"}, Dims: []pgtype.ArrayDimension{{Length: 1, LowerBound: 1}}, Valid: true}, `{a@x,NULL}`,
	} {
		if got := b.ids(t, pgAnyBytes, arg); !slices.Equal(got, []int64{1, 5}) {
			t.Errorf("ANY(%T): %v", arg, got)
		}
		b.ids(t, pgAnyText, arg)
	}
	for _, arg := range []any{[]string{}, []string(nil), nil, pgtype.Array[string]{}} {
		if got := b.ids(t, pgAnyBytes, arg); len(got) != 0 {
			t.Errorf("ANY(%T): %v", arg, got)
		}
	}

	var all string
	if err := b.db.QueryRow(pgAggregate).Scan(&all); err != nil || all != `{a@x,"",c@x,NULL,a@x}` {
		t.Errorf("array_agg: %s, %v", all, err)
	}
}

func (b *bench) ids(t *testing.T, query string, args ...any) []int64 {
	t.Helper()
	rows, err := b.db.Query(query, args...)
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
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		if _, err := db.Admin.Exec(pgUsers); err != nil {
			t.Fatal(err)
		}
		b := pgBench(t, db, pgx.QueryExecModeCacheStatement)
		b.pgPlans()
		named := "INSERT INTO users(id, email, ssn, note) VALUES (@id, @email, @ssn, @note)"
		values := pgx.NamedArgs{"id": 1, "email": "a@x", "ssn": "078", "note": "n"}
		if _, err := b.db.Exec(named, values); err != nil {
			t.Fatal(err)
		}
		values["id"] = 2
		if _, err := b.db.Exec(named, pgx.QueryExecModeSimpleProtocol, pgx.StrictNamedArgs(values)); err != nil {
			t.Fatal(err)
		}
		delete(values, "ssn")
		if _, err := b.db.Exec(named, pgx.StrictNamedArgs(values)); err == nil || strings.Contains(err.Error(), "a@x") {
			t.Errorf("a missing named argument: %v", err)
		}
		r := &rewriter{}
		if _, err := b.db.Exec("rewrite "+pgInsert, r, "b@x", nil, nil); err != nil || r.calls != 1 {
			t.Errorf("rewritten %d times: %v", r.calls, err)
		}
		if got := b.ids(t, pgAnyBytes, []string{"a@x", "b@x"}); !slices.Equal(got, []int64{1, 2, 9}) {
			t.Errorf("found %v", got)
		}
		// Plain statements are rewritten once, too.
		var n int
		if err := b.db.QueryRow("rewrite SELECT count(*) FROM users WHERE id = $1 AND note IS NOT DISTINCT FROM $2", r, nil).Scan(&n); err != nil || n != 1 || r.calls != 2 {
			t.Errorf("plain: %d, rewritten %d times: %v", n, r.calls, err)
		}
	})
}

func TestPGCatalog(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		if _, err := db.Admin.Exec(pgUsers + `;
			CREATE DOMAIN cell AS bytea DEFAULT 'x'; CREATE DOMAIN cell2 AS cell;
			CREATE SCHEMA app; CREATE TABLE app."We.ird" (a cell2, b varchar(9) DEFAULT 'NULL', c int GENERATED ALWAYS AS IDENTITY, d bytea DEFAULT NULL::bytea);
			CREATE VIEW v AS SELECT email FROM users`); err != nil {
			t.Fatal(err)
		}
		for _, mode := range allModes {
			b := pgBench(t, db, mode)
			inner, err := b.cn.connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			if err := inner.readSession(t.Context()); err != nil {
				t.Fatal(err)
			}
			show := func(schemaName, name string) string {
				rel, err := inner.catalog.Relation(t.Context(), schemaName, name)
				if err != nil {
					t.Fatal(err)
				}
				if rel == nil {
					return "none"
				}
				s := fmt.Sprintf("%s.%s temp=%t view=%t", rel.Schema, rel.Name, rel.Temporary, rel.View)
				for _, c := range rel.Columns {
					s += fmt.Sprintf(" %s:%s:%d:%t:%t", c.Name, c.Type, c.Storage, c.Default, c.Generated)
				}
				return s
			}
			for _, tt := range [][3]string{
				{"", "users", "public.users temp=false view=false id:bigint:3:false:false email:bytea:1:false:false ssn:text:2:false:false" +
					" tags:bytea:1:false:false note:text:2:true:false half:integer:3:false:true nothing:bytea:1:false:false"},
				{"app", "We.ird", "app.We.ird temp=false view=false a:cell2:1:true:false b:character varying(9):2:true:false c:integer:3:true:false d:bytea:1:false:false"},
				{"", "v", "public.v temp=false view=true email:bytea:1:false:false"},
				{"", "nosuch", "none"}, {"nosuch", "users", "none"}, {"", `quo"te`, "none"},
			} {
				if got := show(tt[0], tt[1]); got != tt[2] {
					t.Errorf("%s: %s.%s is %s\nwant %s", mode, tt[0], tt[1], got, tt[2])
				}
			}
			// A temporary table shadows, and a search path is followed.
			for _, q := range []string{"CREATE TEMP TABLE users (x int)", "SET search_path = app, public"} {
				if _, err := inner.ExecContext(t.Context(), q, nil); err != nil {
					t.Fatal(err)
				}
			}
			inner.after(&sqlplan.Plan{Effects: sqlplan.ChangesCatalog | sqlplan.ChangesSession}, nil)
			if err := inner.readSession(t.Context()); err != nil || !inner.session.temporary {
				t.Fatal(inner.session, err)
			}
			if got := show("", "users"); !strings.HasPrefix(got, "pg_temp_") || !strings.Contains(got, "temp=true view=false x:integer") {
				t.Errorf("users is %s", got)
			}
			if got := show("", "We.ird"); !strings.HasPrefix(got, "app.") {
				t.Errorf("We.ird is %s", got)
			}
		}
	})
}

// A transaction that failed stays failed, and the server's error comes back as it is; a
// statement that needs no catalog gets through.
func TestPGFailedTransaction(t *testing.T) {
	db := pgtest.New(t)
	b := pgBench(t, db, pgx.QueryExecModeCacheStatement)
	b.catalogPlanner(nil)
	tx, err := b.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("SAVEPOINT s"); err != nil {
		t.Fatal(err)
	}
	b.plans.onPlan = nil
	var pgErr *pgconn.PgError
	if _, err := tx.Exec("SELECT 1/0"); !errors.As(err, &pgErr) || pgErr.Code != "22012" {
		t.Fatal(err)
	}
	b.catalogPlanner(nil)
	if _, err := tx.Exec("SELECT 2"); !errors.As(err, &pgErr) || pgErr.Code != "25P02" {
		t.Errorf("in a failed transaction: %v", err)
	}
	b.plans.onPlan = nil
	if _, err := tx.Exec("ROLLBACK TO s"); err != nil {
		t.Error(err)
	}
	b.catalogPlanner(nil)
	if _, err := tx.Exec("SELECT 3"); err != nil {
		t.Error(err)
	}
}

func TestPGNonstandardStrings(t *testing.T) {
	b := pgBench(t, pgtest.New(t), pgx.QueryExecModeCacheStatement)
	b.plans.plans["SELECT 1"] = sealedPlan("SELECT 1")
	b.db.SetMaxOpenConns(1)
	for _, tt := range []struct {
		query   string
		refused bool
	}{
		{"SELECT 1", false}, {"SET standard_conforming_strings = off", false}, {"SELECT 1", true}, {`SELECT 2 -- \`, true},
		{"SET standard_conforming_strings = on", false}, {"SELECT 1", false},
	} {
		if _, err := b.db.Exec(tt.query); errors.Is(err, ErrRefused) != tt.refused || !tt.refused && err != nil {
			t.Errorf("%s: %v", tt.query, err)
		}
	}
}

// A text with the cell of a randomized column occurs once; it must not fill pgx's cache.
func TestPGOneOffTextsAreNotCached(t *testing.T) {
	db := pgtest.New(t)
	if _, err := db.Admin.Exec(pgUsers); err != nil {
		t.Fatal(err)
	}
	b := pgBench(t, db, pgx.QueryExecModeCacheStatement)
	b.db.SetMaxOpenConns(1)
	p := sealedPlan("", sqlplan.Param{From: 1})
	p.Chunks = []string{"INSERT INTO users(id, ssn) VALUES ($1, ", ")"}
	p.Literals = []sqlplan.Literal{{Value: "x", Use: *b.textUse("ssn")}}
	b.plans.plans["lit"] = p
	for i := range 5 {
		if _, err := b.db.Exec("lit", i); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := b.db.QueryRow("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d statements stay prepared, %v", n, err)
	}
}

func TestPGCopyFrom(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, db *pgtest.DB) {
		if _, err := db.Admin.Exec(pgUsers + "; CREATE TABLE plain (a int, b text)"); err != nil {
			t.Fatal(err)
		}
		for i, mode := range allModes {
			if _, err := db.Admin.Exec("TRUNCATE users"); err != nil {
				t.Fatal(err)
			}
			b := pgBench(t, db, mode)
			b.pgPlans()
			conn, err := b.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rows := [][]any{{1, "a@x", "078", "n"}, {2, nil, sql.NullString{}, nil}, {3, pgtype.Text{String: "", Valid: true}, "9", "m"}}
			n, err := CopyFrom(t.Context(), conn, "Users", []string{"id", "email", "ssn", "note"}, rows)
			if err != nil || n != 3 || rows[0][1] != "a@x" {
				t.Fatal(n, err)
			}
			if b.keys.sealed["users.ssn"] != 3 {
				t.Errorf("cells asked for: %v", b.keys.sealed)
			}
			var id int64
			var e, s, note *string
			if err := b.db.QueryRow(pgSelect, 1).Scan(&id, &e, &s, &note); err != nil || *e != "a@x" || *s != "078" {
				t.Error(err)
			}
			if err := b.db.QueryRow(pgSelect, 2).Scan(&id, &e, &s, &note); err != nil || e != nil || s != nil {
				t.Error(err)
			}
			if n, err := CopyFrom(t.Context(), conn, "public.plain", []string{"a", "b"}, [][]any{{i, "x"}}); err != nil || n != 1 {
				t.Error(n, err)
			}
			for name, bad := range map[string]func() error{
				"no table": func() error {
					_, err := CopyFrom(t.Context(), conn, "nosuch", []string{"a"}, nil)
					return err
				},
				"short row": func() error {
					_, err := CopyFrom(t.Context(), conn, "users", []string{"id", "ssn"}, [][]any{{canary}})
					return err
				},
				"bad value": func() error {
					_, err := CopyFrom(t.Context(), conn, "users", []string{"id", "ssn"}, [][]any{{7, struct{ V string }{canary}}})
					return err
				},
				"bad name": func() error {
					_, err := CopyFrom(t.Context(), conn, "a.b.c", []string{"id"}, nil)
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

func TestCopyFromNeedsPGX(t *testing.T) {
	b := newBench(t, "full")
	for _, db := range []*sql.DB{b.db, sql.OpenDB(&fakeConnector{open: b.inner.open})} {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CopyFrom(t.Context(), conn, "users", []string{"ssn"}, [][]any{{canary}}); err == nil || strings.Contains(err.Error(), canary) {
			t.Error(err)
		}
		_ = conn.Close()
		_ = db.Close()
	}
}

// A table that changed under an open handle: pgx's own error once, then right.
func TestPGChangedResult(t *testing.T) {
	db := pgtest.New(t)
	if _, err := db.Admin.Exec(pgUsers + "; INSERT INTO users VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	b := pgBench(t, db, pgx.QueryExecModeDescribeExec)
	// The planner expands the star by the catalog.
	b.plans.onPlan = func(ctx context.Context, text string, env *sqlplan.Env) (*sqlplan.Plan, error) {
		rel, err := env.Catalog.Relation(ctx, "", "users")
		if err != nil {
			return nil, err
		}
		var names []string
		for _, c := range rel.Columns {
			names = append(names, c.Name)
		}
		p := b.result(names...)
		p.Chunks = []string{text}
		return p, nil
	}
	read := func(want int) {
		t.Helper()
		rows, err := b.db.Query("SELECT * FROM users")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if cols, _ := rows.Columns(); len(cols) != want || !rows.Next() {
			t.Errorf("columns %v, %v", cols, rows.Err())
		}
	}
	read(7)
	if _, err := db.Admin.Exec("ALTER TABLE users DROP COLUMN half; ALTER TABLE users ADD COLUMN x int, ADD COLUMN y int"); err != nil {
		t.Fatal(err)
	}
	read(8)
	read(8)
}
