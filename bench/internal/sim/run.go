package sim

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/colseal/colseal/internal/hot"
)

// A run is one simulation under way.
//
// Where the whole of the simulated time would take more events than the budget, time lapses: a
// part of it is simulated and stands for the whole, and data keys age faster by as much, so
// that they rotate as often. What happens counts with a weight, except for what happens once
// for each data key. Outages, and the time after them, are simulated in full.
type run struct {
	clock
	cfg    *Config
	random *rand.Rand
	fleet  []*process
	keys   []dataKey
	scopes [][]int   // keys of each tenant, the newest last
	shares []float64 // of the lookups, by tenant

	maxAge, maxStale, rotateEvery time.Duration // the cache's settings, by its defaults

	// How the simulated time passes now.
	lapse     float64       // times the clock's time, for ages
	processes float64       // that each of the simulated ones stands for
	weight    float64       // of what is counted: lapse times processes, or 0 in the warm-up
	since     time.Duration // when that began, by the clock
	elapsed   time.Duration // the simulated time at since
	warmed    time.Duration // the simulated time at the end of the warm-up
	covered   float64       // share of the measured time that was simulated

	ops, failed, failedAtOnce, staleHits float64
	kmsCalls, kmsErrors                  float64
	refreshes, evictions, rotations      float64
	waits                                histogram
	live                                 []int // keys held by a process, from time to time
}

// A dataKey is a row of the keyring.
type dataKey struct {
	scope int
	born  time.Duration // in simulated time
	made  bool          // by a rotation in the measured time
}

// Run simulates cfg.
func Run(cfg Config) (*Result, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := newRun(&cfg)
	budget := cmp.Or(cfg.Budget, 8_000_000)
	warmUp := 2*r.maxAge + r.maxStale
	r.clock.run(warmUp/2, budget/4)
	half, seen := r.now, r.handled
	r.clock.run(warmUp, budget/4)
	affords := float64(budget) * float64(r.now-half) / float64(r.handled-seen+1)
	parts := cfg.parts(r.maxAge + time.Minute)
	lapse := cfg.lapse(parts, time.Duration(min(affords, math.MaxInt64/2)))
	r.warmed = r.simulated()
	r.watch()
	began := r.now
	for _, part := range parts {
		by := lapse
		if part.outage {
			by = 1
		}
		r.pass(by, by*r.processes)
		r.clock.run(r.now+time.Duration(float64(part.length)/by), math.MaxInt64)
	}
	r.pass(1, 0)
	r.covered = float64(r.now-began) / float64(cfg.Duration)
	return r.result(), nil
}

// simulatedProcesses stand for all processes of a fleet. They are alike, and have little to do
// with each other.
const simulatedProcesses = 4

// RunAll simulates each of the configurations, as many at once as there are processors, and
// returns the results in their order. step is called after each.
func RunAll(cfgs []Config, step func()) ([]*Result, error) {
	results := make([]*Result, len(cfgs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range cfgs {
		group.Go(func() (err error) {
			results[i], err = Run(cfgs[i])
			step()
			return err
		})
	}
	return results, group.Wait()
}

func newRun(cfg *Config) *run {
	c := cfg.Cache
	r := &run{
		cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 0)), //nolint:gosec // a model
		shares: zipf(cfg.Scopes, cfg.Zipf), scopes: make([][]int, cfg.Scopes), lapse: 1,
		processes: float64(cfg.Processes) / float64(min(cfg.Processes, simulatedProcesses)),
		// The defaults are keycache's.
		maxAge: orDefault(c.MaxAge, 10*time.Minute), rotateEvery: orDefault(c.RotateEvery, 30*24*time.Hour), maxStale: max(c.MaxStale, 0),
	}
	if c.MaxStale == 0 {
		r.maxStale = time.Hour
	}
	for scope := range cfg.Scopes {
		// Tenants came at different times, so their keys do not rotate together.
		age := time.Duration(r.random.Float64() * 0.75 * float64(r.rotateEvery))
		for e := range cfg.Epochs {
			r.scopes[scope] = append(r.scopes[scope], len(r.keys))
			r.keys = append(r.keys, dataKey{scope: scope, born: -age - time.Duration(cfg.Epochs-1-e)*r.rotateEvery})
		}
	}
	lead := min(max(2*r.maxAge, r.rotateEvery/20), r.rotateEvery/4)
	for i := range min(cfg.Processes, simulatedProcesses) {
		p := &process{
			run: r, gate: gate{run: r, free: orDefault(c.KMSParallel, 16)},
			entries: hot.New[int, *entry](orDefault(c.MaxEntries, 1024)), rings: hot.New[int, *ring](orDefault(c.MaxEntries, 1024)),
			scopes:   make([]scopeView, cfg.Scopes),
			rotateAt: r.rotateEvery - lead - time.Duration(r.random.Float64()*float64(lead)),
		}
		r.fleet = append(r.fleet, p)
		for key := range r.keys {
			p.keys = append(p.keys, &keyView{})
			p.resumeReads(key, 0)
		}
		for scope := range cfg.Scopes {
			p.resumeRing(scope, 0)
		}
		if cfg.ScanEvery > 0 {
			r.at(cfg.ScanEvery, p.scan)
		}
		if len(cfg.Trace) > 0 {
			p.replay(cfg.replay(i))
		}
	}
	return r
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// pass changes how the simulated time passes.
func (r *run) pass(lapse, weight float64) {
	if len(r.cfg.Trace) == 0 {
		r.ops += r.cfg.Rate / float64(r.cfg.Processes) * float64(len(r.fleet)) * (r.load(r.now) - r.load(r.since)) * r.weight
	}
	r.elapsed, r.since = r.simulated(), r.now
	r.lapse, r.weight = lapse, weight
}

// simulated returns the simulated time.
func (r *run) simulated() time.Duration {
	return r.elapsed + time.Duration(float64(r.now-r.since)*r.lapse)
}

// lapsed returns how long a simulated time takes by the clock.
func (r *run) lapsed(d time.Duration) time.Duration { return time.Duration(float64(d) / r.lapse) }

// weightOf is the weight of what happens now; rare is what a process does once for each data key.
func (r *run) weightOf(rare bool) float64 {
	if rare {
		return min(r.weight, r.processes)
	}
	return r.weight
}

func (r *run) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + r.random.Float64()))
}

// askKMS returns how long KMS takes for a call that begins now, and whether it answers.
func (r *run) askKMS() (took time.Duration, ok bool) {
	at := r.simulated() - r.warmed
	for _, o := range r.cfg.Outages {
		if r.weight > 0 && at >= o.Start && at < o.Start+o.For {
			if o.Hang {
				return kmsTimeout, false
			}
			return 0, false
		}
	}
	took = r.cfg.KMS.draw(r.random)
	return min(took, kmsTimeout), took < kmsTimeout
}

func (r *run) age(key int) time.Duration { return r.simulated() - r.keys[key].born }

func (r *run) newest(scope int) int { return r.scopes[scope][len(r.scopes[scope])-1] }

// allKeys returns every key there is, by tenant.
func (r *run) allKeys() []int {
	var all []int
	for _, keys := range r.scopes {
		all = append(all, keys...)
	}
	return all
}

// makeKey adds a tenant's next key, which changes how often the others are looked up.
func (r *run) makeKey(scope int) int {
	key := len(r.keys)
	r.rotations += min(r.weight, 1)
	for _, p := range r.fleet {
		for _, k := range r.scopes[scope] {
			p.settleReads(k)
		}
		p.keys = append(p.keys, &keyView{})
	}
	r.keys = append(r.keys, dataKey{scope: scope, born: r.simulated(), made: r.weight > 0})
	r.scopes[scope] = append(r.scopes[scope], key)
	for _, p := range r.fleet {
		for _, k := range r.scopes[scope] {
			p.resumeReads(k, 0)
		}
	}
	return key
}

// watch notes from time to time how many keys are held.
func (r *run) watch() {
	for _, p := range r.fleet {
		r.live = append(r.live, p.entries.Len())
	}
	r.at(r.now+1+r.lapsed(r.cfg.Duration/500), r.watch)
}
