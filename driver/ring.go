package driver

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

// keySource is the part of *keycache.Cache that is used here.
type keySource interface {
	Sealer(ctx context.Context, col keycache.Column, n int) (*codec.Key, error)
	SearchKeys(ctx context.Context, col keycache.Column) ([]*codec.Key, error)
	Opener(ctx context.Context, col keycache.Column, keyID uint32) (*codec.Key, error)
	Warm(ctx context.Context, purposes ...keyring.Purpose) error
	Stats() keycache.Stats
	Close() error
}

// The keyring's own pool: small, because it is asked only when a key is not cached, and
// short of idle connections, because the server's are scarce.
const (
	ringMaxConns = 2
	ringMaxIdle  = 1
	ringIdleTime = time.Minute
)

// ring opens the keyring and the cache over it when a key is first needed, so that
// sql.Open never blocks, and again after a failure.
type ring struct {
	inner sqldriver.Connector
	cfg   Config
	log   *audit.Log
	open  singleflight.Group
	ready atomic.Pointer[openRing]

	mu     sync.Mutex // guards closed, and the change of ready that goes with it
	closed bool
}

// openRing is a keyring that is in use.
type openRing struct {
	keySource
	store *keyring.Store // nil, as pool, in tests that bring their own keys
	pool  *sql.DB
}

func newRing(inner sqldriver.Connector, cfg Config, log *audit.Log) *ring {
	if cfg.KeyConnector != nil {
		inner = cfg.KeyConnector
	}
	return &ring{inner: inner, cfg: cfg, log: log}
}

// loaded returns the keys if they were opened before, else nil.
func (r *ring) loaded() keySource {
	if o := r.ready.Load(); o != nil {
		return o
	}
	return nil
}

// keys returns the key cache, opened if need be.
func (r *ring) keys(ctx context.Context) (keySource, error) {
	if o := r.ready.Load(); o != nil {
		return o, nil
	}
	for {
		ch := r.open.DoChan("", func() (any, error) { return r.start(ctx) })
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case res := <-ch:
			if res.Err == nil {
				return res.Val.(*openRing), nil
			}
			// Another caller's context may have ended; that is not our failure.
			if res.Shared && ctx.Err() == nil && isContextError(res.Err) {
				continue
			}
			return nil, res.Err
		}
	}
}

// keyring returns the table below the cache, for what works on the keys themselves.
func (r *ring) keyring(ctx context.Context) (*keyring.Store, error) {
	source, err := r.keys(ctx)
	if err != nil {
		return nil, err
	}
	if o, ok := source.(*openRing); ok && o.store != nil {
		return o.store, nil
	}
	return nil, errors.New("colseal: the keys of this database handle are in no keyring table")
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// start connects to the keyring and makes sure that its table is there.
func (r *ring) start(ctx context.Context) (*openRing, error) {
	if o := r.ready.Load(); o != nil {
		return o, nil
	}
	pool := sql.OpenDB(unclosed{r.inner})
	pool.SetMaxOpenConns(ringMaxConns)
	pool.SetMaxIdleConns(ringMaxIdle)
	pool.SetConnMaxIdleTime(ringIdleTime)

	store := keyring.OpenStore(pool, r.cfg.Dialect, r.cfg.KeyTable)
	err := store.Check(ctx)
	if errors.Is(err, keyring.ErrNoKeyTable) && r.cfg.AutoCreateKeyTable {
		if err = store.Create(ctx); err == nil {
			r.log.Emit(ctx, audit.KeyringCreated, slog.String(audit.Table, r.cfg.KeyTable))
		}
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return r.use(&openRing{keySource: keycache.New(store, r.cfg.KMS, r.cfg.Keys, keyColumns(r.cfg.Schema)...), store: store, pool: pool})
}

// use publishes o, unless the handle was closed meanwhile.
func (r *ring) use(o *openRing) (*openRing, error) {
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.ready.Store(o)
	}
	r.mu.Unlock()
	if closed {
		return nil, errors.Join(sql.ErrConnDone, o.close())
	}
	return o, nil
}

func (o *openRing) close() error {
	err := o.Close()
	if o.pool != nil {
		err = errors.Join(err, o.pool.Close())
	}
	return err
}

// close closes the cache and the pool. Keys are not to be had afterwards.
func (r *ring) close() error {
	r.mu.Lock()
	o := r.ready.Load()
	again := r.closed
	r.closed = true
	r.mu.Unlock()
	if o == nil || again {
		return nil
	}
	return o.close()
}
