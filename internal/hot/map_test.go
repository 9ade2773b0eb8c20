package hot

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

type item struct {
	n    int
	used atomic.Bool
}

func (i *item) Recent() bool { return i.used.Swap(false) }

func numbers(items []*item) []int {
	var ns []int
	for _, i := range items {
		ns = append(ns, i.n)
	}
	slices.Sort(ns)
	return ns
}

func TestBounded(t *testing.T) {
	m := New[int, *item](3)
	for n := range 3 {
		if gone := m.Add(n, &item{n: n}); gone != nil {
			t.Fatalf("adding %d evicted %v", n, numbers(gone))
		}
	}
	m.Get(0).used.Store(true)
	if gone := numbers(m.Add(3, &item{n: 3})); !slices.Equal(gone, []int{1}) {
		t.Errorf("evicted %v, want the oldest that was not used", gone)
	}
	if m.Get(1) != nil || m.Get(0) == nil || m.Len() != 3 {
		t.Errorf("the map holds %d", m.Len())
	}
	for _, n := range []int{0, 2, 3} {
		m.Get(n).used.Store(true)
	}
	if gone := numbers(m.Add(4, &item{n: 4})); len(gone) != 1 {
		t.Errorf("evicted %v when all were used, want one", gone)
	}
}

func TestReplaceRemoveDrain(t *testing.T) {
	m := New[int, *item](2)
	first, second := &item{n: 1}, &item{n: 2}
	m.Add(7, first)
	if gone := m.Add(7, second); len(gone) != 1 || gone[0] != first {
		t.Errorf("a replaced value is not released: %v", numbers(gone))
	}
	if at, _ := m.GetOrAdd(7, first); at != second {
		t.Error("GetOrAdd replaced what was there")
	}
	if m.Remove(7, first) || !m.Remove(7, second) || m.Get(7) != nil || m.Len() != 0 {
		t.Error("Remove takes what it was not given, or leaves what it was")
	}
	m.Add(1, first)
	m.Add(2, second)
	if all := numbers(m.Drain()); !slices.Equal(all, []int{1, 2}) || m.Len() != 0 || m.Get(1) != nil {
		t.Errorf("drained %v", all)
	}
	if gone := m.Add(3, first); gone != nil {
		t.Errorf("after Drain there was %v", numbers(gone))
	}
}

// Whatever is done at once, the view and the list hold the same.
func TestConcurrent(t *testing.T) {
	m := New[int, *item](16)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 2000 {
				k := (i*7 + g*13) % 64
				switch i % 5 {
				case 0:
					m.Add(k, &item{n: k})
				case 1:
					if v := m.Get(k); v != nil {
						m.Remove(k, v)
					}
				default:
					if v := m.Get(k); v != nil {
						if v.n != k {
							t.Errorf("%d stands at %d", v.n, k)
						}
						v.used.Store(true)
					}
				}
			}
		})
	}
	all.Wait()
	if m.Len() > 16 || m.Len() != m.lru.Len() {
		t.Errorf("the view holds %d, the list %d", m.Len(), m.lru.Len())
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	m := New[string, *item](10)
	m.Add("SELECT 1", &item{})
	if n := testing.AllocsPerRun(1000, func() { m.Get("SELECT 1") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A tenth of the entries or ten times as many: a lookup takes as long.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("entries=%d", size), func(b *testing.B) {
			m := New[uint32, *item](size)
			for n := range size {
				m.Add(uint32(n), &item{n: n})
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for n := uint32(0); pb.Next(); n++ {
					m.Get(n % 64)
				}
			})
		})
	}
}

func BenchmarkAddEvicting(b *testing.B) {
	for _, size := range []int{100, 1000, 10000} {
		b.Run("entries="+strconv.Itoa(size), func(b *testing.B) {
			m := New[uint32, *item](size)
			b.ReportAllocs()
			var n uint32
			for b.Loop() {
				m.Add(n, &item{})
				n++
			}
		})
	}
}

// What the entries take together is bounded as well, whatever is put, replaced and taken away.
func TestBoundedBytes(t *testing.T) {
	m := NewSized[int](100, 10, func(i *item) int { return i.n })
	for n := 1; n <= 4; n++ {
		m.Add(n, &item{n: n})
	}
	if m.Len() != 4 || m.bytes != 10 {
		t.Fatalf("%d entries of %d bytes", m.Len(), m.bytes)
	}
	if gone := numbers(m.Add(5, &item{n: 5})); !slices.Equal(gone, []int{1, 2, 3}) || m.bytes != 9 {
		t.Errorf("evicted %v, and %d bytes are left", gone, m.bytes)
	}
	if gone := numbers(m.Add(4, &item{n: 1})); !slices.Equal(gone, []int{4}) || m.bytes != 6 {
		t.Errorf("replaced %v, and %d bytes are left", gone, m.bytes)
	}
	if gone := numbers(m.Add(6, &item{n: 11})); !slices.Equal(gone, []int{11}) || m.Get(6) != nil || m.Len() != 2 {
		t.Errorf("what is too large drove out %v", gone)
	}
	if five := m.Get(5); !m.Remove(5, five) || m.bytes != 1 {
		t.Errorf("%d bytes are left after a removal", m.bytes)
	}
	if m.Drain(); m.bytes != 0 {
		t.Errorf("%d bytes are left in an empty map", m.bytes)
	}
}
