// Package keycache keeps plaintext data keys in memory, over a keyring of wrapped
// ones (package keyring).
//
//	          keyring table                cache                    cells
//	KMS ──▶ wrapped key, id, epoch ──▶ codec.Key for each column ──▶ seal, open
//	        (durable, shared)          (MaxAge, MaxStale)
//
// One [Cache] belongs to one process and one keyring. A data key is expanded into
// one [codec.Key] for each column as soon as it is unwrapped.
//
// What the package promises: no lock is held while KMS or the database is asked;
// a lookup that hits takes no lock and allocates nothing; everything in memory
// is bounded; and no error, log line or statistic holds a key.
//
// The plaintext of a data key is wiped as soon as it is expanded. What Go cannot
// promise: expanded keys (the AES key schedule, HMAC state) are only dropped when
// a key leaves the cache, and left to the garbage collector; nothing is locked
// into memory. Built with GOEXPERIMENT=runtimesecret, Go erases expanded keys when
// it collects them, and the stack and registers after expanding.
package keycache

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/hot"
	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// ErrClosed: the Cache was closed.
var ErrClosed = hint.With(errors.New("keycache: closed"),
	"close a connection that was hijacked, and what else uses the keys, before the pool or *sql.DB that they belong to")

// A Keyring is where a [Cache] finds wrapped data keys, and stores those it makes:
// a [keyring.Store]. Every method is one atomic step, durable when it returns, and
// safe for concurrent use from many processes.
type Keyring interface {
	// Identify returns the keyring's id, and gives it one if it is new: as, or a random one
	// if that is "".
	Identify(ctx context.Context, as string) (string, error)
	// Ring returns the newest keys of a purpose and scope, and of the older ones at
	// least every search key that is still searched for.
	Ring(ctx context.Context, purpose keyring.Purpose, scope string) (keyring.Ring, error)
	// Keys returns the keys of the given ids that exist, in any order.
	Keys(ctx context.Context, ids []uint32) ([]keyring.Key, error)
	// Insert adds a key of age 0 and reports whether it did: false when the id
	// or the (purpose, scope, epoch) is taken.
	Insert(ctx context.Context, k keyring.Key) (bool, error)
	// Reserve adds n seals to what is reserved of a key and returns the new
	// sum; false when that would pass limit, or the key is retired or destroyed.
	Reserve(ctx context.Context, id uint32, n, limit uint64) (sum uint64, ok bool, err error)
	// Release releases n reserved seals that will never be used.
	Release(ctx context.Context, id uint32, n uint64) error
}

// Cache holds the plaintext data keys of one process over one [Keyring]. Its
// methods are safe for concurrent use. Make one with [New]; close it.
type Cache struct {
	keyring Keyring
	gate    *gate.Gate
	cfg     Config
	blocks  blocks
	log     *audit.Log
	lead    float64 // where in the lead time this process makes the next key; in [0,1)

	scoped   atomic.Bool            // the keyring has keys of scopes
	identity atomic.Pointer[string] // the keyring's id, as it was read last; nil before
	silent   atomic.Int64           // until when a lookup that can serve stale does not wait for an answer: see patience

	entries *hot.Map[uint32, *entry]
	inboxes *hot.Map[uint32, *entry] // those of [keyring.PurposeInbox]: see place
	rings   *hot.Map[ringID, *ring]
	home    [2]atomic.Pointer[ring] // the rings of the empty scope, data and search, if they were read: see ringNow
	flights *flights
	columns columnSet
	custody *custody
	nowhere nowhere
	credit  uint64      // seals of a key that may be taken while none can be reserved
	pins    []inbox.Pin // of the inboxes of a write-only program; nil for any other

	count counters
	hits  hot.Counter
	seals hot.Counter
}

// Scoped reports whether the keyring has keys of scopes, as far as it was read.
func (c *Cache) Scoped() bool { return c.scoped.Load() }

// closeGrace bounds what Close spends on waiting for what is under way, and then on
// releasing seals.
const closeGrace = 2 * time.Second

// New returns an empty cache. It asks neither the keyring nor KMS before it must.
//
// columns are those that the program seals and opens. A data key is expanded for
// all of them at once, and its plaintext wiped; one that is not among them works
// too, but has each key in memory unwrapped once more.
func New(k Keyring, w kms.Wrapper, cfg Config, columns ...Column) *Cache {
	cfg = cfg.withDefaults()
	c := &Cache{
		keyring: k,
		cfg:     cfg,
		log:     audit.New(cfg.Logger),
		blocks:  blocksFor(k, cfg),
		lead:    rand.Float64(),
		entries: hot.New[uint32, *entry](cfg.MaxEntries),
		inboxes: hot.New[uint32, *entry](cfg.MaxEntries),
		rings:   hot.New[ringID, *ring](cfg.MaxEntries),
		flights: newFlights(),
		custody: newCustody(cfg.MaxEntries),
	}
	if cfg.MaxStale > 0 {
		c.credit = min(maxCredit, cfg.MaxSeals/blocksPerKey)
	}
	c.columns.learn(columns...)
	c.gate = gate.New(w, gate.Config{Timeout: cfg.KMSTimeout, Parallel: cfg.KMSParallel, Observe: cfg.ObserveKMS, Log: c.log})
	return c
}

// Close drops every key, releases the seals that were reserved and not used, and
// waits for what is under way: two seconds at most for a KMS that does not heed its
// context, and two for a keyring that does not answer. Later calls give [ErrClosed];
// keys that were handed out go on working.
func (c *Cache) Close() error {
	if !c.flights.close(closeGrace) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	// The rows of keys may have been lost since they were looked at, and nobody else may hold the
	// keys.
	keys := append(c.custody.held.Values(), c.custody.missing()...)
	for _, r := range c.rings.Drain() {
		r.end()
		if s := r.current.Load(); s != nil {
			for _, k := range s.keys {
				keys = append(keys, k.rec)
			}
			c.giveBack(ctx, s)
		}
	}
	_ = c.lookAtRows(ctx, keys) // nothing is left to try
	for _, e := range append(c.entries.Drain(), c.inboxes.Drain()...) {
		e.wipe()
	}
	return nil
}

// explain gives an error its class and hint. That the cache was closed comes first.
func (c *Cache) explain(op string, rec keyring.Key, err error) error {
	e := &keyring.Error{Op: op, Purpose: rec.Purpose, KeyID: rec.ID, Scope: rec.Scope, Cause: err}
	switch {
	case c.flights.base.Err() != nil, errors.Is(err, ErrClosed):
		return ErrClosed
	case errors.As(err, new(*keyring.Error)):
		return err
	case errors.As(err, new(errGaveUp)):
		return e
	case c.reportPanic(err):
		if errors.Is(err, kms.ErrUnavailable) { // a Wrapper's
			e.Class = keyring.ErrKeyUnavailable
		}
		e.Hint = "this is a fault of Colseal's or of the key service's: report it"
		return e
	case errors.Is(err, errWiped):
		e.Class = keyring.ErrKeyUnavailable
		return e
	case errors.Is(err, errNoKey):
		e.Class = keyring.ErrReadOnly
		e.Hint = "the scope has no key that may seal, and this program makes none (Config.Keys.ReadOnly): have another program or `colseal keys rotate` make it"
		return e
	case errors.Is(err, errSpent):
		e.Class = keyring.ErrBudget
		e.Hint = "other callers used up every new key meanwhile: seal fewer cells at a time, or raise MaxSeals"
		return e
	}
	return keyring.Classify(op, rec, err)
}

// passing tells whether err may pass by itself, so that stale keys may serve
// meanwhile. Everything that is not a definite answer is: an unreachable keyring
// as much as an unreachable KMS.
func passing(err error) bool {
	return errors.Is(err, keyring.ErrKeyUnavailable) || errors.As(err, new(errGaveUp)) || errors.As(err, new(*audit.PanicError))
}

// reportStale tells, once a minute for all keys together, that keys serve past MaxAge
// because they cannot be renewed.
func (c *Cache) reportStale(ctx context.Context, l *lease, rec keyring.Key, err error) {
	if l.state() == leaseStale {
		c.log.EmitSparse(ctx, audit.KeyStale, []string{string(rec.Purpose)}, keyAndError(rec, err)...)
	}
}

// keyAndError returns the attributes that name a key and tell of an error about it.
func keyAndError(rec keyring.Key, err error) []slog.Attr {
	attrs := rec.LogValue().Group()
	var own *keyring.Error
	if !errors.As(err, &own) || own.Cause != nil && own.Class != keyring.ErrKeyInvalid {
		return append(attrs, audit.Failure(err)...)
	}
	class := "other"
	switch own.Class {
	case keyring.ErrKeyDestroyed:
		class = "key_destroyed"
	case keyring.ErrKeyInvalid:
		class = "key_invalid"
	case keyring.ErrOtherKeyring:
		class = "other_keyring"
	case keyring.ErrKeyNotFound:
		class = "key_missing" // key_not_found is what KMS says of a KEK
	}
	return append(attrs, slog.String(audit.ErrorClass, class), slog.String(audit.ErrorText, own.Error()))
}

// background runs work apart from any caller; Close ends its context and waits
// for it. After Close there is none: false.
func (c *Cache) background(work func(context.Context)) bool {
	done, ok := c.flights.begin()
	if !ok {
		return false
	}
	go func() {
		defer done()
		c.guard(work)
	}()
	return true
}

// guard runs work in a goroutine of the cache's. A panic is told, and ends no more than
// the work: a program does not die of a fault in a renewal.
func (c *Cache) guard(work func(context.Context)) {
	_, err := guarded(c.flights.base, func(ctx context.Context) (struct{}, error) {
		work(ctx)
		return struct{}{}, nil
	})
	c.reportPanic(err)
}

// reportPanic tells of an error that is a panic, and whether it is one.
func (c *Cache) reportPanic(err error) bool {
	panicked, ok := errors.AsType[*audit.PanicError](err)
	if ok {
		c.log.EmitSparse(context.Background(), audit.Panicked, nil, slog.String(audit.ErrorText, panicked.Error()))
	}
	return ok
}
