package sqlplan

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/sqlparse"
)

// What copies of comparisons inside comparisons can make is bounded in proportion to the
// text; maxParams bounds the parameters, of which PostgreSQL takes no more.
const (
	freeCopied    = 128 << 10
	copiedPerByte = 16
	maxParams     = 65535
)

// A region is a part of the text that is written once per search key.
type region struct {
	span
	search              *search
	open, joiner, close string  // around the copies, and between them
	behind              []part  // what stands behind each copy
	parent              *region // the region around it, or nil
}

// findRegions finds the text of each search.
func (e *emission) findRegions() error {
	for _, s := range e.copied {
		r, ok := e.regionOf(s)
		if !ok {
			return e.refuseSearchKeys(s.expr.Pos(), nil, "this comparison cannot be written for each of two search keys",
				"write column = $1, or column IN (...) and the like, with nothing but the column on its left")
		}
		e.step(r.end - r.start) // one inside another is looked through again
		e.regions = append(e.regions, r)
	}
	slices.SortFunc(e.regions, func(a, b *region) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	var open *region
	for _, r := range e.regions {
		for open != nil && open.end <= r.start {
			open = open.parent
		}
		r.parent = open
		open = r
	}
	return nil
}

// regionOf finds the text of one search.
func (e *emission) regionOf(s *search) (r *region, ok bool) {
	r = &region{search: s, open: "(", joiner: " OR ", close: ")"}
	switch s.form {
	case aroundItself:
		n := s.expr.(*sqlparse.NullIf)
		left, lok := e.operandSpan(n.Left)
		if r.span, ok = e.operandSpan(n.Right); !lok || !ok {
			return nil, false
		}
		r.open, r.joiner, r.close = "", "), ", ""
		e.edits = append(e.edits, edit{start: left.start, end: left.start, text: strings.Repeat("NULLIF(", e.env.SearchKeys-1)})
		return r, true
	case behindItself:
		r.open, r.joiner, r.close = "", " ", ""
		if r.span, ok = e.branchSpan(s); !ok {
			return nil, false
		}
		cond, ok := e.spanOf(s.expr)
		s.dims[0].spans = []span{cond} // what stands after THEN is no part of the comparison
		return r, ok
	}
	if s.negated {
		r.joiner = " AND "
	}
	if r.span, ok = e.spanOf(s.expr); ok && len(s.dims) > 1 {
		ok = e.spansOf(s.dims)
	}
	if ok && s.leaf != nil {
		if e.env.SearchKeys < 2 {
			r.open, r.close = "", "" // a copy has parentheses of its own
		}
		r.behind, ok = e.behind(s.leaf)
	}
	return r, ok
}

// branchSpan returns the span of WHEN … THEN ….
func (e *emission) branchSpan(s *search) (span, bool) {
	cond, ok := e.operandSpan(s.expr)
	then, tok := e.operandSpan(s.then)
	if !ok || !tok {
		return span{}, false
	}
	when := e.tokenAt(cond.start) - 1
	next := e.tokenAt(then.end)
	if when < 0 || next >= len(e.tokens) || !strings.EqualFold(e.tokenText(e.tokens[when]), "when") ||
		!slices.Contains([]string{"when", "else", "end"}, strings.ToLower(e.tokenText(e.tokens[next]))) {
		return span{}, false
	}
	return span{e.tokens[when].Start, then.end}, true
}

func (e *emission) spansOf(dims []*dimension) bool {
	for _, d := range dims {
		for _, part := range d.parts {
			if part == nil {
				return false
			}
			s, ok := e.spanOf(part)
			if !ok {
				return false
			}
			d.spans = append(d.spans, s)
		}
		slices.SortFunc(d.spans, func(s, t span) int { return s.start - t.start })
	}
	return true
}

func (e *emission) spanOf(x sqlparse.Expr) (span, bool) {
	var tokens []sqlparse.Token
	if e.p.dialect == dialect.Postgres {
		var err error
		if tokens, err = e.scan(); err != nil {
			return span{}, false
		}
	}
	start, end, ok := e.file.Span(tokens, x)
	return span{start, end}, ok
}

// dimensionAt returns the choice of a search key that counts for what is sealed at a
// position of the text: the innermost one. Nil: there is none, and the sealing key counts.
func (e *emission) dimensionAt(pos int) *dimension {
	i := sort.Search(len(e.regions), func(i int) bool { return e.regions[i].start > pos })
	if i == 0 {
		return nil
	}
	for r := e.regions[i-1]; r != nil; r = r.parent {
		if pos >= r.end {
			continue
		}
		if d := r.search.dims[0]; len(r.search.dims) == 1 && d.spans == nil {
			return d
		}
		for _, d := range r.search.dims {
			if d.covers(pos) {
				return d
			}
		}
	}
	return nil
}

// covers reports whether a position is in one of the parts.
func (d *dimension) covers(pos int) bool {
	i := sort.Search(len(d.spans), func(i int) bool { return d.spans[i].start > pos })
	return i > 0 && pos < d.spans[i-1].end
}

// keysOf returns how many search keys the value of a slot is sealed under: one if it is written.
func (e *emission) keysOf(s *slot) int {
	if s.second != nil {
		return 1
	}
	return e.keysAt(s.pos())
}

// keysAt returns how many search keys what is sealed at a position is sealed under.
func (e *emission) keysAt(pos int) int {
	if len(e.regions) == 0 || e.dimensionAt(pos) == nil {
		return 1
	}
	return max(e.env.SearchKeys, 1)
}

// A piece is an edit, or a region with the pieces inside it.
type piece struct {
	start, end int
	edit       *edit
	region     *region
	inside     []*piece
}

// pieces nests the edits in the regions that they are in.
func (e *emission) pieces() []*piece {
	all := make([]*piece, 0, len(e.edits)+len(e.regions))
	for _, r := range e.regions {
		all = append(all, &piece{start: r.start, end: r.end, region: r})
	}
	for i := range e.edits {
		if d := &e.edits[i]; d.second == nil {
			all = append(all, &piece{start: d.start, end: d.end, edit: d})
		}
	}
	return nest(all, len(e.file.Text))
}

// piecesOf returns the pieces of what stands in the text once more.
func (e *emission) piecesOf(s *second) []*piece {
	var all []*piece
	for i := range e.edits {
		if d := &e.edits[i]; d.second == s || d.shared && d.start >= s.span.start && d.end <= s.span.end {
			all = append(all, &piece{start: d.start, end: d.end, edit: d})
		}
	}
	return nest(all, s.span.end)
}

// nest puts pieces into the regions that they are in.
func nest(all []*piece, end int) []*piece {
	slices.SortStableFunc(all, func(a, b *piece) int {
		if a.start != b.start {
			return a.start - b.start
		}
		switch {
		case (a.start == a.end) != (b.start == b.end): // what is put in before the other
			return a.end - b.end
		case (a.region != nil) != (b.region != nil) && a.end != b.end:
			return b.end - a.end
		}
		return 0
	})
	root := &piece{end: end}
	stack := []*piece{root}
	for _, p := range all {
		for len(stack) > 1 && (p.start >= stack[len(stack)-1].end && (p.end > stack[len(stack)-1].end || p.edit != nil && p.edit.label)) {
			stack = stack[:len(stack)-1]
		}
		top := stack[len(stack)-1]
		top.inside = append(top.inside, p)
		if p.region != nil {
			stack = append(stack, p)
		}
	}
	return root.inside
}

// cut applies the edits, and copies the regions: the plan's chunks are the text between
// the sealed literals.
func (e *emission) cut() error {
	pieces := e.pieces()
	if len(pieces) == 0 {
		e.plan.Chunks = []string{e.file.Text}
		return nil
	}
	w := &cutter{emission: e}
	if err := w.write(0, len(e.file.Text), pieces); err != nil {
		return err
	}
	// One string for all chunks, and no more memory than they need: plans are kept.
	text, from := string(w.text), 0
	e.plan.Chunks = make([]string, 0, len(w.cuts)+1)
	for _, at := range w.cuts {
		e.plan.Chunks = append(e.plan.Chunks, text[from:at])
		from = at
	}
	e.plan.Chunks = append(e.plan.Chunks, text[from:])
	e.plan.Literals = exact(w.literals)
	return nil
}

// exact returns a slice without room for more.
func exact[T any](s []T) []T {
	if len(s) == cap(s) {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// cutter writes the text of a plan.
type cutter struct {
	*emission
	text     []byte
	cuts     []int // where in text the literals stand
	literals []Literal
}

// write writes a part of the text with its pieces in place.
func (w *cutter) write(from, to int, pieces []*piece) error {
	for _, p := range pieces {
		if p.start < from || p.end > to {
			return w.refuseRewriting(p.start, nil, "two rewritings of the statement overlap here", "use parameters instead of literals and leave casts out")
		}
		w.put(w.file.Text[from:p.start])
		from = p.end
		if p.edit != nil && p.edit.put != nil {
			if err := p.edit.put.write(w); err != nil {
				return err
			}
			continue
		}
		if p.edit != nil {
			w.edit(p.edit)
			continue
		}
		if err := w.copies(p); err != nil {
			return err
		}
	}
	w.put(w.file.Text[from:to])
	return nil
}

func (w *cutter) put(s string) { w.text = append(w.text, s...) }

// edit writes an edit, as the search key says that is chosen where it stands.
func (w *cutter) edit(d *edit) {
	key := 0
	if len(w.regions) > 0 && d.second == nil {
		if at := w.dimensionAt(d.start); at != nil {
			key = at.key
		}
	}
	text := d.text
	if d.texts != nil {
		text = d.texts[min(key, len(d.texts)-1)]
	}
	if w.joinsBefore(d, text) {
		w.put(" ")
	}
	if d.literal != nil {
		lit := *d.literal
		lit.Use.under(key)
		w.cuts = append(w.cuts, len(w.text))
		w.literals = append(w.literals, lit)
	}
	w.put(text)
	if w.joinsAfter(d, text) {
		w.put(" ")
	}
}

// joinsBefore reports whether what an edit puts in would be read as one word with what stands
// before it: a quotation mark ends a word, and so SELECT'x' needs no space, but SELECTX'78' does.
func (w *cutter) joinsBefore(d *edit, text string) bool {
	before, _ := utf8.DecodeLastRuneInString(w.file.Text[:d.start])
	first, _ := utf8.DecodeRuneInString(text)
	return nameRune(before) && (d.literal != nil || nameRune(first))
}

// joinsAfter reports the same of what stands after it: 'x'WHERE, but not ::byteaWHERE.
func (w *cutter) joinsAfter(d *edit, text string) bool {
	after, _ := utf8.DecodeRuneInString(w.file.Text[d.end:])
	last, _ := utf8.DecodeLastRuneInString(text)
	return nameRune(after) && (d.literal != nil || nameRune(last))
}

// copies writes a region once for each choice of keys.
func (w *cutter) copies(p *piece) error {
	dims := p.region.search.dims
	w.put(p.region.open)
	for first := true; ; first = false {
		if !first {
			w.put(p.region.joiner)
		}
		if err := w.copy(p); err != nil {
			return err
		}
		if len(w.text) > freeCopied+copiedPerByte*len(w.file.Text) {
			return w.refuseSearchKeys(p.start, nil, "the statement becomes too long when it is written for each of two search keys", "split it, or give the values as one array: = ANY($1)")
		}
		if !w.next(dims) {
			break
		}
	}
	w.put(p.region.close)
	return nil
}

// copy writes a region once, and what stands behind it.
func (w *cutter) copy(p *piece) error {
	behind := p.region.behind
	if behind == nil {
		return w.write(p.start, p.end, p.inside)
	}
	w.put("(")
	if err := w.write(p.start, p.end, p.inside); err != nil {
		return err
	}
	for _, part := range behind {
		switch {
		case part.bound != nil:
			lit := Literal{Use: *part.bound}
			lit.Use.under(p.region.search.dims[0].key)
			w.cuts = append(w.cuts, len(w.text))
			w.literals = append(w.literals, lit)
		case part.text != "":
			w.put(part.text)
		default: // a part of the comparison, once more
			var inside []*piece
			for _, in := range p.inside {
				if in.start >= part.start && in.end <= part.end {
					inside = append(inside, in)
				}
			}
			if err := w.write(part.start, part.end, inside); err != nil {
				return err
			}
		}
	}
	w.put(")")
	return nil
}

// next goes on to the next choice of keys; after the last one it is back at the first.
func (w *cutter) next(dims []*dimension) bool {
	for _, d := range dims {
		if d.key++; d.key < w.env.SearchKeys {
			return true
		}
		d.key = 0
	}
	return false
}
