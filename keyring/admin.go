package keyring

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/internal/gate"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/kms"
)

// Admin is what an operator does to the keys of a keyring: look at them, make the
// next one, stop one, destroy a scope's, wrap them under another KEK. It keeps no
// plaintext key: what KMS hands out with a new key is wiped at once.
//
// Every change is one atomic step in the database, or a series of such steps that
// leaves the keyring good after each of them. So a call that failed, or whose
// process was killed, is simply made again. Any number of Admins and of running
// caches (package keycache) may work on one keyring. An Admin is safe for concurrent use, holds
// nothing that must be closed, and is made by [NewAdmin].
type Admin struct {
	keyring Ledger
	gate    *gate.Gate
	cfg     AdminConfig
	log     *audit.Log
}

// AdminConfig says who works, and what the running processes may do meanwhile. The
// zero value means the defaults of the programs' configuration, keycache.Config.
type AdminConfig struct {
	// Logger receives a record of every change. Default: none.
	Logger *slog.Logger

	// By is who makes the change, for the record in the keyring and in the log:
	// a name, a ticket. Default: "".
	By string

	// MaxAge and MaxStale are the largest that any running process is configured
	// with in keycache.Config. Their sum is how long a process may go on without having
	// read the keyring: a second search key is searched for that long before it
	// seals. Default 10 minutes and 1 hour; a negative MaxStale means none.
	MaxAge, MaxStale time.Duration

	// KMSTimeout bounds one call to KMS. A call may be tried three times.
	// Default 5 seconds.
	KMSTimeout time.Duration

	// ObserveKMS follows the requests to KMS, for traces and times. Default: none.
	ObserveKMS kms.Observer
}

// What MaxAge and MaxStale are if nothing is said, here and in keycache.Config.
const (
	DefaultMaxAge   = 10 * time.Minute
	DefaultMaxStale = time.Hour
)

// NewAdmin returns an Admin of the keys in a keyring, a [Store], which w makes and
// wraps. It asks neither before it must.
func NewAdmin(keyring Ledger, w kms.Wrapper, cfg AdminConfig) *Admin {
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.MaxStale == 0 {
		cfg.MaxStale = DefaultMaxStale
	}
	cfg.MaxStale = max(cfg.MaxStale, 0)
	log := audit.New(cfg.Logger)
	return &Admin{keyring: keyring, cfg: cfg, log: log,
		gate: gate.New(w, gate.Config{Timeout: cfg.KMSTimeout, Observe: cfg.ObserveKMS, Log: log})}
}

// propagationMargin covers statements that were made with the keys of just before, and
// are still on their way.
const propagationMargin = time.Minute

// propagation returns how long it takes until every process has read a change of the keyring,
// or has stopped for want of it.
func (a *Admin) propagation() time.Duration { return a.cfg.MaxAge + a.cfg.MaxStale + propagationMargin }

// Keys returns the keys that the filter picks, by scope, purpose and epoch.
func (a *Admin) Keys(ctx context.Context, f Filter) ([]Key, error) {
	keys, err := a.keyring.Rings(ctx, f)
	if err != nil {
		return nil, Classify("list", Key{Purpose: f.Purpose}, err)
	}
	// Ring by ring, which are in the order of their epochs.
	for rest := keys; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Purpose == rest[0].Purpose && rest[n].Scope == rest[0].Scope {
			n++
		}
		a.live(rest[:n])
		rest = rest[n:]
	}
	return slices.DeleteFunc(keys, func(k Key) bool { return !f.picks(k) }), nil
}

// live works out, of all keys of one ring in the order of their epochs, where they stand
// in their lives: by the facts of their rows and by when a newer key took over.
func (a *Admin) live(ring []Key) {
	// Of the newer keys: when the first began to seal, or will. For data keys the next
	// epoch took over, whatever became of it; for search keys the next that is live.
	var (
		relieved   time.Time
		isRelieved bool
	)
	for i := len(ring) - 1; i >= 0; i-- {
		k := &ring[i]
		if !k.Purpose.bySuccession() {
			relieved, isRelieved = k.CreatedAt.Add(WriterAge), k.Purpose == PurposeWriter && k.Age >= WriterAge
		}
		if isRelieved && k.RetiredAt.IsZero() && !k.Recovered {
			k.RetiredAt = relieved
		}
		switch {
		case k.Destroyed:
			k.State = StateDestroyed
		case (k.Invalid != nil || k.Stray != nil) && !k.Revoked:
			k.State = StateInvalid
		case k.Revoked:
			k.State = StateRevoked
		case k.Recovered:
			k.State = StateRecovered
		case k.Retired:
			k.State = StateRetired
		case k.Purpose == PurposeSearch && k.SealsFor < 0:
			k.State = StateNext
		case isRelieved && k.Purpose == PurposeSearch:
			k.State = StateSearched
		case isRelieved:
			k.State = StateRetired
		default:
			k.State = StateActive
		}
		if k.Purpose == PurposeSearch {
			k.SettledFrom = k.SealsFrom
			if k.Epoch > 1 {
				k.SettledFrom = k.SealsFrom.Add(a.propagation())
			}
		}
		if k.Purpose.bySuccession() && k.Stray == nil && k.Invalid == nil && !k.Recovered && (k.Purpose == PurposeData || k.Live()) {
			if relieved.IsZero() || k.SealsFrom.Before(relieved) {
				relieved = k.SealsFrom
			}
			isRelieved = isRelieved || k.SealsFor >= 0
		}
	}
}

// key returns one key.
func (a *Admin) key(ctx context.Context, id uint32) (Key, error) {
	keys, err := a.Keys(ctx, Filter{IDs: []uint32{id}})
	if err != nil {
		return Key{}, err
	}
	if len(keys) == 0 {
		return Key{}, &Error{Op: "find", KeyID: id, Class: ErrKeyNotFound, Hint: "list the keys for their ids"}
	}
	return keys[0], nil
}

// record emits the event of a change. Words that nobody gave are left out.
func (a *Admin) record(ctx context.Context, e audit.Event, k Key, why string, more ...slog.Attr) {
	a.log.Emit(ctx, e, a.said(why, append(k.LogValue().Group(), more...)...)...)
}

// said adds who makes a change, and why, as far as that was said.
func (a *Admin) said(why string, attrs ...slog.Attr) []slog.Attr {
	for _, said := range []slog.Attr{slog.String(audit.By, a.cfg.By), slog.String(audit.Why, why)} {
		if said.Value.String() != "" {
			attrs = append(attrs, said)
		}
	}
	return attrs
}

// refused returns an error about a key that must not be changed in the way it was asked for.
func refused(op string, rec Key, class error, hint string, args ...any) error {
	return &Error{Op: op, Purpose: rec.Purpose, KeyID: rec.ID, Scope: rec.Scope, Class: class, Hint: fmt.Sprintf(hint, args...)}
}

// Rotate makes the next key of a purpose and scope, or the first one.
//
// A data key is stored before Rotate returns, and seals in every process that has
// read the keyring since; that takes MaxAge at the longest. The one before it stops
// sealing there and then, and stays able to open.
//
// A search key becomes the second that is live: every process that has read the
// keyring since searches for both, and none seals under the new one before all of
// them had the time to, at [Key.SealsFrom]. There are two at most: while a second
// one has not begun to seal Rotate returns that one, and later [ErrKeyInUse] until
// the older one is retired.
//
// A scope that was destroyed stays so: [ErrKeyDestroyed].
func (a *Admin) Rotate(ctx context.Context, purpose Purpose, scope string) (Key, error) {
	if purpose != PurposeData && purpose != PurposeSearch {
		return Key{}, hint.With(fmt.Errorf("keyring: rotate: unknown purpose %q", purpose), fmt.Sprintf("use %q or %q", PurposeData, PurposeSearch))
	}
	if err := CheckScope(scope); err != nil {
		return Key{}, err
	}
	about := Key{Purpose: purpose, Scope: scope}
	for range rotateTries {
		ring, err := a.keyring.Ring(ctx, purpose, scope)
		if err != nil {
			return Key{}, Classify("rotate", about, err)
		}
		next, err := a.follow(ring, about)
		if err != nil {
			return Key{}, err
		}
		if next.ID != 0 { // made before, and not yet begun to seal
			return a.key(ctx, next.ID)
		}
		made, err := a.make(ctx, next, "rotate", "")
		if err != nil {
			return Key{}, Classify("rotate", about, err)
		}
		if made.ID != 0 {
			return a.key(ctx, made.ID)
		}
		// Another process made that epoch, or has that id.
	}
	return Key{}, Classify("rotate", about, errNoFreeID)
}

// rotateTries bounds how often an operator may lose the next epoch to another. Each loss is the
// success of another.
const rotateTries = 4 * IDTries

// follow returns the key to make after those of a ring; with an id, if it was made already.
func (a *Admin) follow(ring Ring, about Key) (Key, error) {
	if k, destroyed := ring.Tombstone(); destroyed {
		return Key{}, ScopeDestroyed(k)
	}
	next := about
	next.Keyring, next.Epoch = ring.Keyring, ring.Next
	if about.Purpose == PurposeData {
		return next, nil
	}
	// An invalid key counts: cells may be under it.
	live := liveKeys(ring.Keys)
	switch {
	case len(live) > 1 && live[0].SealsFor < 0:
		return live[0], nil
	case len(live) > 1:
		return Key{}, refused("rotate", live[0], ErrKeyInUse,
			"a change of search keys is under way: re-seal the rows, and retire key %08x", live[1].ID)
	case len(live) == 1:
		next.SealsFor = -a.propagation()
	}
	return next, nil
}

// make makes and stores a key, and returns it. It returns the zero Key if the epoch or id was
// taken. kem is for an inbox.
func (a *Admin) make(ctx context.Context, rec Key, why string, kem KEM) (Key, error) {
	rec.ID, rec.ChangedBy, rec.ChangedWhy = NewID(), a.cfg.By, why
	if rec.Keyring == "" {
		var err error
		if rec.Keyring, err = a.keyring.Identify(ctx, ""); err != nil {
			return Key{}, err
		}
	}
	dk, err := a.gate.Generate(ctx, rec.Call())
	if err == nil && rec.Purpose == PurposeInbox {
		rec.Public, err = publicOf(kem, dk.Plaintext)
	}
	dk.Wipe()
	if err != nil {
		return Key{}, err
	}
	rec.Wrapped = dk.Wrapped
	// When a search key begins to seal counts from here, and others see it once this is
	// committed: that must not be so late that they have not the time to.
	ctx, cancel := context.WithTimeout(ctx, propagationMargin/2)
	defer cancel()
	won, err := a.keyring.Insert(ctx, rec)
	if err != nil || !won {
		return Key{}, err
	}
	a.record(ctx, audit.KeyMade(rec.Epoch), rec, why)
	return rec, nil
}
