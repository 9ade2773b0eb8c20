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
	// InUse returns the ids of the keys that any cell is under: in every table that may hold cells. It is called once
	// it is known which keys may go, so that no cell comes under one of them afterwards.
	InUse func(ctx context.Context) (map[uint32]bool, error)
	// OlderThan is how old a key must be. No transaction that holds cells and is not committed, and so not counted,
	// may be as old. Default, and least, is what writers have plus MaxAge and MaxStale.
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

// Compact deletes the rows of writers' keys that stopped sealing and that no cell is under. Write-only programs leave one an hour each,
// and their cells are deleted, or re-sealed under data keys. Keys of no other purpose are deleted.
func (a *Admin) Compact(ctx context.Context, opts CompactOptions) (CompactReport, error) {
	var report CompactReport
	age := max(opts.OlderThan, WriterAge+a.settle())
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

// DeleteWriters deletes the rows of writers' keys of the given ids that are of an age, and returns how many it did.
func (s *Store) DeleteWriters(ctx context.Context, ids []uint32, age time.Duration) (int, error) {
	among, args := amongIDs(ids)
	n, err := s.update(ctx, "delete from", "DELETE FROM "+s.table+" WHERE purpose = 'writer' AND "+among+" AND "+passed(s.dialect, "created_at", age), args...)
	return int(n), err
}
