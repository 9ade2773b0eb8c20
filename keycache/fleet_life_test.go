package keycache

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// A life is one process from its start to its end: a real [Cache], with a view of
// its own of the keyring and of KMS. Its clock is slow or fast by drift, its
// network may be cut, and it may die between any two steps, or within one.
type life struct {
	f     *world
	cache *Cache
	drift float64

	services kms.Wrapper

	dead  atomic.Bool
	steps atomic.Int64 // how many more it lives; not positive: it dies otherwise
	after bool         // it dies once the step has had its effect

	mu  sync.Mutex // guards the following
	rnd *rand.Rand
	got map[uint32]time.Time // when each key last came from KMS
	cut trouble
}

// maxDrift is how wrong the processes' clocks run: far more than real ones.
const maxDrift = 0.005

// slowest is how long d by the slowest clock really is.
func slowest(d time.Duration) time.Duration { return time.Duration(float64(d) * (1 + maxDrift)) }

var errDead = errors.New("the process is dead")

func (f *world) newLife(seed uint64) *life {
	l := &life{f: f, rnd: rand.New(rand.NewPCG(seed, 1)), got: map[uint32]time.Time{}}
	l.drift = maxDrift * (2*l.rnd.Float64() - 1)
	if l.rnd.IntN(4) == 0 {
		l.steps.Store(1 + l.rnd.Int64N(300))
		l.after = l.rnd.IntN(2) == 0
	}
	cfg := f.cfg
	cfg.MaxAge, cfg.MaxStale = l.long(keyring.DefaultMaxAge), l.long(keyring.DefaultMaxStale)
	l.services = f.wrapper(l.reach)
	l.cache = New(l, l, cfg, random, deterministic)
	f.living.Store(l, nil)
	return l
}

// long is how long d by the process's clock really is.
func (l *life) long(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + l.drift))
}

// end is a clean end for a process that is not dead. A dead one gives nothing
// back; its cache is closed for the sake of the bubble.
func (l *life) end() {
	_ = l.cache.Close()
	l.f.living.Delete(l)
	l.f.ended(l)
}

// step is one use of the network.
func (l *life) step(work func() error) error {
	if l.dead.Load() {
		return errDead
	}
	last := l.steps.Load() > 0 && l.steps.Add(-1) == 0
	if last && !l.after {
		l.dead.Store(true)
		return errDead
	}
	l.mu.Lock()
	cut := l.cut.over.After(time.Now())
	l.mu.Unlock()
	if cut {
		return errRefusedConn
	}
	err := work()
	if last {
		l.dead.Store(true)
		return errDead
	}
	return err
}

// query is a step to the keyring.
func (l *life) query(work func(*truth) error) error {
	return l.step(func() error {
		d := l.f.truth
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.away.on {
			return errRefusedConn
		}
		return work(d)
	})
}

func (l *life) Identify(context.Context, string) (string, error) { return keytest.ID, nil }

// read gives an age as this process's clock makes it matter: what is left of the
// key's term lasts longer by a slow clock.
func (l *life) read(d *truth, r *truthRow) keyring.Key {
	rec := d.read(r)
	rec.Age = max(l.f.cfg.RotateEvery-l.long(l.f.cfg.RotateEvery-rec.Age), 0)
	return rec
}

func (l *life) Ring(_ context.Context, purpose keyring.Purpose, scope string) (keyring.Ring, error) {
	var recs []keyring.Key
	err := l.query(func(d *truth) error {
		rows := d.rings[ringID{purpose, scope}]
		for _, r := range slices.Backward(rows[max(len(rows)-16, 0):]) {
			recs = append(recs, l.read(d, r))
		}
		return nil
	})
	return keytest.RingOf(recs), err
}

func (l *life) Keys(_ context.Context, ids []uint32) (recs []keyring.Key, err error) {
	err = l.query(func(d *truth) error {
		for _, id := range ids {
			if r := d.byID[id]; r != nil {
				recs = append(recs, l.read(d, r))
			}
		}
		return nil
	})
	return recs, err
}

func (l *life) Insert(_ context.Context, rec keyring.Key) (won bool, err error) {
	err = l.query(func(d *truth) error {
		l.f.checkNeed(d, rec)
		won = d.insert(rec)
		if !won && time.Since(l.f.kms.began) > time.Minute {
			l.f.count.lost.Add(1)
		}
		return nil
	})
	return won, err
}

func (l *life) Reserve(_ context.Context, id uint32, n, limit uint64) (sum uint64, ok bool, err error) {
	err = l.query(func(d *truth) error {
		sum, ok = d.reserve(id, n, limit)
		return nil
	})
	return sum, ok, err
}

func (l *life) Release(_ context.Context, id uint32, n uint64) error {
	return l.query(func(d *truth) error {
		if r := d.byID[id]; r != nil {
			r.SealsReserved -= n
		}
		return nil
	})
}

func (l *life) Rewrap(context.Context, kms.Wrapped, kms.EncryptionContext, kms.EncryptionContext) (kms.Wrapped, error) {
	return kms.Wrapped{}, errors.New("not used here")
}

// came notes that a key came from KMS, and checks that it does so once per
// refresh interval, unless KMS refused it meanwhile. The interval is a part of the
// term that was left when the key came: ages count from before the request, whose
// tries may take as long as a flight.
func (l *life) came(ec kms.EncryptionContext) {
	id := parseHex8(ec["colseal:key-id"])
	l.f.kms.mu.Lock()
	refused := l.f.kms.denied
	l.f.kms.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.got[id]; ok && !refused.since(before) && !l.f.loses {
		if gap := time.Since(before); gap < (l.long(keyring.DefaultMaxAge)-flightTimeout)*6/10-time.Second {
			l.f.wrong("key %08x was unwrapped twice within %v in one process", id, gap)
		}
	}
	l.got[id] = time.Now()
}

// served checks that a key which served at began may have: that KMS gave it to
// this process not too long ago, and had not refused it for a refresh interval.
func (l *life) served(id uint32, began time.Time) {
	k := l.f.kms
	k.mu.Lock()
	away, denied, partly := k.away, k.denied, k.partly
	k.mu.Unlock()
	l.f.truth.mu.Lock()
	noKeyring := l.f.truth.away
	l.f.truth.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.got[id]
	age, fresh := began.Sub(at), l.long(keyring.DefaultMaxAge)
	excused := away.since(began) || partly.since(began) || noKeyring.since(began) || l.cut.since(began)
	switch {
	case !ok:
		l.f.wrong("key %08x serves, but never came from KMS", id)
	case age > fresh+l.long(keyring.DefaultMaxStale):
		l.f.wrong("key %08x serves %v after it came from KMS: past the hard limit", id, age)
	case age > fresh && !excused:
		l.f.wrong("key %08x serves %v after it came from KMS, and KMS is well", id, age)
	case denied.on && began.Sub(denied.over) > fresh && !excused:
		l.f.wrong("key %08x serves %v after KMS refused it", id, began.Sub(denied.over))
	}
}

// warm reports whether the process had the key so lately that no outage excuses a
// failure.
func (l *life) warm(id uint32, now time.Time) bool {
	l.f.kms.mu.Lock()
	denied := l.f.kms.denied
	l.f.kms.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.got[id]
	return ok && !denied.since(at) && now.Sub(at) < l.long(keyring.DefaultMaxAge+keyring.DefaultMaxStale)-time.Minute
}

// troubled reports whether something was wrong after t, for this process. That one service of two fails is something wrong for
// those who need new keys.
func (l *life) troubled(t time.Time, newKeys bool) (away, denied bool) {
	l.f.truth.mu.Lock()
	away = l.f.truth.away.since(t)
	l.f.truth.mu.Unlock()
	l.f.kms.mu.Lock()
	partly := newKeys && l.f.kms.partly.since(t)
	away, denied = away || partly || l.f.kms.away.since(t), partly || l.f.kms.denied.since(t) || l.f.kms.noNew.since(t)
	l.f.kms.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return away || l.cut.since(t), denied
}
