package sqlplan

import (
	"sync/atomic"
	"unsafe"

	"github.com/colseal/colseal/internal/hot"
)

// plans are the plans that were made, by text. Most depend on the text alone. One that
// used the catalog, or depends on the number of search keys, is right for one search
// path and one such number: a variant. The first variant stands with the text, since
// nearly every program has no other, so that it is found by one lookup; others stand
// under the text and what they are for.
type plans struct {
	id       uint64 // tells them from other ones
	texts    *hot.Map[string, *textPlan]
	variants *hot.Map[variantKey, *variantPlan]
}

// A textPlan is the plan of a text, or its first variant. It does not change.
type textPlan struct {
	mark
	sql    string       // its own
	always *Plan        // nil: see first
	first  *variantPlan // or nil
	bytes  int
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
	bytes      int
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

var lastPlans atomic.Uint64

// newPlans keeps at most size texts and as many further variants, each within a half of
// bytes.
func newPlans(size, bytes int) *plans {
	return &plans{
		id:       lastPlans.Add(1),
		texts:    hot.NewSized[string](size, bytes/2, func(t *textPlan) int { return t.bytes }),
		variants: hot.NewSized[variantKey](size, bytes/2, func(v *variantPlan) int { return v.bytes }),
	}
}

// plan returns the plan that stands with the text, if it is right for the connection; else nil.
func (t *textPlan) plan(env *Env, generation uint64) *Plan {
	t.touch()
	if t.always != nil || env == nil {
		return t.always
	}
	return t.first.right(env, generation)
}

// right returns the plan if it is right for the connection; else nil.
func (v *variantPlan) right(env *Env, generation uint64) *Plan {
	if v.key.keys != max(env.SearchKeys, 1) || v.key.path != env.SearchPath || v.catalog && v.generation != generation {
		return nil
	}
	return v.plan
}

// Recent holds the plans that a connection found lately. Most texts of a program are constants, so
// a text's place in memory says where it stands here. The text is compared all the same: a program
// may have written another one into that memory. A plan that is found here is checked like one in
// the maps. One goroutine uses a Recent at a time. The zero value is ready.
type Recent struct {
	texts [16]recent
}

type recent struct {
	of uint64 // id of the plans that it is from, which would stay in memory for a pointer
	at *textPlan
}

// maxRecent bounds the memory of a text and its plan that stand here when they have left the maps.
const maxRecent = 16 << 10

func (r *Recent) place(sql string) *recent {
	return &r.texts[uintptr(unsafe.Pointer(unsafe.StringData(sql)))>>4%uintptr(len(r.texts))] //nolint:gosec // never a pointer again
}

// get returns the plan of a text, or nil.
func (ps *plans) get(sql string, env *Env, generation uint64) *Plan {
	var last *recent
	if env != nil && env.Recent != nil {
		last = env.Recent.place(sql)
		if last.of == ps.id && last.at.sql == sql {
			if p := last.at.plan(env, generation); p != nil {
				return p
			}
		}
	}
	t := ps.texts.Get(sql)
	if t == nil {
		return nil
	}
	if last != nil && t.bytes <= maxRecent {
		*last = recent{ps.id, t}
	}
	if p := t.plan(env, generation); p != nil || t.always != nil || env == nil {
		return p
	}
	v := ps.variants.Get(variantKey{sql, env.SearchPath, max(env.SearchKeys, 1)})
	if v == nil {
		return nil
	}
	v.touch()
	return v.right(env, generation)
}

// putAlways keeps a plan that depends on the text alone.
func (ps *plans) putAlways(sql string, p *Plan) {
	ps.texts.Add(sql, &textPlan{sql: sql, always: p, bytes: entryBytes + len(sql) + p.bytes(sql)})
}

// putVariant keeps a plan that depends on more. It takes the place of the first one if
// that is for the same, or for a catalog that has changed.
func (ps *plans) putVariant(v *variantPlan) {
	v.bytes = entryBytes + len(v.key.sql) + len(v.key.path) + v.plan.bytes(v.key.sql)
	t := ps.texts.Get(v.key.sql)
	if t == nil || t.always != nil || t.first.key == v.key || t.first.generation < v.generation {
		ps.texts.Add(v.key.sql, &textPlan{sql: v.key.sql, first: v, bytes: v.bytes})
		return
	}
	ps.variants.Add(v.key, v)
}

// len returns the number of texts.
func (ps *plans) len() int { return ps.texts.Len() }

// entryBytes is about what an entry takes besides its plan: in two maps and a list, and for
// its own fields.
const entryBytes = 384

// bytes returns about how much memory a plan of a text takes, the text not counted.
func (p *Plan) bytes(sql string) int {
	n := int(unsafe.Sizeof(*p))
	for _, c := range p.Chunks {
		n += int(unsafe.Sizeof(c))
		if c != sql {
			n += len(c)
		}
	}
	for i := range p.Literals {
		n += int(unsafe.Sizeof(p.Literals[i])) + valueBytes(p.Literals[i].Value)
	}
	// Names are parts of the text or the catalog's, and few uses differ.
	n += cap(p.Names) * int(unsafe.Sizeof(""))
	n += cap(p.Params) * int(unsafe.Sizeof(Param{}))
	for i := range p.Params {
		if u := p.Params[i].Use; u != nil && u.Ask != nil {
			for _, v := range u.Ask.Values {
				n += int(unsafe.Sizeof(v)) + len(v)
			}
		}
	}
	for _, rs := range [2][]Result{p.Head, p.Tail} {
		n += cap(rs) * int(unsafe.Sizeof(Result{}))
		for i := range rs {
			n += cap(rs[i].Columns) * int(unsafe.Sizeof(rs[i].Columns[0]))
		}
	}
	return n
}

func valueBytes(v any) int {
	const box = 16
	switch v := v.(type) {
	case string:
		return box + len(v)
	case []byte:
		return 2*box + len(v)
	case []any:
		n := 2 * box
		for _, e := range v {
			n += box + valueBytes(e)
		}
		return n
	}
	return box
}
