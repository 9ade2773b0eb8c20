package keycache

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// What a process does, and what is checked of each thing that it does.

func parseHex8(s string) uint32 {
	id, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		panic(err)
	}
	return uint32(id)
}

// allowed checks that a failure is one that the world explains.
func (l *life) allowed(op, scope string, began time.Time, err error) {
	l.f.count.refused.Add(1)
	away, denied := l.troubled(began, op != "open")
	l.f.truth.mu.Lock()
	lost := l.f.truth.disturbed(ringID{keyring.PurposeData, scope}) || l.f.truth.disturbed(ringID{keyring.PurposeSearch, scope})
	l.f.truth.mu.Unlock()
	switch {
	case l.dead.Load():
	case errors.Is(err, keyring.ErrKeyDestroyed):
		if !l.f.destroyed(scope) {
			l.f.wrong("%s: scope %q was not destroyed: %v", op, scope, err)
		} else if !strings.Contains(err.Error(), strconv.Quote(scope)) {
			l.f.wrong("%s: the error does not name scope %q: %v", op, scope, err)
		}
	case errors.Is(err, kms.ErrDenied):
		if !denied {
			l.f.wrong("%s: refused while KMS agrees: %v", op, err)
		}
	case errors.Is(err, keyring.ErrKeyNotFound) && lost:
	case errors.Is(err, keyring.ErrKeyUnavailable):
		if !away && !lost {
			l.f.wrong("%s: unavailable while all is well: %v", op, err)
		}
	default:
		l.f.wrong("%s: %v", op, err)
	}
}

func (l *life) seal(ctx context.Context, scope string, n int) {
	began := time.Now()
	key, err := l.cache.Sealer(keyring.WithScope(ctx, scope), random, n)
	d := l.f.truth
	if err != nil {
		l.allowed("seal", scope, began, err)
		l.needlessFailure(scope, began, err)
		return
	}
	if l.dead.Load() {
		return // meanwhile, so it did nothing with the key
	}
	l.f.count.seals.Add(uint64(n))
	id := key.Header().KeyID
	l.served(id, began)
	away, _ := l.troubled(time.Now(), true)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used[id] += uint64(n)
	if d.cells[id] == nil {
		d.cells[id], _ = key.Seal(nil, codec.KindText, []byte("plain"))
	}
	l.checkSeal(d, id, began, away)
}

// checkSeal checks a key that has just sealed against its row.
func (l *life) checkSeal(d *truth, id uint32, began time.Time, away bool) {
	r := d.byID[id]
	switch gone := d.lost.missing[id]; {
	case gone != nil:
		gone.holders[l] = true
		return
	case r == nil:
		l.f.wrong("key %08x sealed a cell and is not stored", id)
		return
	case d.lost.keys[id]: // its reservations are lost, and it may have been stored again since
		return
	}
	// Each process may seal some on credit while it does not reach the keyring, and die.
	credit := l.cache.credit * l.f.count.lives.Load()
	if used := d.used[id]; used > r.SealsReserved && (used > r.SealsReserved+credit || !l.f.unreachable(d)) || r.SealsReserved > l.f.cfg.MaxSeals {
		l.f.wrong("key %08x: %d sealed, %d reserved, %d allowed", id, used, r.SealsReserved, l.f.cfg.MaxSeals)
	}
	// The skew that is tolerated: what the keyring's clock was set back, and what
	// this process's lost since it read the keyring.
	skew := 2*clockStep + slowest(keyring.DefaultMaxAge+keyring.DefaultMaxStale) - (keyring.DefaultMaxAge + keyring.DefaultMaxStale)
	if age := d.now().Sub(r.CreatedAt) - time.Since(began); age > l.f.cfg.RotateEvery+skew {
		l.f.wrong("key %08x seals at age %v", id, age)
	}
	ends := map[string]time.Time{"revoked": r.RetiredAt, "destroyed": r.DestroyedAt}
	for _, n := range d.rings[ringID{keyring.PurposeData, r.Scope}] {
		if n.Epoch == r.Epoch+1 && !d.lost.keys[n.ID] { // what was stored again seals nothing
			ends["followed"] = n.stored
		}
	}
	for what, at := range ends {
		if at.IsZero() {
			continue
		}
		limit := l.long(keyring.DefaultMaxAge)
		if away {
			limit = l.long(keyring.DefaultMaxAge + keyring.DefaultMaxStale)
		}
		if late := began.Sub(at); late > limit {
			l.f.wrong("key %08x seals %v after it was %s", id, late, what)
		}
	}
}

// needlessFailure: KMS alone is away, and the key that should seal is warm.
func (l *life) needlessFailure(scope string, began time.Time, err error) {
	if l.dead.Load() || !errors.Is(err, keyring.ErrKeyUnavailable) {
		return
	}
	d := l.f.truth
	d.mu.Lock()
	r := d.newest(ringID{keyring.PurposeData, scope})
	old := r == nil || r.Retired || r.Destroyed || d.now().Sub(r.CreatedAt) > l.f.cfg.RotateEvery-time.Minute ||
		r.mostReserved >= l.f.cfg.MaxSeals/2 || d.away.since(began) || d.disturbed(ringID{keyring.PurposeData, scope})
	d.mu.Unlock()
	l.mu.Lock()
	cut := l.cut.since(began)
	l.mu.Unlock()
	if !old && !cut && l.warm(r.ID, time.Now()) {
		l.f.wrong("seal: failed on a warm key: %v", err)
	}
}

func (l *life) open(ctx context.Context) {
	d := l.f.truth
	d.mu.Lock()
	var id uint32
	var cell []byte
	for id, cell = range d.cells { // any
		break
	}
	d.mu.Unlock()
	if cell == nil {
		return
	}
	began := time.Now()
	err := openOne(l.cache, ctx, random, cell)
	d.mu.Lock()
	row, lost := *d.row(id), d.lost.keys[id]
	d.mu.Unlock()
	if err != nil {
		l.allowed("open", row.Scope, began, err)
		if errors.Is(err, keyring.ErrKeyUnavailable) && !l.dead.Load() && !row.Destroyed && !lost && l.warm(id, time.Now()) {
			l.f.wrong("open: failed on a warm key: %v", err)
		}
		return
	}
	if l.dead.Load() {
		return
	}
	l.f.count.opens.Add(1)
	l.served(id, began)
	if late := began.Sub(row.DestroyedAt); row.Destroyed && late > l.long(keyring.DefaultMaxAge+keyring.DefaultMaxStale) {
		l.f.wrong("key %08x opens %v after it was destroyed", id, late)
	}
}

// search looks a value up and seals it, as an upsert does.
func (l *life) search(ctx context.Context, scope string) {
	d := l.f.truth
	began := time.Now()
	var must []uint32 // what cells of this scope were sealed under by now
	away, _ := l.troubled(began, true)
	d.mu.Lock()
	ring := ringID{keyring.PurposeSearch, scope}
	_, lossy := d.lost.last[ring]
	for _, r := range d.rings[ring] {
		// Where the keys of a scope were lost, another process may have made one as if it were the first.
		if lossy && (away || time.Since(r.stored) < slowest(keyring.DefaultMaxAge)) {
			continue
		}
		if d.found[r.ID] && !r.Retired && !r.Destroyed {
			must = append(must, r.ID)
		}
	}
	d.mu.Unlock()
	keys, err := l.cache.SearchKeys(keyring.WithScope(ctx, scope), deterministic)
	if err != nil {
		l.allowed("search", scope, began, err)
		return
	}
	if l.dead.Load() {
		return
	}
	l.f.count.searches.Add(1)
	var ids []uint32
	for _, k := range keys {
		ids = append(ids, k.Header().KeyID)
		l.served(k.Header().KeyID, began)
	}
	for _, id := range must {
		if !slices.Contains(ids, id) {
			l.f.wrong("a search in scope %q does not match what search key %08x sealed", scope, id)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found[ids[0]] = true
	if d.row(ids[0]) == nil {
		l.f.wrong("search key %08x is not stored", ids[0])
	}
}
