package lookups

import (
	"context"
	"fmt"
	"strings"

	"github.com/colseal/colseal/bench/internal/world"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
)

// The columns of the cells.
var (
	random        = keycache.Column{Identity: "customers.note", Suite: codec.SuiteRandomized}
	deterministic = keycache.Column{Identity: "customers.email", Suite: codec.SuiteDeterministic}
)

var background = context.Background()

// A warm cache holds one data key for each of some tenants.
type warm struct {
	*keycache.Cache
	kms    *world.KMS
	scopes []context.Context
	ids    []uint32
}

func newWarm(keys int, cfg keycache.Config, latency world.Latency, outages []world.Outage) (*warm, error) {
	cfg.MaxEntries = max(keys+1, 1024) // and a search key
	w := &warm{kms: world.NewKMS(latency, outages)}
	w.Cache = keycache.New(world.NewKeyring(0, nil), w.kms, cfg)
	for i := range keys {
		ctx := keycache.WithScope(background, fmt.Sprintf("tenant:%d", i))
		for range 2 { // a key that was used once only leaves before others
			k, err := w.Sealer(ctx, random, 1)
			if err != nil {
				return nil, err
			}
			if len(w.scopes) == i {
				w.scopes, w.ids = append(w.scopes, ctx), append(w.ids, k.Header().KeyID)
			}
		}
	}
	return w, nil
}

// keyLookups finds keys that are in memory.
func keyLookups(o Options) ([]Result, error) {
	w, err := newWarm(100, keycache.Config{}, world.Latency{}, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }() // nothing was sealed for good
	ctx, id := w.scopes[0], w.ids[0]
	if _, err := w.SearchKeys(ctx, deterministic); err != nil {
		return nil, err
	}
	results := measure(o, []lookup{
		{"key that opens a cell", func(n int) {
			for range n {
				if _, e := w.Opener(ctx, random, id); e != nil {
					panic(e) // it was found before
				}
			}
		}},
		{"key that seals, with its budget", func(n int) {
			for range n {
				if _, e := w.Sealer(ctx, random, 1); e != nil {
					panic(e)
				}
			}
		}},
		{"keys of a deterministic column", func(n int) {
			for range n {
				if _, e := w.SearchKeys(ctx, deterministic); e != nil {
					panic(e)
				}
			}
		}},
	})
	return results, nil
}

// openAmong opens cells whose keys are among so many.
func openAmong(size int) (func(int), error) {
	w, err := newWarm(size, keycache.Config{}, world.Latency{}, nil) // open as long as the program runs
	if err != nil {
		return nil, err
	}
	cells := make([][]byte, size)
	for i := range cells {
		k, err := w.Sealer(w.scopes[i], random, 1)
		if err != nil {
			return nil, err
		}
		if cells[i], err = k.SealValue(codec.KindText, strings.Repeat("x", 64)); err != nil {
			return nil, err
		}
	}
	some, scratch := spaced(cells), make([]byte, 256)
	return func(n int) {
		for i := range n {
			cell := scratch[:copy(scratch, some[i%len(some)])]
			h, err := codec.ParseHeader(cell)
			if err != nil {
				panic(err)
			}
			k, err := w.Opener(background, random, h.KeyID)
			if err != nil {
				panic(err)
			}
			if _, err = k.OpenInPlace(codec.KindText, cell); err != nil {
				panic(err)
			}
		}
	}, nil
}
