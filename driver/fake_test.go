package driver

import (
	"context"
	"crypto/sha256"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/front"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/schema"
)

// The fakes: an underlying driver in several variants, a planner with plans made by hand, and
// keys without a keyring. A test states which calls reach the underlying driver.

// fakeServer is what the connections of one test share.
type fakeServer struct {
	mu    sync.Mutex // guards log
	log   []string
	onRun func(query string, args []sqldriver.NamedValue) (sqldriver.Rows, error)
	// onPrepare runs while a fullConn prepares a statement.
	onPrepare func()
	// numInput is what prepared statements say.
	numInput int
	// check is the connections' CheckNamedValue; nil converts nothing.
	check func(*sqldriver.NamedValue) error
	// stmtCheck is the statements'.
	stmtCheck func(*sqldriver.NamedValue) error
	skip      bool // ExecContext and QueryContext answer ErrSkip
	lastArgs  []sqldriver.NamedValue
	lastQuery string

	nonstdStrings       bool
	temp                string // "true" for a session with temporary tables
	sessions, relations int    // catalog lookups
}

func (s *fakeServer) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *fakeServer) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.log
	s.log = nil
	return out
}

func (s *fakeServer) run(query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if strings.Contains(query, "to_regclass($1)") {
		s.relations++
		return &bareRows{s: s, cols: make([]string, 24), data: [][]sqldriver.Value{append(s.session(), make([]sqldriver.Value, 15)...)}}, nil
	}
	if strings.Contains(query, "current_schemas(true)") {
		s.sessions++
		return &bareRows{s: s, cols: make([]string, 9), data: [][]sqldriver.Value{s.session()}}, nil
	}
	s.lastQuery, s.lastArgs = query, args
	if s.onRun != nil {
		return s.onRun(query, args)
	}
	return &bareRows{s: s}, nil
}

// session is what the server says of a session.
func (s *fakeServer) session() []sqldriver.Value {
	conforming := "on"
	if s.nonstdStrings {
		conforming = "off"
	}
	return []sqldriver.Value{"public", "{pg_catalog,public}", conforming, s.temp, "app", nil, "on", "off", "0"}
}

// bareConn has only what database/sql asks of a connection.
type bareConn struct{ s *fakeServer }

func (c *bareConn) Prepare(query string) (sqldriver.Stmt, error) {
	c.s.note("Prepare %s", query)
	return &bareStmt{s: c.s, query: query}, nil
}
func (c *bareConn) Close() error { c.s.note("Close"); return nil }
func (c *bareConn) Begin() (sqldriver.Tx, error) {
	c.s.note("Begin")
	return fakeTx{c.s}, nil
}

// leanConn adds the interfaces that are required.
type leanConn struct{ bareConn }

func (c *leanConn) PrepareContext(_ context.Context, query string) (sqldriver.Stmt, error) {
	c.s.note("PrepareContext %s", query)
	if c.s.onPrepare != nil {
		c.s.onPrepare()
	}
	return &fullStmt{bareStmt{s: c.s, query: query}}, nil
}

func (c *leanConn) BeginTx(_ context.Context, opts sqldriver.TxOptions) (sqldriver.Tx, error) {
	c.s.note("BeginTx %d %t", opts.Isolation, opts.ReadOnly)
	return fakeTx{c.s}, nil
}

func (c *leanConn) ExecContext(_ context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	c.s.note("ExecContext %s", query)
	if c.s.skip {
		return nil, sqldriver.ErrSkip
	}
	_, err := c.s.run(query, args)
	return fakeResult{}, err
}

func (c *leanConn) QueryContext(_ context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	if rows := survey(query); rows != nil {
		rows.s = c.s
		return rows, nil
	}
	c.s.note("QueryContext %s", query)
	if c.s.skip {
		return nil, sqldriver.ErrSkip
	}
	return c.s.run(query, args)
}

// survey answers the queries for what depends on sealed tables, of which there is nothing.
func survey(query string) *bareRows {
	switch {
	case strings.Contains(query, "WITH RECURSIVE listed"):
		return &bareRows{cols: make([]string, 6)}
	case strings.Contains(query, "pg_language"):
		return &bareRows{cols: make([]string, 4)}
	case strings.HasPrefix(query, "SELECT CASE WHEN pg_catalog.current_setting('transaction_isolation')"):
		return &bareRows{cols: make([]string, 1), data: [][]sqldriver.Value{{nil}}}
	}
	return nil
}

// fullConn has every optional interface.
type fullConn struct{ leanConn }

func (c *fullConn) Ping(context.Context) error         { c.s.note("Ping"); return nil }
func (c *fullConn) ResetSession(context.Context) error { c.s.note("ResetSession"); return nil }
func (c *fullConn) IsValid() bool                      { c.s.note("IsValid"); return true }
func (c *fullConn) CheckNamedValue(nv *sqldriver.NamedValue) error {
	if c.s.check == nil {
		return sqldriver.ErrSkip
	}
	return c.s.check(nv)
}

type bareStmt struct {
	s     *fakeServer
	query string
}

func (st *bareStmt) Close() error  { st.s.note("Stmt.Close"); return nil }
func (st *bareStmt) NumInput() int { return st.s.numInput }
func (st *bareStmt) Exec(args []sqldriver.Value) (sqldriver.Result, error) {
	st.s.note("Stmt.Exec")
	_, err := st.s.run(st.query, ownArgs(args))
	return fakeResult{}, err
}

func (st *bareStmt) Query(args []sqldriver.Value) (sqldriver.Rows, error) {
	st.s.note("Stmt.Query")
	return st.s.run(st.query, ownArgs(args))
}

type fullStmt struct{ bareStmt }

func (st *fullStmt) ExecContext(_ context.Context, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	st.s.note("Stmt.ExecContext")
	_, err := st.s.run(st.query, args)
	return fakeResult{}, err
}

func (st *fullStmt) QueryContext(_ context.Context, args []sqldriver.NamedValue) (sqldriver.Rows, error) {
	st.s.note("Stmt.QueryContext")
	return st.s.run(st.query, args)
}

func (st *fullStmt) CheckNamedValue(nv *sqldriver.NamedValue) error {
	if st.s.stmtCheck == nil {
		return sqldriver.ErrSkip
	}
	return st.s.stmtCheck(nv)
}

type fakeTx struct{ s *fakeServer }

func (t fakeTx) Commit() error   { t.s.note("Commit"); return nil }
func (t fakeTx) Rollback() error { t.s.note("Rollback"); return nil }

type fakeResult struct{}

func (fakeResult) LastInsertId() (int64, error) { return 7, nil }
func (fakeResult) RowsAffected() (int64, error) { return 3, nil }

// bareRows yields data.
type bareRows struct {
	s      *fakeServer
	cols   []string
	data   [][]sqldriver.Value
	failAt error // given after the data instead of io.EOF
	closed bool
}

func (r *bareRows) Columns() []string { return r.cols }
func (r *bareRows) Close() error      { r.closed = true; return nil }
func (r *bareRows) Next(dest []sqldriver.Value) error {
	if len(r.data) == 0 {
		if r.failAt != nil {
			return r.failAt
		}
		return io.EOF
	}
	copy(dest, r.data[0])
	r.data = r.data[1:]
	return nil
}

// fullRows has every optional interface.
type fullRows struct {
	bareRows
	sets int
}

func (r *fullRows) HasNextResultSet() bool { return r.sets > 0 }
func (r *fullRows) NextResultSet() error {
	if r.sets == 0 {
		return io.EOF
	}
	r.sets--
	return nil
}
func (r *fullRows) ColumnTypeScanType(int) reflect.Type                { return reflect.TypeFor[uint8]() }
func (r *fullRows) ColumnTypeDatabaseTypeName(int) string              { return "INNER" }
func (r *fullRows) ColumnTypeLength(int) (int64, bool)                 { return 99, true }
func (r *fullRows) ColumnTypeNullable(int) (nullable, ok bool)         { return true, true }
func (r *fullRows) ColumnTypePrecisionScale(int) (p, s int64, ok bool) { return 5, 2, true }

// fakeConnector opens connections of one variant.
type fakeConnector struct {
	open   func() sqldriver.Conn
	fail   error // of Connect
	closed int
}

func (c *fakeConnector) Connect(context.Context) (sqldriver.Conn, error) {
	if c.fail != nil {
		return nil, c.fail
	}
	return c.open(), nil
}

func (c *fakeConnector) Driver() sqldriver.Driver { return fakeDriver{c} }
func (c *fakeConnector) Close() error             { c.closed++; return nil }

// fakeDriver has no OpenConnector.
type fakeDriver struct{ c *fakeConnector }

func (d fakeDriver) Open(string) (sqldriver.Conn, error) { return d.c.open(), nil }

// handPlanner gives plans made by hand; a text without one is plain.
type handPlanner struct {
	mu          sync.Mutex // guards what follows
	plans       map[string]*sqlplan.Plan
	byKeys      map[int]*sqlplan.Plan // for every text, by the number of search keys
	err         error
	invalidated int
	onPlan      func(ctx context.Context, sql string, env *sqlplan.Env) (*sqlplan.Plan, error)
}

func (p *handPlanner) Plan(ctx context.Context, sql string, env *sqlplan.Env) (*sqlplan.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.onPlan != nil {
		return p.onPlan(ctx, sql, env)
	}
	if p.err != nil {
		return nil, p.err
	}
	if pl, ok := p.byKeys[env.SearchKeys]; ok {
		return pl, nil
	}
	if pl, ok := p.plans[sql]; ok {
		return pl, nil
	}
	return &sqlplan.Plan{Backslash: strings.Contains(sql, `\`)}, nil
}

func (p *handPlanner) Stats() sqlplan.Stats { return sqlplan.Stats{} }

func (p *handPlanner) Survey(context.Context, dbcatalog.Querier) (*sqlplan.Known, error) {
	return p.Known(), nil
}

func (p *handPlanner) Learn(*sqlplan.Known) bool { return false }

func (p *handPlanner) Known() *sqlplan.Known { return &sqlplan.Known{} }

func (p *handPlanner) Both(a, _ *sqlplan.Known) *sqlplan.Known { return a }

func (p *handPlanner) Named(string) ([]dbcatalog.Name, bool) { return nil, false }

func (p *handPlanner) Registers(dbcatalog.Name) bool { return false }

func (p *handPlanner) SealedColumns(*sqlplan.Known, *dbcatalog.Relation) ([]*schema.Column, error) {
	return usersSchema().Lookup("", "users").Columns(), nil
}

func (p *handPlanner) Invalidate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.invalidated++
}

// handKeys are keys derived from their ids, of which search keys live has some.
type handKeys struct {
	live   []uint32
	dataID uint32
	err    error
	sealed map[string]int // cells asked for, by identity
	opened int
}

func newHandKeys() *handKeys {
	return &handKeys{live: []uint32{11}, dataID: 5, sealed: map[string]int{}}
}

func (k *handKeys) key(col keycache.Column, id uint32) (*codec.Key, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "data key %d", id))
	return codec.NewKey(sum[:], id, col.Suite, col.Identity)
}

func (k *handKeys) Sealer(_ context.Context, col keycache.Column, n int) (*codec.Key, error) {
	if k.err != nil {
		return nil, k.err
	}
	k.sealed[col.Identity] += n
	return k.key(col, k.dataID)
}

func (k *handKeys) SearchKeys(_ context.Context, col keycache.Column) ([]*codec.Key, error) {
	if k.err != nil {
		return nil, k.err
	}
	var keys []*codec.Key
	for _, id := range k.live {
		key, err := k.key(col, id)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (k *handKeys) LookupKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error) {
	return k.SearchKeys(ctx, col)
}

func (k *handKeys) Opener(_ context.Context, col keycache.Column, id uint32) (*codec.Key, error) {
	if k.err != nil {
		return nil, k.err
	}
	k.opened++
	return k.key(col, id)
}

func (*handKeys) Scoped() bool { return false }

func (k *handKeys) Warm(context.Context, ...keyring.Purpose) error { return k.err }
func (k *handKeys) Stats() keycache.Stats                          { return keycache.Stats{Hits: 42} }
func (k *handKeys) Close() error                                   { return nil }

// noKMS is never asked.
type noKMS struct{}

var errNoKMS = errors.New("the fake keys need no KMS")

func (noKMS) GenerateDataKey(context.Context, kms.EncryptionContext) (kms.DataKey, error) {
	return kms.DataKey{}, errNoKMS
}

func (noKMS) Unwrap(context.Context, kms.Wrapped, kms.EncryptionContext) ([]byte, error) {
	return nil, errNoKMS
}

func (noKMS) Rewrap(context.Context, kms.Wrapped, kms.EncryptionContext, kms.EncryptionContext) (kms.Wrapped, error) {
	return kms.Wrapped{}, errNoKMS
}

// bench is one wrapped fake.
type bench struct {
	server *fakeServer
	plans  *handPlanner
	keys   *handKeys
	inner  *fakeConnector
	cn     *connector
	db     *sql.DB
	schema *schema.Schema
}

func usersSchema() *schema.Schema {
	return schema.Must(schema.Columns("users",
		schema.Column{Name: "email", Mode: schema.ModeDeterministic},
		schema.Column{Name: "ssn"},
		schema.Column{Name: "born", Kind: schema.KindTime},
		schema.Column{Name: "age", Kind: schema.KindInt},
		schema.Column{Name: "profile", Kind: schema.KindJSON},
		schema.Column{Name: "tags", Kind: schema.KindTextArray},
	))
}

// newBench wraps connections of one variant: "full" with every optional interface, "lean" with those that are required.
func newBench(t testing.TB, variant string, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{server: &fakeServer{numInput: -1}, plans: &handPlanner{plans: map[string]*sqlplan.Plan{}}, keys: newHandKeys(), schema: usersSchema()}
	b.inner = &fakeConnector{open: func() sqldriver.Conn {
		lean := leanConn{bareConn{b.server}}
		if variant == "lean" {
			return &lean
		}
		return &fullConn{lean}
	}}
	cfg := Config{Schema: b.schema, KMS: noKMS{}}
	for _, f := range change {
		f(&cfg)
	}
	cn, err := NewConnector(b.inner, cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.cn = cn.(*connector)
	b.with(b.plans, b.keys)
	b.db = sql.OpenDB(b.cn)
	b.db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = b.db.Close() })
	return b
}

// with has the connections made from now on planned and sealed with what is given; nil planner: the real one.
func (b *bench) with(plans front.Planner, keys front.KeySource) {
	cfg := b.cn.db.Config()
	cfg.Planner, cfg.Keys = plans, keys
	_ = b.cn.db.Close() // else its metrics, and all that they read, stay in memory
	b.cn.db = front.New(cfg)
}

// conn returns a connection that converts no arguments.
func (b *bench) conn(t testing.TB) *conn {
	t.Helper()
	c, err := b.cn.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.check.nvc = nil
	return c
}

// col returns a column of the bench's schema.
func (b *bench) col(name string) *schema.Column { return b.schema.Lookup("", "users").Column(name) }

func (b *bench) use(name string) *sqlplan.Use {
	return &sqlplan.Use{Column: b.col(name), Storage: dbcatalog.StorageBytes}
}

// cell seals a value as the bench's keys do.
func (b *bench) cell(t testing.TB, name string, v any) []byte {
	t.Helper()
	col := b.col(name)
	id := b.keys.dataID
	if col.Suite() == codec.SuiteDeterministic {
		id = b.keys.live[0]
	}
	key, err := b.keys.key(front.KeyColumn(col), id)
	if err != nil {
		t.Fatal(err)
	}
	encoding, err := codec.AppendValue(nil, col.Kind, col.Suite(), v)
	if err != nil {
		t.Fatal(err)
	}
	cell, err := key.Seal(nil, col.Kind, encoding)
	if err != nil {
		t.Fatal(err)
	}
	return cell
}

// open opens what was sent for a column.
func (b *bench) open(t *testing.T, name string, v any) any {
	t.Helper()
	cell, ok := v.([]byte)
	if s, isText := v.(string); isText {
		var err error
		if cell, err = codec.DecodeText([]byte(s)); err != nil {
			t.Fatalf("%s: sent something that is not a cell: %v", name, err)
		}
		ok = true
	}
	if !ok {
		t.Fatalf("%s: sent a %T", name, v)
	}
	h, err := codec.Recognize(cell, b.col(name).Tag())
	if err != nil {
		t.Fatalf("%s: sent something that is not a cell: %v", name, err)
	}
	key, err := b.keys.key(front.KeyColumn(b.col(name)), h.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	out, err := key.OpenValue(b.col(name).Kind, cell, false)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// memoKeys expands each key once, as the real cache does.
type memoKeys struct {
	*handKeys
	data map[keycache.Column]*codec.Key
	live map[keycache.Column][]*codec.Key
}

func newMemoKeys(k *handKeys) *memoKeys {
	return &memoKeys{k, map[keycache.Column]*codec.Key{}, map[keycache.Column][]*codec.Key{}}
}

func (m *memoKeys) Sealer(ctx context.Context, col keycache.Column, n int) (*codec.Key, error) {
	if key := m.data[col]; key != nil {
		return key, nil
	}
	key, err := m.handKeys.Sealer(ctx, col, n)
	m.data[col] = key
	return key, err
}

func (m *memoKeys) SearchKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error) {
	if keys := m.live[col]; keys != nil {
		return keys, nil
	}
	keys, err := m.handKeys.SearchKeys(ctx, col)
	m.live[col] = keys
	return keys, err
}
