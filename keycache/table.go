package keycache

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// table is a bounded map whose lookups take no lock: readers see an immutable
// map, writers publish a changed copy. Writers are rare (each has just waited
// for KMS), so a copy is cheap beside what it saves.
//
// The LRU list owns capacity. Lookups do not move it, since that would take its
// lock; they leave a mark on the value instead, and eviction passes over what
// was marked since it last looked: the CLOCK algorithm.
type table[K comparable, V interface {
	comparable
	recent() bool // used since recent was last called
}] struct {
	view atomic.Pointer[map[K]V]

	mu   sync.Mutex // guards lru and the order of publications; nothing blocks under it
	lru  *simplelru.LRU[K, V]
	size int
}

func newTable[K comparable, V interface {
	comparable
	recent() bool
}](size int) *table[K, V] {
	lru, err := simplelru.NewLRU[K, V](size+1, nil) // one more, so that only add evicts
	if err != nil {
		panic(err) // size is positive by Config.withDefaults
	}
	t := &table[K, V]{lru: lru, size: size}
	t.view.Store(&map[K]V{})
	return t
}

// get returns the zero V when k is not there. It neither locks nor allocates.
func (t *table[K, V]) get(k K) V { return (*t.view.Load())[k] }

func (t *table[K, V]) len() int { return len(*t.view.Load()) }

// all returns what is there now. It is not to be changed.
func (t *table[K, V]) all() map[K]V { return *t.view.Load() }

// add puts v at k and returns what had to go for it.
func (t *table[K, V]) add(k K, v V) (gone []V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.put(k, v)
}

// getOrAdd returns what stands at k, or puts v there.
func (t *table[K, V]) getOrAdd(k K, v V) (at V, gone []V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := (*t.view.Load())[k]; ok {
		return old, nil
	}
	return v, t.put(k, v)
}

func (t *table[K, V]) put(k K, v V) (gone []V) {
	next := maps.Clone(*t.view.Load())
	if old, ok := next[k]; ok && old != v {
		gone = append(gone, old)
	}
	next[k] = v
	t.lru.Add(k, v)
	for t.lru.Len() > t.size {
		oldest := t.spare()
		if old, ok := next[oldest]; ok {
			gone = append(gone, old)
		}
		t.lru.Remove(oldest)
		delete(next, oldest)
	}
	t.view.Store(&next)
	return gone
}

// spare picks what to evict: the oldest that was not used lately. Everything may
// have been; then, after one round that takes all the marks, the oldest.
func (t *table[K, V]) spare() K {
	for range t.lru.Len() {
		k, v, _ := t.lru.GetOldest()
		if !v.recent() {
			return k
		}
		t.lru.Get(k) // to the young end
	}
	k, _, _ := t.lru.GetOldest()
	return k
}

// remove takes v away if it is what stands at k.
func (t *table[K, V]) remove(k K, v V) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	view := *t.view.Load()
	if old, ok := view[k]; !ok || old != v {
		return false
	}
	next := maps.Clone(view)
	delete(next, k)
	t.lru.Remove(k)
	t.view.Store(&next)
	return true
}

// drain empties the table and returns what it held.
func (t *table[K, V]) drain() []V {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.lru.Values()
	t.lru.Purge()
	t.view.Store(&map[K]V{})
	return all
}
