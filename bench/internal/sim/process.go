package sim

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
)

// column is the sealed column of the workload. More columns of a data key cost no
// further call to KMS, so one is enough.
var column = keycache.Column{Identity: "simulated.column", Suite: codec.SuiteRandomized}

// A process is one process of the fleet: its cache, and its operations.
type process struct {
	run    *run
	cache  *keycache.Cache
	next   source
	asleep atomic.Int64 // operations that wait for a key

	hits uint64 // of the measured time; only the process's own goroutine counts them
	busy sync.WaitGroup

	mu     sync.Mutex // guards the following
	waits  Histogram
	failed uint64
}

// play runs the process's operations to their end.
//
// A lookup that hits takes no time and changes nothing but a mark of use. So while
// nothing is under way, operations are tried up to `ahead` before their time, without
// moving the clock for each; at the first that does not hit, the clock is taken to
// its own time and it is done again, and the others follow in their own time until
// nothing is under way any more.
func (p *process) play() {
	for {
		o, more := p.next()
		if !more {
			break
		}
		if p.asleep.Load() > 0 || o.at > p.run.since()+p.run.ahead {
			p.run.sleepUntil(o.at)
		}
		if p.try(o) {
			p.hit(o, 1)
			continue
		}
		p.run.sleepUntil(o.at)
		if p.try(o) {
			p.hit(o, 1)
			continue
		}
		p.asleep.Add(1)
		p.busy.Go(func() { p.wait(o) })
	}
	p.run.sleepUntil(p.run.cfg.Warmup + p.run.cfg.Duration)
	p.busy.Wait()
}

// try does an operation if that needs no waiting. Its context has ended, so that the
// cache gives up where it would wait, before it has asked anyone.
func (p *process) try(o op) bool {
	var err error
	if o.write {
		_, err = p.cache.Sealer(p.run.ended[o.scope], column, 1)
	} else {
		_, err = p.cache.Opener(p.run.ended[o.scope], column, o.key)
	}
	return err == nil
}

// wait does an operation that has to wait.
func (p *process) wait(o op) {
	defer p.asleep.Add(-1)
	ctx, cancel := context.WithTimeout(p.run.contexts[o.scope], p.run.cfg.Patience)
	defer cancel()
	start := time.Now()
	var err error
	if o.write {
		_, err = p.cache.Sealer(ctx, column, 1)
	} else {
		_, err = p.cache.Opener(ctx, column, o.key)
	}
	p.waited(o, time.Since(start), err)
}

func (p *process) hit(o op, n uint64) {
	if o.at >= p.run.cfg.Warmup {
		p.hits += n
	}
	if b := p.run.bucket(o.at); b != nil {
		b.hits.Add(n)
	}
}

func (p *process) waited(o op, took time.Duration, err error) {
	if b := p.run.bucket(o.at); b != nil {
		b.add(took, err)
	}
	if o.at < p.run.cfg.Warmup {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits.Add(took, 1)
	if err != nil {
		p.failed++
	}
}

// scan reads cells of all keys, one after the other, as a report over a whole table
// would, each time that it is due.
func (p *process) scan(ctx context.Context) {
	c := p.run.cfg
	step := time.Duration(float64(time.Second) / c.ScanRate)
	for {
		select {
		case <-time.After(c.ScanEvery):
		case <-ctx.Done():
			return
		}
		for _, id := range p.run.keys.all() {
			o := op{at: p.run.since(), key: id}
			if o.at >= c.Warmup+c.Duration {
				return
			}
			if p.try(o) {
				p.scanHit(o)
			} else {
				p.asleep.Add(1)
				p.wait(o)
			}
			time.Sleep(step)
		}
	}
}

// scanHit counts a hit from beside the process's own goroutine.
func (p *process) scanHit(o op) {
	if b := p.run.bucket(o.at); b != nil {
		b.hits.Add(1)
	}
	if o.at >= p.run.cfg.Warmup {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waits.Add(0, 1)
	}
}
