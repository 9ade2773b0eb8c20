package keycache

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFleetWithLostRows: rows of the keyring vanish while the fleet lives: all of them, as by TRUNCATE, or those of the last hours, as
// by a restore to an earlier time or a standby without the last commits. Every cell opens in the end, but for those of keys whose
// holders were all killed, or ended out of the keyring's reach, before they could store them again: of those nobody has the wrapped
// form. Tombstones stay, so that what was destroyed is never opened.
func TestFleetWithLostRows(t *testing.T) {
	processes := 40
	if testing.Short() || raceDetector {
		processes = 8
	}
	fleetFor(t, fleetSize{processes: processes, days: min(*fleetDays, 45), services: 1, loses: true})
}

// losses is what became of the rows that vanished.
type losses struct {
	missing map[uint32]*lostKey // those that are not stored again
	last    map[ringID]time.Time
	keys    map[uint32]bool // all that were ever lost
	again   int             // stored again
	orphans int             // sealed, and gone with all that had them
}

// lostKey is a key whose row is gone, and the processes that may still store it again.
type lostKey struct {
	row     *truthRow
	holders map[*life]bool
}

// lose has the rows vanish that were stored after since.
func (f *world) lose(since time.Time) {
	d := f.truth
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, rows := range d.rings {
		kept := rows[:0]
		for _, r := range rows {
			if r.Destroyed || !r.stored.After(since) {
				kept = append(kept, r)
				continue
			}
			gone := &lostKey{row: r, holders: map[*life]bool{}}
			f.living.Range(func(l, _ any) bool {
				if l := l.(*life); l.cache.custody.held.Contains(r.ID) && !l.dead.Load() {
					gone.holders[l] = true
				}
				return true
			})
			delete(d.byID, r.ID)
			d.lost.missing[r.ID], d.lost.keys[r.ID], d.lost.last[id] = gone, true, time.Now()
			f.count.rowsLost.Add(1)
		}
		d.rings[id] = slices.Clone(kept)
	}
}

// misplace loses rows now and then, also while the keyring is away, as in a failover.
func (f *world) misplace(rnd *rand.Rand) {
	for {
		time.Sleep(time.Duration(rnd.Int64N(int64(4 * 24 * time.Hour))))
		if !time.Now().Before(f.end) {
			return
		}
		if rnd.IntN(2) == 0 {
			time.Sleep(time.Until(rushHour(time.Now())) + time.Duration(rnd.Int64N(int64(2*time.Hour))))
		}
		since := time.Time{}
		if rnd.IntN(3) > 0 {
			since = time.Now().Add(-time.Duration(rnd.Int64N(int64(12 * time.Hour))))
		}
		f.lose(since)
	}
}

// row is that of a key, or what it was before it was lost. The caller holds the truth's lock, as for disturbed.
func (d *truth) row(id uint32) *truthRow {
	if r := d.byID[id]; r != nil {
		return r
	}
	if gone := d.lost.missing[id]; gone != nil {
		return gone.row
	}
	return nil
}

// disturbed reports whether processes may still come to terms with lost rows of a ring: some are missing, or were until lately. An idle
// process finds out when it works again.
func (d *truth) disturbed(id ringID) bool {
	if last, ok := d.lost.last[id]; ok && time.Since(last) < 7*24*time.Hour {
		return true
	}
	for _, gone := range d.lost.missing {
		if gone.row.Purpose == id.purpose && gone.row.Scope == id.scope {
			return true
		}
	}
	return false
}

// ended notes that a process is no more, and checks that it left no key behind that it could have stored.
func (f *world) ended(l *life) {
	away, _ := l.troubled(time.Now(), false)
	d := f.truth
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, gone := range d.lost.missing {
		if gone.holders[l] && !l.dead.Load() && !away && !f.destroyed(gone.row.Scope) {
			f.wrong("a process ended in peace, and did not store key %08x again, which it held when the row was lost", id)
		}
		delete(gone.holders, l)
	}
}
