package keyring

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/colseal/colseal/internal/audit"
)

// CompactOptions are how to compact a keyring.
type CompactOptions struct {
	// InUse returns the ids of the keys that have cells in any table. It is called when it is known
	// which keys may go: no cell is sealed under one of them afterwards.
	InUse func(ctx context.Context) (map[uint32]bool, error)
	// OlderThan is the least age of a key that is deleted. Cells in a transaction that is still
	// open are not counted, so no transaction may be as old. The default, and the least, is the age
	// of a writer's key plus MaxAge and MaxStale.
	OlderThan time.Duration
	// Confirm, if set, is told how many keys are to go. Its error ends it.
	Confirm func(keys int) error
	// DryRun deletes nothing.
	DryRun bool
}

// A CompactReport says what became of the writers' keys.
type CompactReport struct {
	Keys    int // writers' keys that there were
	Young   int // that may still seal, or have done so lately
	InUse   int // that cells are under
	Deleted int // that are gone; in a dry run: would be
}

// Compact deletes the rows of writers' keys that stopped sealing and have no cells. Each write-only
// program leaves one an hour, whose cells are later deleted, or re-sealed under data keys. Compact
// deletes keys of no other purpose.
func (a *Admin) Compact(ctx context.Context, opts CompactOptions) (CompactReport, error) {
	var report CompactReport
	age := max(opts.OlderThan, WriterAge+a.propagation())
	keys, err := a.Keys(ctx, Filter{Purpose: PurposeWriter})
	if err != nil {
		return report, err
	}
	report.Keys = len(keys)
	old := slices.DeleteFunc(keys, func(k Key) bool { return k.Age < age })
	report.Young = report.Keys - len(old)
	used, err := opts.InUse(ctx)
	if err != nil {
		return report, fmt.Errorf("keyring: compact: %w", err)
	}
	gone := slices.DeleteFunc(old, func(k Key) bool { return used[k.ID] })
	report.InUse = report.Keys - report.Young - len(gone)
	switch {
	case opts.DryRun || len(gone) == 0:
		report.Deleted = len(gone)
		return report, nil
	case opts.Confirm != nil:
		if err := opts.Confirm(len(gone)); err != nil {
			return report, err
		}
	}
	for chunk := range slices.Chunk(gone, idsPerQuery) {
		ids := make([]uint32, len(chunk))
		for i, k := range chunk {
			ids[i] = k.ID
		}
		n, err := a.keyring.DeleteWriters(ctx, ids, age)
		if err != nil {
			return report, Classify("compact", Key{Purpose: PurposeWriter}, err)
		}
		report.Deleted += n
		for _, k := range chunk {
			a.record(ctx, audit.KeyDeleted, k, "no cell is under it")
		}
	}
	return report, nil
}

// DeleteWriters deletes the rows of writers' keys with the given ids that are older than age, and
// returns how many.
func (s *Store) DeleteWriters(ctx context.Context, ids []uint32, age time.Duration) (int, error) {
	among, args := amongIDs(ids)
	n, err := s.update(ctx, "delete from", "DELETE FROM "+s.table+" WHERE purpose = 'writer' AND "+among+" AND "+passed(s.dialect, "created_at", age), args...)
	return int(n), err
}
