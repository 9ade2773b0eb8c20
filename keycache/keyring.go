package keycache

import (
	"context"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/kms"
)

// Purpose is what a data key is for. Keys of different purposes never mix.
type Purpose string

// The purposes: data keys seal randomized columns and rotate; search keys seal
// deterministic columns and change only when told to.
const (
	PurposeData   Purpose = "data"
	PurposeSearch Purpose = "search"
)

func purposeOf(s codec.Suite) Purpose {
	if s == codec.SuiteDeterministic {
		return PurposeSearch
	}
	return PurposeData
}

// A Record is one row of the keyring: a data key, wrapped, and the facts about
// it. Durations are by the keyring's clock at the moment of reading.
type Record struct {
	ID            uint32 // random, not 0, unique in the keyring
	Purpose       Purpose
	Scope         string
	Epoch         int64 // 1, 2, … within purpose and scope; the newest seals
	Wrapped       kms.Wrapped
	SealsReserved uint64        // over all processes
	Age           time.Duration // since its creation
	SealsFor      time.Duration // since when it may seal; negative: not yet
	Retired       bool          // never seals again, and is not searched for
	Revoked       bool          // an operator stopped it; it does not seal if another key can
	Destroyed     bool          // Wrapped.Blob is gone

	changedBy, changedWhy string // for Insert: who made it and why; "" for a process on its own
}

// sameRing reports whether two records are of one purpose and scope.
func (r Record) sameRing(other Record) bool {
	return r.Purpose == other.Purpose && r.Scope == other.Scope
}

// A Keyring is where wrapped data keys are kept; [Store] is the one on a
// database. Every method is one atomic step, durable when it returns, and safe
// for concurrent use from many processes.
type Keyring interface {
	// Name is the keyring's part of the KMS encryption context.
	Name() string
	// Ring returns the newest epochs of a purpose and scope, newest first, and of
	// the older ones at least every search key that is still searched for.
	Ring(ctx context.Context, purpose Purpose, scope string) ([]Record, error)
	// Keys returns the records of the given ids that exist, in any order.
	Keys(ctx context.Context, ids []uint32) ([]Record, error)
	// Insert adds a key of age 0 and reports whether it did: false when the id
	// or the (purpose, scope, epoch) is taken.
	Insert(ctx context.Context, rec Record) (bool, error)
	// Reserve adds n seals to what is reserved of a key and returns the new
	// sum; false when that would pass limit, or the key is retired or destroyed.
	Reserve(ctx context.Context, id uint32, n, limit uint64) (sum uint64, ok bool, err error)
	// Release gives back n reserved seals that will never be used.
	Release(ctx context.Context, id uint32, n uint64) error
}

// encryptionContext binds a wrapped key to its row: KMS refuses to unwrap it
// under another id, purpose, scope or keyring. AWS records it in CloudTrail, and
// key policies can test it. The empty scope is left out.
func encryptionContext(keyring string, rec Record) kms.EncryptionContext {
	ec := kms.EncryptionContext{
		"colseal:key-id":  hexID(rec.ID),
		"colseal:purpose": string(rec.Purpose),
		"colseal:keyring": keyring,
	}
	if rec.Scope != "" {
		ec["colseal:scope"] = rec.Scope
	}
	return ec
}
