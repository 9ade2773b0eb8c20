package keycache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/colseal/colseal/internal/dialect"
)

// Blocks of seals. A process reserves few at first and twice as many each time
// it comes back, since what it has left when it is killed is wasted, and a
// thousand processes must not use up a key by starting. Never more than a small
// part of what a key may seal.
const (
	minBlock     = 1 << 12
	maxBlock     = 1 << 20
	blocksPerKey = 128
)

// sqliteBlock is so large because a SQLite transaction that writes keeps every
// other connection from writing, ours included: it has to do with the seals that
// were reserved before it began. And a SQLite file has few processes.
const sqliteBlock = 1 << 24

// maxCredit bounds the seals that a process takes of a key without having reserved them, while the
// keyring does not answer. They are reserved together with the next block. If the process dies
// before, nobody knows of them: sealLimit leaves room for two thousand such deaths for each key.
const maxCredit = 1 << 20

// blocks is how many seals to reserve: at first, and at most.
type blocks struct{ first, most uint64 }

func blocksFor(k Keyring, cfg Config) blocks {
	b := blocks{first: minBlock, most: maxBlock}
	if s, ok := k.(interface{ Dialect() dialect.Dialect }); ok && s.Dialect() == dialect.SQLite {
		b = blocks{first: sqliteBlock, most: sqliteBlock}
	}
	part := max(cfg.MaxSeals/blocksPerKey, 1)
	return blocks{first: min(b.first, part), most: min(b.most, part)}
}

// firstBlock returns how many seals to reserve at first. If the keyring has only connections that
// are lent, a transaction that writes must make do with what was reserved before it began.
func (c *Cache) firstBlock() uint64 {
	if s, ok := c.keyring.(interface{ Scarce() bool }); ok && s.Scarce() {
		return c.blocks.most
	}
	return c.blocks.first
}

// A budget is what this process has reserved of a key's seals and not yet used.
// What is taken from it is exact: it never goes below zero, so that no cell is
// sealed that the keyring does not know of, but for a bounded debt while it cannot be asked.
type budget struct {
	left    atomic.Uint64
	block   atomic.Uint64 // the last block reserved; 0: none yet
	filling atomic.Bool   // a background reservation is under way
	debt    atomic.Uint64 // what was taken and not reserved
	failing atomic.Bool   // the keyring did not answer the last reservation
	half    atomic.Bool   // the fleet has reserved half of the key's seals: the next key was asked for
}

// take takes n seals if there are as many.
func (b *budget) take(n uint64) bool {
	for {
		left := b.left.Load()
		if left < n {
			return false
		}
		if b.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

// borrow takes n seals that are not reserved, if the debt stays within credit.
func (b *budget) borrow(n, credit uint64) bool {
	for {
		debt := b.debt.Load()
		if n > credit || debt > credit-n {
			return false
		}
		if b.debt.CompareAndSwap(debt, debt+n) {
			return true
		}
	}
}

func (b *budget) add(n uint64) {
	b.block.Store(n)
	b.left.Add(n)
}

// low: time to reserve the next block in the background.
func (b *budget) low() bool { return b.left.Load() < b.block.Load()/4 && !b.filling.Load() }

// errSpent: a key that will never seal again, here or anywhere.
var errSpent = errors.New("keycache: the key's seals are spent")

// reserve gets at least n more seals of k, for everyone who waits for some, unless
// there are as many as enough.
func (c *Cache) reserve(ctx context.Context, r *ring, k *liveKey, n, enough uint64) error {
	if c.writes() { // all of the key's seals were reserved with it
		return errSpent
	}
	_, err := share(ctx, c.flights, fmt.Sprintf("seals %08x", k.rec.ID), func(ctx context.Context) (struct{}, error) {
		// A thousand callers may come one after another, each having found none: a
		// block for each would use up the key.
		if k.budget.left.Load() >= enough {
			return struct{}{}, nil
		}
		debt := k.budget.debt.Load()
		want := max(n, min(max(2*k.budget.block.Load(), c.firstBlock()), c.blocks.most))
		sum, ok, err := c.keyring.Reserve(ctx, k.rec.ID, want+debt, c.cfg.MaxSeals)
		if err == nil && !ok && want > n {
			want = n
			sum, ok, err = c.keyring.Reserve(ctx, k.rec.ID, want+debt, c.cfg.MaxSeals)
		}
		k.budget.failing.Store(err != nil)
		switch {
		case err != nil:
			return struct{}{}, c.explain("reserve seals of", k.rec, err)
		case !ok:
			return struct{}{}, errSpent
		}
		k.budget.debt.Add(-debt)
		k.budget.add(want)
		if more := want - n; k.gone.Load() && k.budget.take(more) {
			_ = c.keyring.Release(ctx, k.rec.ID, more)
		}
		k.reserved.Store(sum)
		if sum >= c.cfg.MaxSeals/2 && k.budget.half.CompareAndSwap(false, true) {
			c.background(func(ctx context.Context) { _ = c.rereadRing(ctx, r.id) })
		}
		return struct{}{}, nil
	})
	return err
}

// reserveSoon is reserve for a caller who may take seals on credit if the keyring does not
// answer within StaleWait: it returns nil then, and the budget is marked as failing.
func (c *Cache) reserveSoon(ctx context.Context, r *ring, k *liveKey, n, enough uint64) error {
	credit := k.budget.debt.Load()+n <= c.credit
	wait := ctx
	if credit {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, c.patience())
		defer cancel()
	}
	err := c.reserve(wait, r, k, n, enough)
	if err != nil && credit && ctx.Err() == nil && (wait.Err() != nil || passing(err)) {
		if wait.Err() != nil {
			c.waitedInVain()
		}
		k.budget.failing.Store(true)
		return nil
	}
	return err
}

// refill reserves the next block before it is needed.
func (c *Cache) refill(r *ring, k *liveKey) {
	if !k.budget.filling.CompareAndSwap(false, true) {
		return
	}
	c.background(func(ctx context.Context) {
		defer k.budget.filling.Store(false)
		// Should it fail, whoever finds the budget empty tries again and says so.
		_ = c.reserve(ctx, r, k, 1, k.budget.block.Load()/4)
		if k.gone.Load() {
			c.giveBackKey(ctx, k)
		}
	})
}

// giveBack returns what is left of a ring's budgets to the keyring. Losing it
// costs seals, not safety, so errors do not matter.
func (c *Cache) giveBack(ctx context.Context, s *ringState) {
	if c.writes() {
		c.forget(s, nil)
		return
	}
	for _, k := range s.keys {
		c.giveBackKey(ctx, k)
	}
}

func (c *Cache) giveBackKey(ctx context.Context, k *liveKey) {
	if debt := k.budget.debt.Swap(0); debt > 0 && !k.budget.take(debt) {
		_, _, _ = c.keyring.Reserve(ctx, k.rec.ID, debt, sealLimit)
	}
	for left := k.budget.left.Load(); left > 0; left = k.budget.left.Load() {
		if k.budget.take(left) {
			_ = c.keyring.Release(ctx, k.rec.ID, left)
		}
	}
}

// leave releases what is reserved of the keys that a ring had before and has no
// longer. Who still holds such a key reserves what it needs, while it may.
func (c *Cache) leave(before, now *ringState) {
	if before == nil {
		return
	}
	if c.writes() {
		c.forget(before, now)
		return
	}
	for _, k := range before.keys {
		if now.find(k.rec.ID) == nil {
			k.gone.Store(true)
			c.background(func(ctx context.Context) { c.giveBackKey(ctx, k) })
		}
	}
}
