package keycache

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Prefetch brings the data keys of the given ids into memory together: one query
// of the keyring for those that are missing, and their unwrapping side by side.
// Ids may repeat; 0 is passed over. It brings no more than the cache can hold.
//
// The error is one of those that [Cache.Opener] would give for these ids; the
// other keys are there all the same.
func (c *Cache) Prefetch(ctx context.Context, keyIDs []uint32) error {
	missing := c.missing(keyIDs)
	if len(missing) == 0 {
		return nil
	}
	read := c.batch(missing)
	var group errgroup.Group
	group.SetLimit(4 * c.cfg.KMSParallel)
	for _, id := range missing {
		group.Go(func() error {
			c.count.misses.Add(1)
			_, err := share(ctx, c.flights, flightName(id), func(ctx context.Context) (*entry, error) {
				if e := c.entries.Get(id); e != nil && e.state() == leaseFresh {
					return e, nil
				}
				return c.fetch(ctx, id, read)
			})
			if err != nil {
				return c.explain("get", Record{ID: id}, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// missing returns the distinct ids that are not in memory, or must be renewed.
func (c *Cache) missing(ids []uint32) []uint32 {
	var missing []uint32
	seen := make(map[uint32]bool, min(len(ids), c.cfg.MaxEntries))
	for _, id := range ids {
		if id == 0 || seen[id] {
			continue
		}
		if len(seen) == c.cfg.MaxEntries {
			break
		}
		seen[id] = true
		if e := c.entries.Get(id); e == nil || e.state() < leaseStale {
			missing = append(missing, id)
		}
	}
	return missing
}

// batch returns a reader of records that reads them all when it is first asked
// for one. Those of keys that someone else is fetching are read for nothing.
func (c *Cache) batch(ids []uint32) func(context.Context, uint32) (Record, error) {
	var (
		once sync.Once
		recs map[uint32]Record
		err  error
	)
	return func(ctx context.Context, id uint32) (Record, error) {
		once.Do(func() {
			var all []Record
			all, err = c.keyring.Keys(ctx, ids)
			recs = make(map[uint32]Record, len(all))
			for _, r := range all {
				recs[r.ID] = r
			}
		})
		if err != nil {
			return Record{ID: id}, err
		}
		rec, ok := recs[id]
		if !ok {
			return Record{ID: id}, c.notFound(id)
		}
		return rec, nil
	}
}
