package keycache

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"
)

// createTries bounds the tries at an id that is free: a second is needed once in
// millions of keys.
const createTries = 4

var errNoFreeID = errors.New("keycache: no free key id was found")

// create makes the data key of an epoch, wraps it and stores it, and only then
// puts it into the cache. It returns nil when another process won the epoch:
// what was made here is wiped, and no cell ever saw it. It runs in a flight.
//
// A process that dies anywhere in here leaves either no row, and then no cell,
// or a row that the others find and use.
func (c *Cache) create(ctx context.Context, id ringID, epoch int64, reserve uint64) (*entry, error) {
	for range createTries {
		asked := time.Now()
		rec := Record{ID: newKeyID(), Purpose: id.purpose, Scope: id.scope, Epoch: epoch, SealsReserved: reserve}
		dk, err := c.gate.generate(ctx, c.keyring.Name(), rec)
		if err != nil {
			return nil, err
		}
		rec.Wrapped = dk.Wrapped
		won, err := c.keyring.Insert(ctx, rec)
		if err == nil && won {
			c.count.created.Add(1)
			if epoch > 1 {
				c.count.rotations.Add(1)
			}
			emitKey(ctx, c.log, made(rec), rec)
			return c.install(rec, dk.Plaintext, asked)
		}
		dk.Wipe()
		if err != nil {
			// It may have been stored all the same; the next look will show.
			return nil, err
		}
		recs, err := c.keyring.Ring(ctx, id.purpose, id.scope)
		if err != nil {
			return nil, err
		}
		if len(recs) > 0 && recs[0].Epoch >= epoch {
			return nil, nil
		}
		// The id was taken, not the epoch.
	}
	return nil, errNoFreeID
}

// newKeyID returns a random id. 0 is not one: it stands for "no key".
func newKeyID() uint32 {
	var b [4]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if id := binary.BigEndian.Uint32(b[:]); id != 0 {
			return id
		}
	}
}
