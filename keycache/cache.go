package keycache

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/hot"
	"github.com/colseal/colseal/kms"
)

// Cache holds the plaintext data keys of one process over one [Keyring]. Its
// methods are safe for concurrent use. Make one with [New]; close it.
type Cache struct {
	keyring Keyring
	gate    *gate
	cfg     Config
	blocks  blocks
	log     *audit.Log
	lead    float64 // where in the lead time this process makes the next key; in [0,1)

	entries *hot.Map[uint32, *entry]
	rings   *hot.Map[ringID, *ring]
	home    [2]atomic.Pointer[ring] // the rings of the empty scope, data and search, if they were read: see ringNow
	flights *flights
	columns columnSet

	count counters
	hits  hot.Counter
	seals hot.Counter
}

// closeGrace bounds what Close spends on waiting for what is under way, and then on
// giving back seals.
const closeGrace = 2 * time.Second

// New returns an empty cache. It asks neither the keyring nor KMS before it must.
//
// columns are those that the program seals and opens. A data key is expanded for
// all of them at once, and its plaintext wiped; one that is not among them works
// too, but has each key in memory unwrapped once more.
func New(keyring Keyring, w kms.Wrapper, cfg Config, columns ...Column) *Cache {
	cfg = cfg.withDefaults()
	c := &Cache{
		keyring: keyring,
		cfg:     cfg,
		log:     audit.New(cfg.Logger),
		blocks:  blocksFor(keyring, cfg),
		lead:    rand.Float64(),
		entries: hot.New[uint32, *entry](cfg.MaxEntries),
		rings:   hot.New[ringID, *ring](cfg.MaxEntries),
		flights: newFlights(),
	}
	c.columns.learn(columns...)
	c.gate = newGate(w, cfg, &c.count, c.log)
	return c
}

// Close drops every key, gives back the seals that were reserved and not used, and
// waits for what is under way: two seconds at most for a KMS that does not heed its
// context, and two for a keyring that does not answer. Later calls give [ErrClosed];
// keys that were handed out go on working.
func (c *Cache) Close() error {
	if !c.flights.close(closeGrace) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	for _, r := range c.rings.Drain() {
		r.end()
		if s := r.current.Load(); s != nil {
			c.giveBack(ctx, s)
		}
	}
	for _, e := range c.entries.Drain() {
		e.wipe()
	}
	return nil
}

// explain is classify, but a closed cache is the first thing to say.
func (c *Cache) explain(op string, rec Record, err error) error {
	if c.flights.base.Err() != nil {
		return ErrClosed
	}
	return classify(op, rec, err)
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
		work(c.flights.base)
	}()
	return true
}
