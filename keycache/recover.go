package keycache

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/keyring"
	lru "github.com/hashicorp/golang-lru/v2"
)

// What the keyring has acknowledged may be taken back: a standby without the last commits
// takes over, or the database is restored to an earlier time. The rows of keys are gone then,
// while this process seals on under them. So a process keeps the wrapped form of every key that
// it had in plaintext, for longer than the plaintext, and stores it again where the row
// is gone.

// heldPerEntry is how many wrapped keys are kept, for each plaintext key that may be.
const heldPerEntry = 4

// custody is the wrapped keys of a process, and what is known of their rows.
type custody struct {
	held *lru.Cache[uint32, keyring.Key]

	mu      sync.Mutex // guards the following
	servers map[string]struct{}
	lost    map[uint32]keyring.Key // rows known to be gone, and not stored again yet
	trying  bool                   // a goroutine tries to
}

// knownServers bounds the servers that are remembered.
const knownServers = 64

func newCustody(entries int) *custody {
	held, err := lru.New[uint32, keyring.Key](heldPerEntry * entries)
	if err != nil {
		panic(err) // the size is positive
	}
	return &custody{held: held, servers: map[string]struct{}{}, lost: map[uint32]keyring.Key{}}
}

// ring returns the held keys of a ring, newest first.
func (h *custody) ring(id ringID) []keyring.Key {
	keys := slices.DeleteFunc(h.held.Values(), func(k keyring.Key) bool { return k.Purpose != id.purpose || k.Scope != id.scope })
	sortNewest(keys)
	return keys
}

// sortNewest puts first what sealed last: of several search keys of a scope whose rows are gone
// the first one to be stored goes on.
func sortNewest(keys []keyring.Key) {
	slices.SortFunc(keys, func(a, b keyring.Key) int { return cmp.Or(-cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.ID, b.ID)) })
}

// recover stores a key again whose row is gone, and returns the row as it is now. If that fails
// in passing it is tried again in the background, and the error is of class
// ErrKeyUnavailable, so that the key goes on opening what it may.
func (c *Cache) recover(ctx context.Context, k keyring.Key) (keyring.Key, error) {
	if c.cfg.ReadOnly {
		return k, &keyring.Error{Op: "get", Purpose: k.Purpose, KeyID: k.ID, Scope: k.Scope, Class: keyring.ErrKeyUnavailable,
			Hint: "its row is gone from the keyring, which this program only reads: import it from a backup, or let another program store it again"}
	}
	row, stored, err := keyring.Recover(ctx, c.keyring, k)
	destroyed := errors.Is(err, keyring.ErrKeyDestroyed)
	c.noteLost(k, err == nil || destroyed)
	switch {
	case destroyed:
		c.custody.held.Remove(k.ID)
		return row, err
	case err != nil:
		return k, c.explain("recover", k, err)
	case stored:
		c.custody.held.Add(k.ID, row)
		c.count.recovered.Add(1)
		c.log.Emit(ctx, audit.KeyRecovered, row.LogValue().Group()...)
		// Where one row is gone others are, of keys that are not asked for as soon.
		c.background(func(ctx context.Context) {
			_, _ = shareAnew(ctx, c.flights, "rows of all keys", func(ctx context.Context) (struct{}, error) {
				return struct{}{}, c.lookAtRows(ctx, c.custody.held.Values())
			})
		})
	}
	return row, nil
}

// noteLost notes whether a lost key is settled, and sees to it that others are tried again.
func (c *Cache) noteLost(k keyring.Key, settled bool) {
	h := c.custody
	h.mu.Lock()
	defer h.mu.Unlock()
	if settled {
		delete(h.lost, k.ID)
		return
	}
	h.lost[k.ID] = k
	if !h.trying {
		h.trying = c.background(c.recoverLost)
	}
}

// recoverLost tries to store lost keys again until all are.
func (c *Cache) recoverLost(ctx context.Context) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = renewRetryMin, renewRetryMax
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.NextBackOff()):
		}
		for _, k := range c.custody.missing() {
			_, _ = c.recover(ctx, k) // it stays among the lost ones
		}
		c.custody.mu.Lock()
		done := len(c.custody.lost) == 0
		c.custody.trying = !done
		c.custody.mu.Unlock()
		if done {
			return
		}
	}
}

func (h *custody) missing() []keyring.Key {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := make([]keyring.Key, 0, len(h.lost))
	for _, k := range h.lost {
		keys = append(keys, k)
	}
	sortNewest(keys)
	return keys
}

// recoverRing stores those keys again that sealed here, or are held if the ring is empty, and
// are not in the ring as it was read. It reports whether it did: then the ring is to be read again.
func (c *Cache) recoverRing(ctx context.Context, r *ring, read keyring.Ring) (bool, error) {
	if c.cfg.ReadOnly {
		return false, nil
	}
	var held []keyring.Key
	if s := r.current.Load(); s != nil {
		for _, k := range s.keys {
			held = append(held, k.rec)
		}
	}
	if len(read.Keys) == 0 {
		held = append(held, c.custody.ring(r.id)...)
	}
	recovered := false
	for _, k := range held {
		if slices.ContainsFunc(read.Keys, func(rec keyring.Key) bool { return rec.ID == k.ID }) {
			continue
		}
		now, ok := c.custody.held.Peek(k.ID) // as it was wrapped last
		if !ok {
			now = k
		}
		row, err := c.recover(ctx, now)
		if err != nil {
			return false, err
		}
		recovered = recovered || row.Epoch >= read.Next
	}
	return recovered, nil
}

// Knows reports whether the rows of the held keys were looked at since the program first connected
// to a server. If no key is held, there was nothing to look at. The name must differ between
// servers, and change when a server is restarted or promoted. "" is never known.
func (c *Cache) Knows(server string) bool {
	h := c.custody
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held.Len() == 0 {
		h.learn(server)
	}
	_, ok := h.servers[server]
	return ok
}

// learn notes a server. The caller holds mu.
func (h *custody) learn(server string) {
	if len(h.servers) >= knownServers {
		clear(h.servers)
	}
	if server != "" {
		h.servers[server] = struct{}{}
	}
}

// Connected tells the Cache that the program is connected to a server that it does not know. Before
// it returns, the Cache looks at the row of every key that it holds, and stores those again that
// are gone. If it cannot, it tries on in the background, and the server stays unknown until then.
func (c *Cache) Connected(ctx context.Context, server string) error {
	name := "rows " + server
	look := func(ctx context.Context) (struct{}, error) { return struct{}{}, c.lookAtHeld(ctx, server) }
	_, err := shareAnew(ctx, c.flights, name, look)
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	c.background(func(ctx context.Context) {
		wait := backoff.NewExponentialBackOff()
		wait.InitialInterval, wait.MaxInterval = renewRetryMin, renewRetryMax
		_, _ = backoff.Retry(ctx, func() (struct{}, error) { return shareAnew(ctx, c.flights, name, look) },
			backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(c.cfg.MaxAge)) // by then every key was looked at by its renewal
	})
	return err
}

func (c *Cache) lookAtHeld(ctx context.Context, server string) error {
	if c.Knows(server) {
		return nil
	}
	if err := c.lookAtRows(ctx, c.custody.held.Values()); err != nil {
		return c.explain("look for", keyring.Key{}, err)
	}
	c.custody.mu.Lock()
	defer c.custody.mu.Unlock()
	c.custody.learn(server)
	return nil
}

// lookAtRows stores those of the keys again whose rows are gone.
func (c *Cache) lookAtRows(ctx context.Context, keys []keyring.Key) error {
	if len(keys) == 0 || c.cfg.ReadOnly {
		return nil
	}
	sortNewest(keys)
	ids := make([]uint32, len(keys))
	for i, k := range keys {
		ids[i] = k.ID
	}
	rows, err := c.keyring.Keys(ctx, ids)
	if err != nil {
		return err
	}
	there := make(map[uint32]bool, len(rows))
	for _, row := range rows {
		there[row.ID] = true
		if row.Destroyed {
			c.custody.held.Remove(row.ID)
		}
	}
	for _, k := range keys {
		if there[k.ID] {
			continue
		}
		if _, err := c.recover(ctx, k); err != nil && !errors.Is(err, keyring.ErrKeyDestroyed) {
			return err
		}
	}
	return nil
}
