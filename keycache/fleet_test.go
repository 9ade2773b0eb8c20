package keycache

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	fleetProcesses = flag.Int("fleet.processes", 0, "processes in TestFleet; 0: as many as take some seconds")
	fleetDays      = flag.Int("fleet.days", 90, "virtual days of TestFleet")
	fleetSeed      = flag.Uint64("fleet.seed", 0, "seed of TestFleet; 0: that of COLSEAL_FLEET_SEED, else a new one, which is printed")
)

// TestFleet lets a fleet of processes live for 90 virtual days on one keyring and
// one KMS. They start together, work in sessions, end, and die at any step; their
// clocks are wrong; KMS and the keyring fail in every way, and refuse; operators
// revoke keys, destroy scopes and change search keys. Everything that a process
// does is checked against the truth when it does it.
//
//	go test ./keycache -run TestFleet -v -fleet.processes=1000
func TestFleet(t *testing.T) {
	processes := 60
	if testing.Short() || raceDetector {
		processes = 12
	}
	fleetFor(t, fleetSize{processes: processes, days: *fleetDays, services: 1})
}

// TestFleetOfTwoServices: each key is wrapped by two key services, which fail and refuse one at a time, and now and then together. While
// one of them is well every cell opens, and what seals goes on; only new keys have to wait.
func TestFleetOfTwoServices(t *testing.T) {
	processes := 24
	if testing.Short() || raceDetector {
		processes = 8
	}
	fleetFor(t, fleetSize{processes: processes, days: min(*fleetDays, 45), services: 2})
}

// fleetSize is the size of a simulation, and what is special in it.
type fleetSize struct {
	processes, days, services int
	loses                     bool // rows of the keyring vanish
}

func fleetFor(t *testing.T, size fleetSize) {
	size.processes = cmp.Or(*fleetProcesses, size.processes)
	seed := *fleetSeed
	if seed == 0 {
		var err error
		if seed, err = strconv.ParseUint(cmp.Or(os.Getenv("COLSEAL_FLEET_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("go test ./keycache -run '^%s$' -fleet.processes=%d -fleet.days=%d -fleet.seed=%d", t.Name(), size.processes, size.days, seed)
	began := time.Now()
	var f *world
	defer func() { t.Logf("%s; took %v", f.report(), time.Since(began).Round(100*time.Millisecond)) }()
	synctest.Test(t, func(t *testing.T) {
		f = newWorld(t, size)
		f.run(rand.New(rand.NewPCG(seed, 0)), time.Duration(size.days)*24*time.Hour)
		f.noHerd()
	})
}

type world struct {
	t   *testing.T
	cfg Config
	fleetSize
	living sync.Map // *life
	truth  *truth
	kms    *simKMS   // as the processes see it: of two services, what both do
	kmss   []*simKMS // one, which is kms, or two
	end    time.Time

	scopes atomic.Pointer[[]string] // those in use; a destroyed one stays for a while
	gone   sync.Map                 // scopes that were destroyed

	count struct {
		lives, deaths, seals, opens, searches, refused, lost     atomic.Uint64
		wrongs, cuts, revoked, destroyed, searchChanges, rewraps atomic.Uint64
		partly                                                   atomic.Uint64 // outages of one service of two
		rowsLost                                                 atomic.Uint64
		outages                                                  [kmsDisabled + 2]atomic.Uint64
	}
}

// Sessions: a process is busy for an hour or so a day, long enough for its keys
// to be renewed many times, and idle for the rest, long enough for them to go.
const (
	sessionGap  = 14 * time.Hour // mean; half of the sessions begin in the next day's rush hour
	sessionMost = 110 * time.Minute
	opGap       = 160 * time.Second // at most; half of it in the mean
	meanLife    = 5 * 24 * time.Hour
)

// rushHour is the next time that half of the fleet comes to work, after t.
func rushHour(t time.Time) time.Time {
	return t.Truncate(24 * time.Hour).Add(34 * time.Hour)
}

func newWorld(t *testing.T, size fleetSize) *world {
	f := &world{t: t, fleetSize: size,
		cfg: Config{RotateEvery: 7 * 24 * time.Hour, MaxSeals: uint64(size.processes) << 15},
		truth: &truth{rings: map[ringID][]*truthRow{}, byID: map[uint32]*truthRow{}, used: map[uint32]uint64{},
			cells: map[uint32][]byte{}, found: map[uint32]bool{},
			lost: losses{missing: map[uint32]*lostKey{}, last: map[ringID]time.Time{}, keys: map[uint32]bool{}}},
		kms: newSimKMS("kek"),
	}
	f.kmss = []*simKMS{f.kms}
	if size.services == 2 {
		f.kmss = []*simKMS{newSimKMS("one"), newSimKMS("two")}
	}
	f.scopes.Store(&[]string{"", "tenant:1", "tenant:2", "tenant:3"})
	return f
}

// wrong reports a broken promise; the first few are printed.
func (f *world) wrong(format string, args ...any) {
	if f.count.wrongs.Add(1) <= 20 {
		f.t.Errorf("%s: %s", time.Now().Format(time.DateTime), fmt.Sprintf(format, args...))
	}
	f.t.Fail()
}

func (f *world) destroyed(scope string) bool {
	_, ok := f.gone.Load(scope)
	return ok
}

func (f *world) run(rnd *rand.Rand, days time.Duration) {
	f.end = time.Now().Add(days)
	var wg sync.WaitGroup
	for range f.processes {
		seed := rnd.Uint64()
		wg.Go(func() { f.process(rand.New(rand.NewPCG(seed, 0))) })
	}
	misfortunes, operator := rand.New(rand.NewPCG(rnd.Uint64(), 0)), rand.New(rand.NewPCG(rnd.Uint64(), 0))
	wg.Go(func() { f.misfortunes(misfortunes) })
	wg.Go(func() { f.operator(operator) })
	if f.loses {
		losses := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		wg.Go(func() { f.misplace(losses) })
	}
	wg.Wait()
	f.after()
}

// process is one life after another, as a supervisor sees to it. All begin at once.
func (f *world) process(rnd *rand.Rand) {
	for time.Now().Before(f.end) {
		f.count.lives.Add(1)
		l := f.newLife(rnd.Uint64())
		until := time.Now().Add(time.Duration(rnd.ExpFloat64() * float64(meanLife)))
		if until.After(f.end) {
			until = f.end
		}
		for time.Now().Before(until) && !l.dead.Load() {
			l.session(rnd, until)
			if gap := time.Duration(rnd.ExpFloat64() * float64(sessionGap)); rnd.IntN(2) == 0 {
				time.Sleep(gap)
			} else {
				time.Sleep(time.Until(rushHour(time.Now().Add(gap))) + time.Duration(rnd.Int64N(int64(30*time.Minute))))
			}
		}
		if !l.dead.Load() && rnd.IntN(2) == 0 {
			l.dead.Store(true) // killed: it gives nothing back
		}
		if l.dead.Load() {
			f.count.deaths.Add(1)
		}
		l.end()
	}
}

func (l *life) session(rnd *rand.Rand, until time.Time) {
	if stop := time.Now().Add(time.Duration(rnd.Int64N(int64(sessionMost)))); stop.Before(until) {
		until = stop
	}
	if rnd.IntN(20) == 0 { // this process alone loses its network
		l.f.count.cuts.Add(1)
		l.mu.Lock()
		l.cut.over = time.Now().Add(time.Duration(rnd.Int64N(int64(sessionMost))))
		l.mu.Unlock()
	}
	all := *l.f.scopes.Load()
	scopes := []string{"", all[rnd.IntN(len(all))]}
	ctx := context.Background()
	for time.Now().Before(until) && !l.dead.Load() {
		switch scope := scopes[rnd.IntN(2)]; rnd.IntN(10) {
		case 0, 1:
			l.open(ctx)
		case 2, 3, 4:
			l.search(ctx, scope)
		default:
			l.seal(ctx, scope, 1+rnd.IntN(200))
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(opGap))))
	}
}

// after checks that what was ever sealed opens, unless it was destroyed.
func (f *world) after() {
	l := f.newLife(1)
	l.steps.Store(0)
	time.Sleep(recovery + time.Minute)
	l.cut = trouble{}
	defer l.end()
	for _, cell := range f.truth.cells {
		id := keyID(f.t, cell)
		err := openOne(l.cache, context.Background(), random, cell)
		if gone := f.truth.lost.missing[id]; gone != nil {
			f.truth.lost.orphans++
			continue
		}
		if destroyed := f.truth.byID[id].Destroyed; (err != nil) != destroyed {
			f.wrong("after all, key %08x: destroyed %v, %v", id, destroyed, err)
		}
	}
}

// noHerd checks that no hour, no outage's end and no rotation sends the processes to
// KMS together, nor has more than one of them make the same key. Their common start
// does: each needs its keys then.
func (f *world) noHerd() {
	for _, k := range f.kmss {
		if most := 60 + f.processes/10; k.peak > most {
			f.wrong("%d calls to KMS in one second, want at most %d", k.peak, most)
		}
	}
	if lost, most := int(f.count.lost.Load()), 2+len(f.truth.byID)/20; lost > most && !f.loses {
		f.wrong("%d data keys were made for nothing, want at most %d", lost, most)
	}
}

func (f *world) report() string {
	c, k, keys := &f.count, f.kmss[0], 0
	for _, r := range f.truth.byID {
		if len(r.Wrapped.Blob) > 0 || !r.DestroyedAt.Equal(r.stored) {
			keys++
		}
	}
	virtual := float64(f.processes) * f.end.Sub(k.began).Hours() / 24
	return fmt.Sprintf("%d processes (%d lives, %d deaths), %d scopes destroyed, %d data keys revoked, %d search keys changed, %d rewraps; "+
		"%d data and search keys; %d cells sealed, %d opened, %d searches, %d refused; "+
		"KMS: %d generate, %d unwrap, %.1f calls per process and day, at most %d in one second at the start and %d later, %d data keys made for nothing; "+
		"outages (%d of one service of two): %d unavailable, %d hanging, %d throttling, %d no new keys, %d denied, %d disabled, %d keyring; "+
		"%d rows lost, %d stored again, %d cells gone with all that held their keys",
		f.processes, c.lives.Load(), c.deaths.Load(), c.destroyed.Load(), c.revoked.Load(), c.searchChanges.Load(), c.rewraps.Load(),
		keys, c.seals.Load(), c.opens.Load(), c.searches.Load(), c.refused.Load(),
		k.calls["generate"], k.calls["unwrap"], float64(k.calls["generate"]+k.calls["unwrap"])/virtual, k.cold, k.peak, c.lost.Load(),
		c.partly.Load(), c.outages[kmsUnavailable].Load(), c.outages[kmsHangs].Load(), c.outages[kmsThrottles].Load(),
		c.outages[kmsRefusesNew].Load(), c.outages[kmsDenies].Load(), c.outages[kmsDisabled].Load(), c.outages[kmsDisabled+1].Load(),
		c.rowsLost.Load(), f.truth.lost.again, f.truth.lost.orphans)
}
