package front

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
)

// KeySource is the part of *keycache.Cache that a front uses.
type KeySource interface {
	Sealer(ctx context.Context, col keycache.Column, n int) (*codec.Key, error)
	SearchKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error)
	Opener(ctx context.Context, col keycache.Column, keyID uint32) (*codec.Key, error)
	Warm(ctx context.Context, purposes ...keyring.Purpose) error
	Stats() keycache.Stats
	Close() error
}

// The keyring's own pool is small, because it is asked only when a key is not cached, and keeps few idle connections, because
// the server's are scarce.
const (
	keyringMaxConns = 2
	keyringMaxIdle  = 1
	keyringIdleTime = time.Minute
)

// lazyKeys opens the keyring and the cache over it when a key is first needed, so that opening a database never blocks, and
// tries again after a failure.
type lazyKeys struct {
	db    *DB
	open  singleflight.Group
	ready atomic.Pointer[openKeys]

	mu     sync.Mutex // guards closed, and the change of ready that goes with it
	closed bool
}

// openKeys is a keyring in use.
type openKeys struct {
	KeySource
	store *keyring.Store // nil, as pool, if the configuration brought the keys
	pool  *sql.DB
}

func newLazyKeys(db *DB) *lazyKeys {
	k := &lazyKeys{db: db}
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
func (k *lazyKeys) get(ctx context.Context) (KeySource, error) {
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
	source, err := db.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	if o, ok := source.(*openKeys); ok && o.store != nil {
		return o.store, nil
	}
	return nil, errors.New("colseal: the keys of this database handle are in no keyring table")
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
	cfg := &k.db.cfg
	connector := cfg.KeyConnector
	if connector == nil {
		connector = cfg.Connector
	}
	pool := sql.OpenDB(unclosed{connector})
	pool.SetMaxOpenConns(keyringMaxConns)
	pool.SetMaxIdleConns(keyringMaxIdle)
	pool.SetConnMaxIdleTime(keyringIdleTime)

	store := keyring.OpenStore(pool, cfg.Dialect, cfg.KeyTable)
	err := store.Check(ctx)
	if errors.Is(err, keyring.ErrNoKeyTable) && cfg.AutoCreateKeyTable {
		if err = store.Create(ctx); err == nil {
			k.db.log.Emit(ctx, audit.KeyringCreated, slog.String(audit.Table, cfg.KeyTable))
		}
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return k.use(&openKeys{KeySource: k.db.NewCache(store), store: store, pool: pool})
}

// NewCache makes a cache of plaintext keys that knows nothing yet, as the handle's own is made. The caller closes it.
func (db *DB) NewCache(store *keyring.Store) *keycache.Cache {
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

// unclosed hides that a connector is an io.Closer: the keyring's own pool must not close what belongs to the application's.
type unclosed struct{ underlying sqldriver.Connector }

func (u unclosed) Connect(ctx context.Context) (sqldriver.Conn, error) {
	return u.underlying.Connect(ctx)
}
func (u unclosed) Driver() sqldriver.Driver { return u.underlying.Driver() }
