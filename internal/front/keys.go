package front

import (
	"cmp"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/backstop"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// KeySource is the part of *keycache.Cache that a front uses.
type KeySource interface {
	Sealer(ctx context.Context, col keycache.Column, n int) (*codec.Key, error)
	SearchKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error)
	LookupKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error)
	Opener(ctx context.Context, col keycache.Column, keyID uint32) (*codec.Key, error)
	Warm(ctx context.Context, purposes ...keyring.Purpose) error
	Scoped() bool
	Stats() keycache.Stats
	Close() error
}

// The keyring's own pool is small, because it is asked only when a key is not cached, and keeps few
// idle connections, because the server's are scarce.
const (
	keyringMaxConns = 2
	keyringMaxIdle  = 1
	keyringIdleTime = time.Minute
)

// lazyKeys opens the keyring and its cache when a key is first needed, so that opening a database
// never blocks. It tries again after a failure.
type lazyKeys struct {
	db    *DB
	open  singleflight.Group
	ready atomic.Pointer[openKeys]
	loans *keyring.Loans // of the sessions that wait
	held  atomic.Int64   // sessions that wait within a transaction, or may

	mu     sync.Mutex // guards closed, and the change of ready that goes with it
	closed bool
}

// openKeys is a keyring in use.
type openKeys struct {
	KeySource
	cache *keycache.Cache // it is KeySource; nil, as what follows, if the configuration brought the keys
	store *keyring.Store
	pool  *sql.DB
}

func newLazyKeys(db *DB) *lazyKeys {
	k := &lazyKeys{db: db, loans: keyring.NewLoans()}
	if db.cfg.Keys != nil {
		k.ready.Store(&openKeys{KeySource: db.cfg.Keys})
	}
	return k
}

// loaded returns the keys if they were opened before, else nil.
func (k *lazyKeys) loaded() KeySource {
	if o := k.ready.Load(); o != nil {
		return o
	}
	return nil
}

// get returns the key cache, opened if need be.
func (k *lazyKeys) get(ctx context.Context) (*openKeys, error) {
	if o := k.ready.Load(); o != nil {
		return o, nil
	}
	for {
		ch := k.open.DoChan("", func() (o any, err error) {
			defer func() { // nobody else catches it in this goroutine
				if caught := audit.Caught(recover()); caught != nil {
					err = caught
				}
			}()
			return k.start(ctx)
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case res := <-ch:
			if res.Err == nil {
				return res.Val.(*openKeys), nil
			}
			// Another caller's context may have ended; that is not our failure.
			if res.Shared && ctx.Err() == nil && isContextError(res.Err) {
				continue
			}
			return nil, res.Err
		}
	}
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Keyring returns the durable keyring, for what works on the keys themselves.
func (db *DB) Keyring(ctx context.Context) (*keyring.Store, error) {
	o, err := db.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	if o.store != nil {
		return o.store, nil
	}
	return nil, errors.New("colseal: the keys of this *sql.DB are in no keyring table")
}

// KeyStats returns the cache's counters; all are zero before the first use of a key.
func (db *DB) KeyStats() keycache.Stats {
	if keys := db.keys.loaded(); keys != nil {
		return keys.Stats()
	}
	return keycache.Stats{}
}

// start connects to the keyring and makes sure that its table is there.
func (k *lazyKeys) start(ctx context.Context) (*openKeys, error) {
	if o := k.ready.Load(); o != nil {
		return o, nil
	}
	k.mu.Lock()
	closed := k.closed
	k.mu.Unlock()
	if closed {
		return nil, sql.ErrConnDone
	}
	cfg := &k.db.cfg
	connector := cfg.KeyConnector
	if connector == nil {
		connector = cfg.Connector
	}
	pool := sql.OpenDB(keyConnector{connector})
	if cfg.Dialect == dialect.SQLite {
		pool.SetMaxOpenConns(1) // of a database in memory each connection would have its own, which ends with it
	} else {
		pool.SetMaxOpenConns(cmp.Or(max(cfg.KeyConns, 0), keyringMaxConns))
		pool.SetMaxIdleConns(keyringMaxIdle)
		pool.SetConnMaxIdleTime(keyringIdleTime)
	}
	store, err := k.openStore(ctx, pool)
	if err != nil {
		return nil, hint.Join(err, pool.Close())
	}
	cache := k.db.NewCache(store)
	return k.use(&openKeys{KeySource: cache, cache: cache, store: store, pool: pool})
}

// openStore makes sure that the keyring is there, and fixes where.
func (k *lazyKeys) openStore(ctx context.Context, pool *sql.DB) (*keyring.Store, error) {
	cfg := &k.db.cfg
	store := keyring.OpenStore(pool, cfg.Dialect, cfg.KeyTable)
	if k.lends() {
		store.Borrow(k.loans)
	}
	store.HurryWhen(func() bool { return k.held.Load() > 0 })
	store.Pin(cfg.KeyringID)
	err := store.Check(ctx)
	create := errors.Is(err, keyring.ErrNoKeyTable) && cfg.AutoCreateKeyTable
	if err == nil || create {
		err = store.CheckCells(ctx, cellColumns(cfg.Schema, cfg.Dialect))
	}
	if err == nil && create {
		if err = store.Create(ctx); err == nil {
			k.db.log.Emit(ctx, audit.KeyringCreated, slog.String(audit.Table, cfg.KeyTable))
		}
	}
	if err != nil {
		return nil, err
	}
	return store.Resolve(ctx)
}

// cellColumns returns the columns of a schema's tables, and how cells are told in them.
func cellColumns(s *schema.Schema, d dialect.Dialect) []keyring.CellColumn {
	var cols []keyring.CellColumn
	for _, t := range s.Tables() {
		if t.ViewOf != "" {
			continue // a view stores nothing
		}
		for _, c := range t.CellColumns() {
			cols = append(cols, keyring.CellColumn{Schema: t.Schema, Table: t.Name, Column: c.CellColumn(),
				Bytes: backstop.Condition(d, c, false), Text: backstop.Condition(d, c, true)})
		}
	}
	return cols
}

// lends reports whether the program's connections can be lent to the keyring, because they are to
// its database.
func (k *lazyKeys) lends() bool {
	return k.db.cfg.Dialect == dialect.Postgres && k.db.cfg.KeyConnector == nil
}

// Spare is a Conn that can be lent to the keyring.
type Spare interface {
	Conn
	keyring.Spare
}

// waiting runs a lookup that has to wait for the keyring, and lends the keyring the session's
// connection meanwhile. The lookup does not use the session. busy, if not nil, is a result that is
// being read from the connection.
func (s *Session) waiting(ctx context.Context, busy Result, lookup func() error) error {
	if s.busy || !s.Idle() { // a COPY's goroutine must not ask the connection
		s.db.keys.held.Add(1)
		defer s.db.keys.held.Add(-1)
	}
	spare, ok := s.conn.(Spare)
	if o := s.db.keys.ready.Load(); !ok || s.busy || !s.db.keys.lends() || o != nil && o.cache == nil {
		return lookup()
	}
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		defer func() { // nobody else catches it in this goroutine
			if caught := audit.Caught(recover()); caught != nil {
				err = caught
			}
		}()
		err = lookup()
	}()
	if busy != nil {
		spare = &busySpare{Spare: spare, result: busy}
	}
	idle := s.Idle()
	s.db.keys.loans.Lend(ctx, spare, done)
	// Reading the rest of busy may have shown that the program's transaction failed. Its own error
	// says so.
	if idle && !s.Idle() { // the statement would be part of the keyring's transaction
		return errNotReturned
	}
	return err
}

var errNotReturned = hint.With(fmt.Errorf("%w: the keyring's use of this connection did not end", keyring.ErrKeyUnavailable), "run it again")

// Result is a result that is read from a session's connection.
type Result interface {
	// ReadAhead reads the rest of the result into memory, so that the connection is free. If it
	// fails half way, no row is lost.
	ReadAhead() error
}

// busySpare is a connection that is freed when it is first used.
type busySpare struct {
	Spare
	result Result
}

// ExecContext implements driver.ExecerContext. It is what every step begins with.
func (b *busySpare) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (sqldriver.Result, error) {
	if b.result != nil {
		if err := b.result.ReadAhead(); err != nil {
			return nil, err
		}
		b.result = nil
	}
	return b.Spare.ExecContext(ctx, query, args)
}

// Ahead counts what is read ahead of a result to free its connection, and bounds it.
type Ahead struct{ bytes int }

// maxAhead bounds the memory of a result that is read ahead. rowAhead is what a row, and each of
// its values, takes besides its bytes.
const (
	maxAhead = 16 << 20
	rowAhead = 32
)

// Take counts a row of so many values, which take size bytes together.
func (a *Ahead) Take(values, size int) error {
	if a.bytes += (values+1)*rowAhead + size; a.bytes > maxAhead {
		return errAhead
	}
	return nil
}

var errAhead = errors.New("colseal: the rest of the result is too large to be read ahead")

// openedKeys returns the key cache, opened if need be.
func (s *Session) openedKeys(ctx context.Context) (*openKeys, error) {
	if o := s.db.keys.ready.Load(); o != nil {
		return o, nil
	}
	var o *openKeys
	err := s.waiting(ctx, nil, func() (err error) {
		o, err = s.db.keys.get(ctx)
		return err
	})
	return o, err
}

// NewCache makes an empty cache of plaintext keys, configured like that of the *sql.DB. The caller
// closes it.
func (db *DB) NewCache(store *keyring.Store) *keycache.Cache {
	if db.cfg.WriteOnly != nil {
		return keycache.NewWriter(store, db.cfg.WriteOnly, db.cacheConfig(), keyColumns(db.cfg.Schema)...)
	}
	return keycache.New(store, db.cfg.KMS, db.cacheConfig(), keyColumns(db.cfg.Schema)...)
}

// use publishes o, unless the handle was closed meanwhile.
func (k *lazyKeys) use(o *openKeys) (*openKeys, error) {
	k.mu.Lock()
	closed := k.closed
	if !closed {
		k.ready.Store(o)
	}
	k.mu.Unlock()
	if closed {
		return nil, errors.Join(sql.ErrConnDone, o.close())
	}
	return o, nil
}

func (o *openKeys) close() error {
	err := o.Close()
	if o.pool != nil {
		err = errors.Join(err, o.pool.Close())
	}
	return err
}

// close closes the cache and the pool. Keys are not to be had afterwards.
func (k *lazyKeys) close() error {
	k.mu.Lock()
	o := k.ready.Load()
	again := k.closed
	k.closed = true
	k.mu.Unlock()
	if o == nil || again {
		return nil
	}
	return o.close()
}

// keyConnector opens the keyring's connections. It is no io.Closer, because the keyring's pool must
// not close what belongs to the program.
type keyConnector struct{ underlying sqldriver.Connector }

func (k keyConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	raw, err := k.underlying.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c, ok := raw.(contextConn)
	if !ok {
		return nil, errors.Join(errNoContext, raw.Close())
	}
	return keyConn{contextConn: c, raw: raw}, nil
}

func (k keyConnector) Driver() sqldriver.Driver { return k.underlying.Driver() }

var errNoContext = hint.With(errors.New("colseal: the connections of the keyring's driver lack ExecContext, QueryContext, PrepareContext or BeginTx"),
	"use a version of the driver that has them")

type contextConn interface {
	sqldriver.Conn
	sqldriver.ConnPrepareContext
	sqldriver.ConnBeginTx
	sqldriver.ExecerContext
	sqldriver.QueryerContext
}

// keyConn is a connection of the keyring. It has no ResetSession: a callback of the program that
// sets a session up for a request does not concern the keyring.
type keyConn struct {
	contextConn
	raw sqldriver.Conn
}

// CheckNamedValue implements driver.NamedValueChecker.
func (c keyConn) CheckNamedValue(v *sqldriver.NamedValue) error {
	if nvc, ok := c.raw.(sqldriver.NamedValueChecker); ok {
		return nvc.CheckNamedValue(v)
	}
	return sqldriver.ErrSkip
}

// IsValid implements driver.Validator.
func (c keyConn) IsValid() bool {
	v, ok := c.raw.(sqldriver.Validator)
	return !ok || v.IsValid()
}
