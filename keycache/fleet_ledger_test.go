package keycache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// office is the keyring as operators reach it: no clock and no network of
// their own, but the same outages.
type office struct{ f *world }

var _ keyring.Ledger = office{}

func (o office) query(work func(*truth)) error {
	d := o.f.truth
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away.on {
		return errRefusedConn
	}
	work(d)
	return nil
}

func (o office) Identify(context.Context, string) (string, error) { return keytest.ID, nil }

func (o office) Ring(_ context.Context, purpose keyring.Purpose, scope string) (keyring.Ring, error) {
	var recs []keyring.Key
	err := o.query(func(d *truth) {
		for _, r := range slices.Backward(d.rings[ringID{purpose, scope}]) {
			recs = append(recs, d.read(r))
		}
	})
	return keytest.RingOf(recs), err
}

func (o office) Keys(_ context.Context, ids []uint32) (recs []keyring.Key, err error) {
	err = o.query(func(d *truth) {
		for _, id := range ids {
			if r := d.byID[id]; r != nil {
				recs = append(recs, d.read(r))
			}
		}
	})
	return recs, err
}

func (o office) Insert(_ context.Context, rec keyring.Key) (won bool, err error) {
	err = o.query(func(d *truth) { won = d.insert(rec) })
	return won, err
}

func (o office) Reserve(_ context.Context, id uint32, n, limit uint64) (sum uint64, ok bool, err error) {
	err = o.query(func(d *truth) { sum, ok = d.reserve(id, n, limit) })
	return sum, ok, err
}

func (o office) Release(_ context.Context, id uint32, n uint64) error {
	return o.query(func(d *truth) {
		if r := d.byID[id]; r != nil {
			r.SealsReserved -= n
		}
	})
}

func (o office) Rings(_ context.Context, f keyring.Filter) (keys []keyring.Key, err error) {
	err = o.query(func(d *truth) {
		for id, rows := range d.rings {
			if f.Purpose != "" && id.purpose != f.Purpose || f.Scope != nil && id.scope != *f.Scope ||
				f.IDs != nil && !slices.ContainsFunc(rows, func(r *truthRow) bool { return slices.Contains(f.IDs, r.ID) }) {
				continue
			}
			for _, r := range rows {
				keys = append(keys, d.read(r))
			}
		}
	})
	slices.SortFunc(keys, func(a, b keyring.Key) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Epoch, b.Epoch))
	})
	return keys, err
}

func (o office) End(_ context.Context, id uint32, how keyring.Ending) (ok bool, err error) {
	err = o.query(func(d *truth) {
		r := d.byID[id]
		if r == nil {
			return
		}
		goesOn := slices.ContainsFunc(d.rings[ringID{r.Purpose, r.Scope}], func(n *truthRow) bool {
			switch {
			case n.Retired || n.Destroyed:
				return false
			case how.Kind == keyring.EndRevokeNext:
				return n.Epoch < r.Epoch && !n.Revoked
			case how.Kind == keyring.EndRetire:
				return n.Epoch > r.Epoch && d.read(n).SealsFor >= how.Settled
			}
			return n.Epoch > r.Epoch
		})
		if ok = goesOn && !r.Destroyed && !r.Revoked && !r.Retired; !ok {
			return
		}
		r.Revoked = how.Kind != keyring.EndRetire
		if how.Kind != keyring.EndRevokeSearch {
			r.Retired, r.RetiredAt = true, time.Now()
		}
	})
	return ok, err
}

func (o office) Destroy(_ context.Context, scope, _, _ string) (wiped []uint32, err error) {
	err = o.query(func(d *truth) {
		o.f.gone.Store(scope, true)
		wiped = d.destroy(scope)
	})
	return wiped, err
}

func (o office) Adopt(context.Context, keyring.Adoption) (bool, error) {
	return false, errors.New("not used here")
}

func (o office) Swap(_ context.Context, id uint32, old []byte, next kms.Wrapped) (ok bool, err error) {
	err = o.query(func(d *truth) {
		r := d.byID[id]
		if ok = r != nil && !r.Destroyed && bytes.Equal(r.Wrapped.Blob, old); ok {
			r.Wrapped = next
		}
	})
	return ok, err
}

func (o office) DeleteWriters(_ context.Context, ids []uint32, age time.Duration) (n int, err error) {
	err = o.query(func(d *truth) {
		for _, id := range ids {
			if r := d.byID[id]; r != nil && r.Purpose == keyring.PurposeWriter && time.Since(r.CreatedAt) >= age {
				delete(d.byID, id)
				n++
			}
		}
	})
	return n, err
}
