package keycache

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// NewWriter returns the cache of a write-only program, which seals and never asks KMS. It makes a data key of its own for each
// scope and hour, encrypts it to an inbox that has one of the pins ([keyring.Key.Pin]), and forgets it with the hour. It opens
// what it sealed under a key that it still has, and nothing else.
func NewWriter(k Keyring, pins []string, cfg Config, columns ...Column) *Cache {
	c := New(k, nil, cfg, columns...)
	c.pins = append([]string{}, pins...)
	c.cfg.RotateEvery = min(c.cfg.RotateEvery, keyring.WriterAge)
	c.credit = 0
	return c
}

// writes reports whether the program is write-only.
func (c *Cache) writes() bool { return c.pins != nil }

// writeOnly is the error of what a write-only program does not do.
func writeOnly(op string, rec keyring.Key) error {
	return &keyring.Error{Op: op, Purpose: rec.Purpose, KeyID: rec.ID, Scope: rec.Scope, Class: keyring.ErrWriteOnly,
		Hint: "this program seals in columns whose tags say inbox, and opens and searches for nothing: let one that has a KMS do that"}
}

// assembleWriter is assemble for a write-only program. The ring holds one key, the program's own, for as long as the inbox that
// it is encrypted to is good.
func (c *Cache) assembleWriter(ctx context.Context, r *ring) (*ringState, terms, error) {
	if r.id.purpose != keyring.PurposeData {
		return nil, terms{}, writeOnly("search with", keyring.Key{Purpose: r.id.purpose, Scope: r.id.scope})
	}
	for range keyring.IDTries {
		asked := time.Now()
		to, err := c.inbox(ctx, r)
		if err != nil {
			return nil, terms{}, err
		}
		s := r.current.Load()
		goesOn := false
		if s != nil {
			if goesOn, err = c.mayGoOn(ctx, r, s.keys[0], to); err != nil {
				return nil, terms{}, err
			}
		}
		if !goesOn {
			if s, err = c.makeWriter(ctx, r.id.scope, to, asked); err != nil {
				return nil, terms{}, err
			}
		}
		if s == nil {
			continue // the id was taken, or the keyring's has changed
		}
		return s, c.termsOf(r.id.purpose, asked, keyring.Key{Age: asked.Sub(s.keys[0].born)}), nil
	}
	return nil, terms{}, errNoFreeID
}

// inbox returns the newest inbox of a ring's scope that is good and pinned. Any other is passed over: whoever may insert rows
// could have put in one of their own.
func (c *Cache) inbox(ctx context.Context, r *ring) (keyring.Key, error) {
	about := keyring.Key{Purpose: keyring.PurposeInbox, Scope: r.id.scope}
	read, err := c.keyring.Ring(ctx, about.Purpose, about.Scope)
	if err != nil {
		return about, err
	}
	c.sawID(read.Keyring)
	if read.Scoped || r.id.scope != "" {
		c.scoped.Store(true)
	}
	c.reportStrays(ctx, read)
	if tomb, destroyed := read.Tombstone(); destroyed {
		c.stop(r, true)
		return about, keyring.ScopeDestroyed(tomb)
	}
	for _, k := range read.Keys {
		if k.Live() && k.Invalid == nil && slices.Contains(c.pins, k.Pin()) {
			return k, nil
		}
	}
	c.stop(r, true)
	return about, &keyring.Error{Op: "seal with", Purpose: about.Purpose, Scope: about.Scope, Class: keyring.ErrNoInbox,
		Hint: "make one with `colseal keys inbox`, and give the program the pin that it prints (Config.WriteOnly); if there is one, the pin is another's"}
}

// mayGoOn reports whether the program's own key seals on: it is encrypted to the inbox, is not spent or of age, and nobody
// stopped it. Its row is stored again if it was lost, and then another key takes over.
func (c *Cache) mayGoOn(ctx context.Context, r *ring, k *liveKey, to keyring.Key) (bool, error) {
	rows, err := c.keyring.Keys(ctx, []uint32{k.rec.ID})
	if err != nil {
		return false, err
	}
	if len(rows) == 0 {
		_, err := c.recover(ctx, k.rec)
		return false, err
	}
	row := rows[0]
	return row.Purpose == keyring.PurposeWriter && !row.Retired && !row.Destroyed && row.Invalid == nil && k.rec.WrappedTo == to.ID &&
		time.Since(k.born) < c.cfg.RotateEvery && r.spent.Load() != k.rec.ID && !k.entry.Load().wiped(), nil
}

// makeWriter makes a key of the program's own, stores it with all of its seals, and returns it as the one that seals; nil if its
// id was taken.
func (c *Cache) makeWriter(ctx context.Context, scope string, to keyring.Key, asked time.Time) (*ringState, error) {
	rec := keyring.Key{ID: keyring.NewID(), Keyring: to.Keyring, Purpose: keyring.PurposeWriter, Scope: scope, SealsReserved: c.cfg.MaxSeals}
	rec.Epoch = int64(rec.ID)
	plain := make([]byte, kms.DataKeySize)
	defer clear(plain)
	_, _ = rand.Read(plain) // never fails
	rec, err := rec.EncryptedTo(to, plain)
	if err != nil {
		return nil, err
	}
	if won, err := c.keyring.Insert(ctx, rec); err != nil || !won {
		return nil, err
	}
	c.count.created.Add(1)
	c.log.Emit(ctx, audit.KeyMade(1), rec.LogValue().Group()...)
	e, err := c.install(rec, plain, asked, asked.Add(c.cfg.RotateEvery))
	if err != nil {
		return nil, err
	}
	// It serves for its whole term: there is nobody to ask for it again.
	e.start(asked.Add(c.cfg.RotateEvery), asked.Add(c.cfg.RotateEvery), func() { c.attend(e) })
	k := &liveKey{rec: rec, born: asked}
	k.reserved.Store(rec.SealsReserved)
	k.budget.left.Store(c.cfg.MaxSeals)
	k.entry.Store(e)
	s := &ringState{keys: []*liveKey{k}}
	s.columns.Store(&[]searchKeys{})
	return s, nil
}

// forget drops the keys that a ring of a write-only program had before and has no longer, so that it holds no more than it
// needs to seal.
func (c *Cache) forget(before, now *ringState) {
	for _, k := range before.keys {
		if now.find(k.rec.ID) == nil {
			c.evict(k.entry.Load())
		}
	}
}
