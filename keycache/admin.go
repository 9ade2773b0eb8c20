package keycache

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/colseal/colseal/internal/audit"
	"github.com/colseal/colseal/kms"
)

// Admin is what an operator does to the keys of a keyring: look at them, make the
// next one, stop one, destroy a scope's, wrap them under another KEK. It keeps no
// plaintext key: what KMS hands out with a new key is wiped at once.
//
// Every change is one atomic step in the database, or a series of such steps that
// leaves the keyring good after each of them. So a call that failed, or whose
// process was killed, is simply made again. Any number of Admins and of running
// [Cache]s may work on one keyring. An Admin is safe for concurrent use, holds
// nothing that must be closed, and is made by [NewAdmin].
type Admin struct {
	keyring ledger
	gate    *gate
	cfg     AdminConfig
	log     *audit.Log
}

// AdminConfig says who works, and what the running processes may do meanwhile. The
// zero value means the defaults of [Config].
type AdminConfig struct {
	// Logger receives a record of every change. Default: none.
	Logger *slog.Logger

	// By is who makes the change, for the record in the keyring and in the log:
	// a name, a ticket. Default: "".
	By string

	// MaxAge and MaxStale are the largest that any running process is configured
	// with; see [Config]. Their sum is how long a process may go on without having
	// read the keyring: a second search key is searched for that long before it
	// seals. Default 10 minutes and 1 hour; a negative MaxStale means none.
	MaxAge, MaxStale time.Duration

	// KMSTimeout bounds one call to KMS. A call may be tried three times.
	// Default 5 seconds.
	KMSTimeout time.Duration

	// ObserveKMS follows the requests to KMS, for traces and times. Default: none.
	ObserveKMS KMSObserver
}

// NewAdmin returns an Admin of the keys in store, which w makes and wraps. It asks
// neither before it must.
func NewAdmin(store *Store, w kms.Wrapper, cfg AdminConfig) *Admin { return newAdmin(store, w, cfg) }

func newAdmin(keyring ledger, w kms.Wrapper, cfg AdminConfig) *Admin {
	timing := Config{MaxAge: cfg.MaxAge, MaxStale: cfg.MaxStale, KMSTimeout: cfg.KMSTimeout, ObserveKMS: cfg.ObserveKMS}.withDefaults()
	cfg.MaxAge, cfg.MaxStale = timing.MaxAge, timing.MaxStale
	log := audit.New(cfg.Logger)
	return &Admin{keyring: keyring, cfg: cfg, log: log, gate: newGate(w, timing, new(counters), log)}
}

// settleMargin covers statements that were made with the keys of just before, and
// are still on their way.
const settleMargin = time.Minute

// settle is how long it takes until every process has read a change of the keyring,
// or has stopped for want of it.
func (a *Admin) settle() time.Duration { return a.cfg.MaxAge + a.cfg.MaxStale + settleMargin }

// State is where a key stands in its life.
type State string

// The states of a key.
const (
	StateNext      State = "next"      // a search key that is searched for, and seals from Key.SealsFrom on
	StateActive    State = "active"    // seals, and opens
	StateSearched  State = "searched"  // a search key that no longer seals, and is still searched for until it is retired
	StateRetired   State = "retired"   // opens only
	StateRevoked   State = "revoked"   // opens only, for a cause; a search key is still searched for until it is retired
	StateDestroyed State = "destroyed" // does nothing any more
)

// A Key is one key of the keyring and where it stands in its life, by the
// database's clock at the moment of reading.
type Key struct {
	Record
	State     State
	KEK       string    // id of the key encryption key; "" once destroyed, if it never had one
	CreatedAt time.Time // as all times here by the database's clock, in UTC
	SealsFrom time.Time // when it begins to seal; for a data key CreatedAt
	// SettledFrom is, of a search key, when no process seals under an older one
	// any more: rows are re-sealed after that, and then the older one is retired.
	SettledFrom time.Time
	// RetiredAt is when it stopped sealing: retired, revoked, or followed by the
	// next. Zero: it seals, or will.
	RetiredAt   time.Time
	RevokedAt   time.Time // zero: it was not
	DestroyedAt time.Time // zero: it was not
	ChangedBy   string    // who last made, revoked, retired or destroyed it; "" for a process on its own
	ChangedWhy  string    // and why
}

// Searched reports whether an equality search looks for the cells of the key.
func (k Key) Searched() bool { return k.Purpose == PurposeSearch && !k.Retired && !k.Destroyed }

// A Filter picks keys. The zero Filter picks all of them.
type Filter struct {
	Purpose Purpose  // "" for both
	Scope   *string  // nil for all
	IDs     []uint32 // nil for all
}

// Keys returns the keys that the filter picks, by scope, purpose and epoch.
func (a *Admin) Keys(ctx context.Context, f Filter) ([]Key, error) {
	keys, err := a.keyring.list(ctx, f)
	if err != nil {
		return nil, classify("list", Record{Purpose: f.Purpose}, err)
	}
	for i := range keys {
		if k := &keys[i]; k.Purpose == PurposeSearch {
			k.SettledFrom = k.SealsFrom
			if k.Epoch > 1 {
				k.SettledFrom = k.SealsFrom.Add(a.settle())
			}
		}
	}
	return keys, nil
}

// key returns one key.
func (a *Admin) key(ctx context.Context, id uint32) (Key, error) {
	keys, err := a.Keys(ctx, Filter{IDs: []uint32{id}})
	if err != nil {
		return Key{}, err
	}
	if len(keys) == 0 {
		return Key{}, &Error{Op: "find", KeyID: id, Class: ErrKeyNotFound, Mend: "list the keys for their ids"}
	}
	return keys[0], nil
}

// record emits the event of a change.
func (a *Admin) record(ctx context.Context, e audit.Event, rec Record, why string, more ...slog.Attr) {
	emitKey(ctx, a.log, e, rec, append(more, slog.String(audit.By, a.cfg.By), slog.String(audit.Why, why))...)
}

// refused is an error about a key that must not be changed in the way it was asked for.
func refused(op string, rec Record, class error, mend string, args ...any) error {
	return &Error{Op: op, Purpose: rec.Purpose, KeyID: rec.ID, Scope: rec.Scope, Class: class, Mend: fmt.Sprintf(mend, args...)}
}
