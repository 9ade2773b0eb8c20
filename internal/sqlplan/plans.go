package sqlplan

import (
	"sync/atomic"

	"github.com/colseal/colseal/internal/hot"
)

// plans are the plans that were made, by text. Most depend on the text alone. One that
// used the catalog, or depends on the number of search keys, is right for one search
// path and one such number: a variant. The first variant stands with the text, since
// nearly every program has no other, so that it is found by one lookup; others stand
// under the text and what they are for.
type plans struct {
	texts    *hot.Map[string, *textPlans]
	variants *hot.Map[variantKey, *variantPlan]
}

type textPlans struct {
	mark
	always *Plan // nil: see the variants
	first  atomic.Pointer[variantPlan]
}

type variantKey struct {
	sql, path string
	keys      int
}

type variantPlan struct {
	mark
	key        variantKey
	plan       *Plan
	generation uint64
	catalog    bool // the plan used the catalog
}

// mark notes use for [hot.Map].
type mark struct{ used atomic.Bool }

func (m *mark) Recent() bool { return m.used.Swap(false) }

// touch writes only what changes, so that readers share the cache line.
func (m *mark) touch() {
	if !m.used.Load() {
		m.used.Store(true)
	}
}

func newPlans(size int) *plans {
	return &plans{texts: hot.New[string, *textPlans](size), variants: hot.New[variantKey, *variantPlan](size)}
}

// get returns the plan of a text, or nil.
func (ps *plans) get(sql string, env *Env, generation uint64) *Plan {
	t := ps.texts.Get(sql)
	if t == nil {
		return nil
	}
	t.touch()
	if t.always != nil || env == nil {
		return t.always
	}
	path, keys := env.SearchPath, max(env.SearchKeys, 1)
	v := t.first.Load()
	if v == nil || v.key.keys != keys || v.key.path != path {
		if v = ps.variants.Get(variantKey{sql, path, keys}); v == nil {
			return nil
		}
		v.touch()
	}
	if v.catalog && v.generation != generation {
		return nil
	}
	return v.plan
}

// putAlways keeps a plan that depends on the text alone.
func (ps *plans) putAlways(sql string, p *Plan) {
	ps.texts.Add(sql, &textPlans{always: p})
}

// putVariant keeps a plan that depends on more. It takes the place of the first one if
// that is for the same, or for a catalog that has changed.
func (ps *plans) putVariant(v *variantPlan) {
	t, _ := ps.texts.GetOrAdd(v.key.sql, &textPlans{})
	if t.always != nil {
		t = &textPlans{}
		ps.texts.Add(v.key.sql, t)
	}
	first := t.first.Load()
	if first == nil || first.key == v.key || first.generation < v.generation {
		if t.first.CompareAndSwap(first, v) {
			return
		}
	}
	ps.variants.Add(v.key, v)
}

// len returns the number of texts.
func (ps *plans) len() int { return ps.texts.Len() }
