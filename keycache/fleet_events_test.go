package keycache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/colseal/colseal/keyring"
)

// misfortunes: KMS and the keyring fail in every way, for up to two hours; the
// keyring's clock is set.
func (f *world) misfortunes(rnd *rand.Rand) {
	sleep := func(most time.Duration) { time.Sleep(time.Duration(rnd.Int64N(int64(most)))) }
	d := f.truth
	for time.Now().Before(f.end) {
		sleep(36 * time.Hour)
		if rnd.IntN(2) == 0 {
			time.Sleep(time.Until(rushHour(time.Now())))
		}
		d.mu.Lock()
		d.clock = time.Duration((2*rnd.Float64() - 1) * float64(clockStep))
		d.mu.Unlock()
		kind := kmsUnavailable + kmsFault(rnd.IntN(int(kmsDisabled)+1))
		f.count.outages[kind].Add(1)
		if kind <= kmsDisabled {
			heal := f.strike(rnd, kind)
			if sleep(2 * time.Hour); kind == kmsRefusesNew {
				sleep(48 * time.Hour) // longer than the lead by which the next key is made
			}
			heal()
			continue
		}
		d.setAway(true)
		sleep(2 * time.Hour)
		d.setAway(false)
	}
}

// strike has KMS fail: of two services mostly one alone. heal ends it.
func (f *world) strike(rnd *rand.Rand, kind kmsFault) (heal func()) {
	if len(f.kmss) > 1 && rnd.IntN(4) > 0 {
		f.count.partly.Add(1)
		one := f.kmss[rnd.IntN(len(f.kmss))]
		one.set(kind)
		f.kms.setPartly(true)
		return func() {
			one.set(kmsWell)
			f.kms.setPartly(false)
		}
	}
	all := append(slices.Clone(f.kmss), f.kms)
	for _, k := range all {
		k.set(kind)
	}
	return func() {
		for _, k := range all {
			k.set(kmsWell)
		}
	}
}

func (d *truth) setAway(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away.set(on)
}

// operator revokes and rotates data keys, destroys tenants, changes search keys and
// the KEK. It is a real [Admin]; what an outage spoils, it does again.
func (f *world) operator(rnd *rand.Rand) {
	tenants := 3
	a := keyring.NewAdmin(office{f}, f.office(), keyring.AdminConfig{By: "operator"})
	for time.Now().Before(f.end) {
		time.Sleep(time.Duration(rnd.Int64N(int64(36 * time.Hour))))
		if rnd.IntN(2) == 0 {
			time.Sleep(time.Until(rushHour(time.Now())) + 20*time.Minute)
		}
		scopes := *f.scopes.Load()
		scope := scopes[rnd.IntN(len(scopes))]
		if f.destroyed(scope) {
			continue
		}
		switch rnd.IntN(6) {
		case 0, 1:
			f.insist(func() error { return f.revoke(a, scope) })
		case 2:
			f.insist(func() error { _, err := a.Rotate(f.t.Context(), keyring.PurposeData, scope); return err })
		case 3:
			if rnd.IntN(2) == 0 {
				scope = "" // where most processes are
			}
			f.changeSearchKey(a, scope)
		case 4:
			f.kmss[rnd.IntN(len(f.kmss))].setKEK(rnd.IntN(1000))
			f.insist(func() error { _, err := a.Rewrap(f.t.Context(), keyring.RewrapOptions{}); return err })
			f.count.rewraps.Add(1)
		case 5:
			if scope == "" {
				continue
			}
			unused := false // the newest tenant may have no key yet: then there is nothing to destroy
			f.insist(func() error {
				_, err := a.Destroy(f.t.Context(), scope, "simulated")
				if unused = errors.Is(err, keyring.ErrKeyNotFound); unused {
					return nil
				}
				return err
			})
			if unused {
				continue
			}
			f.count.destroyed.Add(1)
			// It goes on being asked for, until the next one is destroyed.
			tenants++
			live := slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s != scope && f.destroyed(s) })
			live = append(live, fmt.Sprintf("tenant:%d", tenants))
			f.scopes.Store(&live)
		}
	}
}

// insist does what an operator does until no outage spoils it.
func (f *world) insist(work func() error) {
	for {
		err := work()
		f.truth.mu.Lock()
		spoilt := f.truth.away.since(time.Now())
		f.truth.mu.Unlock()
		f.kms.mu.Lock()
		spoilt = spoilt || f.kms.away.since(time.Now()) || f.kms.denied.since(time.Now()) || f.kms.partly.since(time.Now())
		f.kms.mu.Unlock()
		if err == nil || f.loses && !spoilt { // the rows that it was about may be gone
			return
		}
		if !spoilt {
			f.wrong("operator: %v", err)
			return
		}
		time.Sleep(time.Minute)
	}
}

// revoke stops the data key that seals; its successor stands before.
func (f *world) revoke(a *keyring.Admin, scope string) error {
	keys, err := a.Keys(f.t.Context(), keyring.Filter{Purpose: keyring.PurposeData, Scope: &scope})
	if err != nil || len(keys) == 0 {
		return err
	}
	if _, err = a.Revoke(f.t.Context(), keys[len(keys)-1].ID, "simulated"); err == nil {
		f.count.revoked.Add(1)
	}
	return err
}

// changeSearchKey makes a second search key live, waits until everyone seals with
// it, and retires the first, as if its rows had been sealed again.
func (f *world) changeSearchKey(a *keyring.Admin, scope string) {
	var next keyring.Key
	var keys []keyring.Key
	f.insist(func() (err error) {
		if next, err = a.Rotate(f.t.Context(), keyring.PurposeSearch, scope); err == nil {
			keys, err = a.Keys(f.t.Context(), keyring.Filter{Purpose: keyring.PurposeSearch, Scope: &scope})
		}
		return err
	})
	if len(keys) < 2 {
		return // the first of all
	}
	time.Sleep(next.SettledFrom.Sub(next.CreatedAt) + 2*clockStep)
	for _, old := range keys {
		if old.Searched() && old.ID != next.ID {
			f.insist(func() error { _, err := a.Retire(f.t.Context(), old.ID, "simulated"); return err })
			f.count.searchChanges.Add(1)
		}
	}
}

// checkNeed checks that a key is made when it is needed, and once: its
// predecessor is old, half spent, or retired. The caller holds the truth's lock.
func (f *world) checkNeed(d *truth, rec keyring.Key) {
	r := d.newest(ringID{rec.Purpose, rec.Scope})
	if r == nil || r.Epoch >= rec.Epoch { // the first, or it will lose
		return
	}
	lead := f.cfg.RotateEvery / 20 // up to twice that
	skew := 2*clockStep + slowest(f.cfg.RotateEvery) - f.cfg.RotateEvery
	switch age := d.now().Sub(r.CreatedAt); {
	case rec.Epoch != r.Epoch+1:
		f.wrong("epoch %d follows %d", rec.Epoch, r.Epoch)
	case r.Destroyed:
		f.wrong("scope %q was destroyed and comes back", rec.Scope)
	case r.Retired || r.Revoked || d.disturbed(ringID{rec.Purpose, rec.Scope}):
	case rec.Purpose == keyring.PurposeSearch:
		f.wrong("search key of epoch %d was made by itself", rec.Epoch)
	case age < f.cfg.RotateEvery-2*lead-skew && r.mostReserved < f.cfg.MaxSeals/2:
		f.wrong("key of epoch %d made at age %v of the one before, with %d seals reserved", rec.Epoch, age, r.mostReserved)
	}
}
