// Package hot holds bounded maps that are read much more often than written: of keys
// and of plans. A lookup takes no lock, allocates nothing and writes nothing that other
// lookups read.
package hot

import (
	"iter"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/puzpuzpuz/xsync/v4"
)

// A Value is what a Map holds. Recent reports whether it was used since Recent was last
// called; it is called under the Map's lock.
type Value interface {
	comparable
	Recent() bool
}

// A Map is a map of bounded size. It is safe for concurrent use. Make one with [New] or
// [NewSized].
//
// The LRU list owns capacity. Lookups do not move it, since that would take its
// lock; they leave a mark on the value instead, and eviction passes over what
// was marked since it last looked: the CLOCK algorithm.
type Map[K comparable, V Value] struct {
	view *xsync.Map[K, V] // changed only under mu

	mu    sync.Mutex // guards lru, bytes and the order of changes; nothing blocks under it
	lru   *simplelru.LRU[K, V]
	bytes int // of the entries that there are
	size  int

	sizeOf   func(V) int
	maxBytes int
}

// New returns an empty map of at most size entries; size is at least 1.
func New[K comparable, V Value](size int) *Map[K, V] {
	return NewSized[K](size, 0, func(V) int { return 0 })
}

// NewSized is New for entries that together take at most maxBytes, too. sizeOf tells how
// much one takes, which must not change. What takes more by itself is not kept.
func NewSized[K comparable, V Value](size, maxBytes int, sizeOf func(V) int) *Map[K, V] {
	size = max(size, 1)
	lru, err := simplelru.NewLRU[K, V](size+1, nil) // one more, so that only put evicts
	if err != nil {
		panic("hot: " + err.Error()) // only for a size below 1
	}
	return &Map[K, V]{view: xsync.NewMap[K, V](), lru: lru, size: size, sizeOf: sizeOf, maxBytes: maxBytes}
}

// Get returns what stands at k, or the zero V. The caller marks the value as used.
func (m *Map[K, V]) Get(k K) V {
	v, _ := m.view.Load(k)
	return v
}

// Len returns the number of entries now.
func (m *Map[K, V]) Len() int { return m.view.Size() }

// All ranges over what is there, each once; what changes meanwhile may be missed.
func (m *Map[K, V]) All() iter.Seq2[K, V] { return m.view.Range }

// Add puts v at k and returns what had to go for it.
func (m *Map[K, V]) Add(k K, v V) (gone []V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(k, v)
}

// GetOrAdd returns what stands at k, or puts v there.
func (m *Map[K, V]) GetOrAdd(k K, v V) (at V, gone []V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.view.Load(k); ok {
		return old, nil
	}
	return v, m.put(k, v)
}

func (m *Map[K, V]) put(k K, v V) (gone []V) {
	if old, ok := m.view.LoadAndStore(k, v); ok {
		m.bytes -= m.sizeOf(old)
		if old != v {
			gone = append(gone, old)
		}
	}
	m.bytes += m.sizeOf(v)
	m.lru.Add(k, v)
	if m.sizeOf(v) > m.maxBytes {
		return append(gone, m.evict(k)) // rather than all others
	}
	for m.lru.Len() > m.size || m.bytes > m.maxBytes {
		gone = append(gone, m.evict(m.spare()))
	}
	return gone
}

// evict takes away what stands at k.
func (m *Map[K, V]) evict(k K) V {
	m.lru.Remove(k)
	old, _ := m.view.LoadAndDelete(k)
	m.bytes -= m.sizeOf(old)
	return old
}

// spare picks what to evict: the oldest that was not used lately. Everything may
// have been; then, after one round that takes all the marks, the oldest.
func (m *Map[K, V]) spare() K {
	for range m.lru.Len() {
		k, v, _ := m.lru.GetOldest()
		if !v.Recent() {
			return k
		}
		m.lru.Get(k) // to the young end
	}
	k, _, _ := m.lru.GetOldest()
	return k
}

// Remove takes v away if it is what stands at k.
func (m *Map[K, V]) Remove(k K, v V) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.view.Load(k); !ok || old != v {
		return false
	}
	m.evict(k)
	return true
}

// Drain empties the map and returns what it held.
func (m *Map[K, V]) Drain() []V {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.lru.Values()
	m.lru.Purge()
	m.view.Clear()
	m.bytes = 0
	return all
}
