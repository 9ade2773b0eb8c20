package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/bench/internal/world"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
)

// A run is one simulation under way.
type run struct {
	cfg      *Config
	begin    time.Time
	ahead    time.Duration
	keys     *keys
	kms      *world.KMS
	contexts []context.Context // one for each scope
	ended    []context.Context // the same, cancelled
	fleet    []*process
	buckets  []bucket

	callsBefore uint64 // KMS calls of the warm-up
	before      keycache.Stats
	live        []float64 // keys held by a process, from time to time
}

// A bucket counts what began in a part of the measured time.
type bucket struct {
	hits   atomic.Uint64
	mu     sync.Mutex // guards the following
	waits  Histogram
	failed uint64
}

func (b *bucket) add(took time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits.Add(took, 1)
	if err != nil {
		b.failed++
	}
}

// Run simulates cfg. It must be called in a testing/synctest bubble. step, if not
// nil, is called now and then with the share of the simulated time that is over.
func Run(cfg Config, step func(done float64)) (*Result, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := newRun(&cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var players, others sync.WaitGroup
	for _, p := range r.fleet {
		players.Go(p.play)
		if cfg.ScanEvery > 0 {
			others.Go(func() { p.scan(ctx) })
		}
	}
	others.Go(func() { r.watch(ctx, step) })
	players.Wait()
	cancel()
	others.Wait()
	result := r.result()
	for _, p := range r.fleet {
		if err := p.cache.Close(); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func newRun(cfg *Config) *run {
	r := &run{cfg: cfg, begin: time.Now(), buckets: make([]bucket, cfg.Buckets)}
	// An operation that is tried early may miss that its key's time ends meanwhile:
	// an error of at most this share of MaxAge.
	r.ahead = min(max(cfg.Cache.MaxAge/300, 20*time.Millisecond), 5*time.Second)
	scopes := make([]string, cfg.Scopes)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range scopes {
		scopes[i] = fmt.Sprintf("tenant:%d", i)
		r.contexts = append(r.contexts, keyring.WithScope(context.Background(), scopes[i]))
		r.ended = append(r.ended, keyring.WithScope(cancelled, scopes[i]))
	}
	r.keys = newKeys(scopes)
	keyring := world.NewKeyring(cfg.KeyringLatency, r.keys.add)
	random := rand.New(rand.NewPCG(cfg.Seed, 0)) //nolint:gosec // a model
	for i, scope := range scopes {
		// Tenants came at different times, so their keys do not rotate together.
		age := time.Duration(random.Float64() * 0.75 * float64(cfg.Cache.RotateEvery))
		for e := range cfg.Epochs {
			older := time.Duration(cfg.Epochs-1-e) * cfg.Cache.RotateEvery
			keyring.Seed(uint32(1+i*cfg.Epochs+e), scope, older+age) //nolint:gosec // at most a million
		}
	}
	r.kms = world.NewKMS(cfg.KMS, shifted(cfg.Outages, cfg.Warmup))
	popularity := zipf(cfg.Scopes, cfg.Zipf)
	for i := range cfg.Processes {
		p := &process{run: r, cache: keycache.New(keyring, r.kms, cfg.Cache)}
		if len(cfg.Trace) > 0 {
			p.next = cfg.replay(i, r.keys)
		} else {
			p.next = cfg.random(rand.New(rand.NewPCG(cfg.Seed, uint64(i+1))), popularity, r.keys) //nolint:gosec // a model
		}
		r.fleet = append(r.fleet, p)
	}
	return r
}

func shifted(outages []world.Outage, by time.Duration) []world.Outage {
	var later []world.Outage
	for _, o := range outages {
		o.Start += by
		later = append(later, o)
	}
	return later
}

func (r *run) since() time.Duration { return time.Since(r.begin) }

func (r *run) sleepUntil(at time.Duration) {
	if d := at - r.since(); d > 0 {
		time.Sleep(d)
	}
}

func (r *run) bucket(at time.Duration) *bucket {
	if at < r.cfg.Warmup || len(r.buckets) == 0 {
		return nil
	}
	i := int(float64(len(r.buckets)) * float64(at-r.cfg.Warmup) / float64(r.cfg.Duration))
	return &r.buckets[min(i, len(r.buckets)-1)]
}

// watch notes what was before the measured time, and how many keys are held.
func (r *run) watch(ctx context.Context, step func(float64)) {
	r.sleepUntil(r.cfg.Warmup)
	r.callsBefore, r.before = r.kms.Calls(), r.stats()
	const looks = 500
	for i := range looks {
		for _, p := range r.fleet {
			r.live = append(r.live, float64(p.cache.Stats().Entries))
		}
		if step != nil {
			step(float64(i) / looks)
		}
		select {
		case <-time.After(r.cfg.Duration / looks):
		case <-ctx.Done():
			return
		}
	}
}

// stats adds up the counters of all processes that are reported.
func (r *run) stats() keycache.Stats {
	var sum keycache.Stats
	for _, p := range r.fleet {
		s := p.cache.Stats()
		sum.Refreshes += s.Refreshes
		sum.StaleHits += s.StaleHits
		sum.Evictions += s.Evictions
		sum.Rotations += s.Rotations
		sum.KMSErrors += s.KMSErrors
	}
	return sum
}
