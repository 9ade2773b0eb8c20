package front

import (
	"testing"

	"github.com/colseal/colseal/internal/dbcatalog"
)

// An answer that was asked for before a change is not kept after it.
func TestFactCacheGenerations(t *testing.T) {
	f := newFactCache()
	k := factKey{name: "users"}
	_, _, gen := f.get(k)
	f.forget()
	f.put(k, &dbcatalog.Relation{}, gen)
	if _, ok, _ := f.get(k); ok {
		t.Error("a fact from before a change was kept")
	}
	_, _, gen = f.get(k)
	f.put(k, nil, gen)
	if rel, ok, _ := f.get(k); !ok || rel != nil {
		t.Error("that there is no such table was not kept")
	}
	for i := range 2 * maxFacts {
		f.put(factKey{name: string(rune(i + 1000))}, nil, gen)
	}
	if len(f.facts) > maxFacts {
		t.Errorf("%d facts", len(f.facts))
	}
}
