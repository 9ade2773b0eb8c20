package sim

import "time"

// A clock runs events in the order of their time, and of their making where that is equal.
type clock struct {
	now     time.Duration // since the run began
	events  []event       // a binary heap
	made    uint64
	handled uint64
}

type event struct {
	at    time.Duration
	order uint64
	do    func()
}

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.order < f.order }

// after runs do when d has passed; at once, before it returns, if d is zero.
func (c *clock) after(d time.Duration, do func()) {
	if d <= 0 {
		do()
		return
	}
	c.at(c.now+d, do)
}

// at runs do at a time that is not before now, but not before at returns.
func (c *clock) at(t time.Duration, do func()) {
	c.made++
	c.events = append(c.events, event{t, c.made, do})
	h := c.events
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].before(&h[i]) {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

// run handles all events up to a time, and no more than most of them.
func (c *clock) run(until time.Duration, most uint64) {
	for most += c.handled; c.handled < most && len(c.events) > 0 && c.events[0].at <= until; {
		e := c.pop()
		c.now = e.at
		c.handled++
		e.do()
	}
	if c.handled < most {
		c.now = until
	}
}

func (c *clock) pop() event {
	h := c.events
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	c.events = h
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return first
		}
		if down+1 < last && h[down+1].before(&h[down]) {
			down++
		}
		if h[i].before(&h[down]) {
			return first
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
}
