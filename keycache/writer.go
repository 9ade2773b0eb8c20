package keycache

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/inbox"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// NewWriter returns the cache of a write-only program, which never asks KMS. For each scope and
// hour it makes a data key of its own, encrypts it to an inbox that has one of the pins
// ([keyring.Key.Pin]), and forgets it after the hour. It opens only what it sealed under a key that
// it still has.
func NewWriter(k Keyring, pins []string, cfg Config, columns ...Column) *Cache {
	c := New(k, nil, cfg, columns...)
	c.pins = make([]inbox.Pin, 0, len(pins))
	for _, text := range pins {
		if pin, err := inbox.ParsePin(text); err == nil { // what is no pin is no inbox's
			c.pins = append(c.pins, pin)
		}
	}
	c.cfg.RotateEvery = min(c.cfg.RotateEvery, keyring.WriterAge)
	c.credit = 0
	return c
}

// writes reports whether the program is write-only.
func (c *Cache) writes() bool { return c.pins != nil }

// writeOnly returns the error of what a write-only program does not do.
func writeOnly(op string, rec keyring.Key) error {
	return &keyring.Error{Op: op, Purpose: rec.Purpose, KeyID: rec.ID, Scope: rec.Scope, Class: keyring.ErrWriteOnly,
		Hint: "this program seals in columns whose tags say inbox, and opens and searches for nothing: let one that has a KMS do that"}
}

// assembleWriter is assemble for a write-only program. The ring holds one key, the program's own,
// for as long as the inbox that it is encrypted to is good.
func (c *Cache) assembleWriter(ctx context.Context, r *ring) (*ringState, terms, error) {
	if r.id.purpose != keyring.PurposeData {
		return nil, terms{}, writeOnly("search with", keyring.Key{Purpose: r.id.purpose, Scope: r.id.scope})
	}
	for range keyring.IDTries {
		asked := time.Now()
		s := r.current.Load()
		ids := make([]uint32, 0, len(c.pins)+1)
		for _, pin := range c.pins {
			ids = append(ids, pin.KeyID)
		}
		if s != nil {
			ids = append(ids, s.keys[0].rec.ID)
		}
		rows, err := c.keyring.Keys(ctx, ids)
		if err != nil {
			return nil, terms{}, err
		}
		to, err := c.inboxAmong(rows, r)
		if err != nil {
			return nil, terms{}, err
		}
		goesOn := false
		if s != nil {
			if goesOn, err = c.mayGoOn(ctx, r, s.keys[0], rows, to); err != nil {
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

// inboxAmong returns the newest good inbox of a ring's scope, among the rows that the pins name by
// their ids. It passes over a row that differs from its pin: the keyring's owner could have
// replaced it by an inbox of their own.
func (c *Cache) inboxAmong(rows []keyring.Key, r *ring) (to keyring.Key, err error) {
	for _, k := range rows {
		ours := k.Scope == r.id.scope && slices.ContainsFunc(c.pins, func(p inbox.Pin) bool { return p.KeyID == k.ID })
		if ours && k.Destroyed { // with its scope
			c.stop(r, true)
			return k, keyring.ScopeDestroyed(k)
		}
		pinned := slices.ContainsFunc(c.pins, func(p inbox.Pin) bool { return p.String() == k.Pin() })
		if pinned && k.Scope != "" {
			c.scoped.Store(true)
		}
		if ours && pinned && k.Live() && k.Invalid == nil && k.Epoch > to.Epoch {
			to = k
		}
	}
	if to.ID == 0 {
		c.stop(r, true)
		return to, &keyring.Error{Op: "seal with", Purpose: keyring.PurposeInbox, Scope: r.id.scope, Class: keyring.ErrNoInbox,
			Hint: "make one with `colseal keys inbox`, and give the program the pin that it prints (Config.WriteOnly); if there is one, the pin is another's"}
	}
	c.sawID(to.Keyring)
	return to, nil
}

// mayGoOn reports whether the program's own key goes on sealing: it is encrypted to the inbox, is
// neither used up nor too old, and nobody stopped it. If its row was lost, mayGoOn stores it again,
// and another key takes over.
func (c *Cache) mayGoOn(ctx context.Context, r *ring, k *liveKey, rows []keyring.Key, to keyring.Key) (bool, error) {
	i := slices.IndexFunc(rows, func(row keyring.Key) bool { return row.ID == k.rec.ID })
	if i < 0 {
		_, err := c.recover(ctx, k.rec)
		return false, err
	}
	row := rows[i]
	return row.Purpose == keyring.PurposeWriter && !row.Retired && !row.Destroyed && row.Invalid == nil && k.rec.WrappedTo == to.ID &&
		time.Since(k.born) < c.cfg.RotateEvery && r.spent.Load() != k.rec.ID && !k.entry.Load().wiped(), nil
}

// makeWriter makes a key of the program's own, stores it with all of its seals, and returns it as
// the one that seals. It returns nil if the id was taken.
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

// forget drops the keys that a ring of a write-only program no longer has, so that it holds only
// what it needs to seal.
func (c *Cache) forget(before, now *ringState) {
	for _, k := range before.keys {
		if now.find(k.rec.ID) == nil {
			c.evict(k.entry.Load())
		}
	}
}
