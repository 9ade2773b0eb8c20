package keycache

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/colseal/colseal/kms"
)

var _ ledger = (*fakeKeyring)(nil)

// The ledger of the fake keyring, so that operators and running processes meet on
// the clock of a test. TestAdmin* holds the one on a database to the same.

func (f *fakeKeyring) list(_ context.Context, filter Filter) ([]Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("list"); err != nil {
		return nil, err
	}
	var keys []Key
	for _, r := range f.recs {
		if filter.Purpose != "" && filter.Purpose != r.Purpose || filter.Scope != nil && *filter.Scope != r.Scope ||
			filter.IDs != nil && !slices.Contains(filter.IDs, r.ID) {
			continue
		}
		k := Key{Record: r.read(), KEK: r.Wrapped.KeyID, CreatedAt: r.created, SealsFrom: r.sealsFrom}
		if r.Retired {
			k.RetiredAt = r.retired
		}
		var relieved time.Time
		for _, o := range f.others(r) {
			if o.Epoch > r.Epoch && (o.Purpose == PurposeData || !o.Retired && !o.Destroyed) &&
				(relieved.IsZero() || o.sealsFrom.Before(relieved)) {
				relieved = o.sealsFrom
			}
		}
		k.lives(relieved, !relieved.IsZero() && !time.Now().Before(relieved))
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Epoch, b.Epoch))
	})
	return keys, nil
}

// others are the other keys of r's ring. The caller holds mu.
func (f *fakeKeyring) others(r *fakeRecord) (others []*fakeRecord) {
	for _, o := range f.recs {
		if o != r && o.sameRing(r.Record) {
			others = append(others, o)
		}
	}
	return others
}

func (f *fakeKeyring) end(_ context.Context, id uint32, how ending) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("end"); err != nil {
		return false, err
	}
	r, now := f.recs[id], time.Now()
	if r == nil || r.Destroyed || how.kind != retireKey && r.Revoked || how.kind >= revokeNext && r.Retired {
		return false, nil
	}
	if !slices.ContainsFunc(f.others(r), func(o *fakeRecord) bool {
		switch {
		case o.Retired || o.Destroyed:
			return false
		case how.kind == revokeNext:
			return o.Epoch < r.Epoch && !o.Revoked && now.Before(r.sealsFrom.Add(-settleMargin))
		case how.kind == retireKey:
			return o.Epoch > r.Epoch && now.Sub(o.sealsFrom) >= how.settled
		}
		return o.Epoch > r.Epoch
	}) {
		return false, nil
	}
	r.Revoked = how.kind != retireKey
	if how.kind != revokeSearch && !r.Retired {
		r.Retired, r.retired = true, now
	}
	return true, nil
}

func (f *fakeKeyring) destroy(_ context.Context, scope, _, _ string) (wiped []uint32, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("destroy"); err != nil {
		return nil, err
	}
	newest := map[Purpose]*fakeRecord{}
	for id, r := range f.recs {
		if r.Scope != scope {
			continue
		}
		if n := newest[r.Purpose]; n == nil || n.Epoch < r.Epoch {
			newest[r.Purpose] = r
		}
		if !r.Destroyed {
			r.Destroyed, r.Wrapped.Blob = true, nil
			wiped = append(wiped, id)
		}
	}
	for _, p := range []Purpose{PurposeData, PurposeSearch} {
		tomb := &fakeRecord{Record: Record{ID: newKeyID(), Purpose: p, Scope: scope, Epoch: 1, Destroyed: true}}
		if n := newest[p]; n != nil {
			tomb.Epoch = n.Epoch + 1
		}
		f.recs[tomb.ID] = tomb
	}
	return wiped, nil
}

func (f *fakeKeyring) swap(_ context.Context, id uint32, old []byte, next kms.Wrapped) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("swap"); err != nil {
		return false, err
	}
	r := f.recs[id]
	if r == nil || r.Destroyed || !bytes.Equal(r.Wrapped.Blob, old) {
		return false, nil
	}
	r.Wrapped = next
	return true, nil
}

// deafKMS does not heed its context.
type deafKMS struct {
	*fakeKMS
	wake chan struct{}
}

func (d *deafKMS) GenerateDataKey(_ context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	<-d.wake
	return d.fakeKMS.GenerateDataKey(context.Background(), ec)
}
