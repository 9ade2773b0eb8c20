package keycache

import (
	"fmt"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/keyring"
)

// benchCache has a full keyring's worth of keys in memory, each with 8 columns.
func benchCache(b *testing.B) (*Cache, []Column, uint32) {
	b.Helper()
	cols := make([]Column, 8)
	var id uint32
	for i := range cols {
		cols[i] = Column{Identity: fmt.Sprintf("customers.column_%d", i), Suite: codec.SuiteRandomized}
	}
	c := New(keytest.NewKeyring(), keytest.NewKMS(), Config{}, cols...)
	b.Cleanup(func() { _ = c.Close() })
	for i := range 500 {
		ctx := b.Context()
		if i > 0 {
			ctx = keyring.WithScope(ctx, fmt.Sprintf("tenant:%d", i))
		}
		for _, col := range cols {
			k, err := c.Sealer(ctx, col, 1)
			if err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				id = k.Header().KeyID
			}
		}
	}
	return c, cols, id
}

func BenchmarkOpener(b *testing.B) {
	c, cols, id := benchCache(b)
	ctx := b.Context()
	for _, at := range []int{0, 7} {
		b.Run(fmt.Sprintf("column=%d", at), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Opener(ctx, cols[at], id); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkSealer(b *testing.B) {
	c, cols, _ := benchCache(b)
	ctx := b.Context()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Sealer(ctx, cols[0], 1); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkSearchKeys(b *testing.B) {
	c, _, _ := benchCache(b)
	ctx := b.Context()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.SearchKeys(ctx, deterministic); err != nil {
				b.Error(err)
			}
		}
	})
}

func TestHitsAllocateNothing(t *testing.T) {
	c := New(keytest.NewKeyring(), keytest.NewKMS(), Config{})
	defer c.Close()
	ctx := keyring.WithScope(t.Context(), "tenant:1")
	id := keyID(t, sealOne(t, c, ctx, random))
	if _, err := c.SearchKeys(ctx, deterministic); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"Opener":     func() { _, _ = c.Opener(ctx, random, id) },
		"Sealer":     func() { _, _ = c.Sealer(ctx, random, 1) },
		"SearchKeys": func() { _, _ = c.SearchKeys(ctx, deterministic) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations in a hit", name, n)
		}
	}
}
