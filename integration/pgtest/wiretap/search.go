package wiretap

import (
	"bytes"
	"encoding/binary"
)

// search looks for every form of every canary at once. A bit table over a hash of four bytes passes
// over what begins no form, at about a nanosecond a byte however many forms there are.
type search struct {
	forms   []target
	byHead  map[uint32][]int // indexes into forms, by their first four bytes
	gate    [1 << 16 / 64]uint64
	longest int // of the forms, in bytes

	findings []Finding
	known    map[findingKey]int // index into findings
	searched map[Place]Coverage
}

type target struct {
	form
	canary string
}

type findingKey struct {
	form  int
	place Place
	where string
}

func newSearch(canaries []Canary) *search {
	s := &search{byHead: map[uint32][]int{}, known: map[findingKey]int{}, searched: map[Place]Coverage{}}
	for _, c := range canaries {
		for _, f := range c.forms {
			head := binary.LittleEndian.Uint32(f.bytes)
			s.byHead[head] = append(s.byHead[head], len(s.forms))
			g := gateOf(head)
			s.gate[g/64] |= 1 << (g % 64)
			s.longest = max(s.longest, len(f.bytes))
			s.forms = append(s.forms, target{form: f, canary: c.name})
		}
	}
	return s
}

func gateOf(head uint32) uint32 { return head * 2654435761 >> 16 }

// find calls hit for every form in b, with where it begins.
func (s *search) find(b []byte, hit func(form, at int)) {
	for i := 0; i+4 <= len(b); i++ {
		head := binary.LittleEndian.Uint32(b[i:])
		if g := gateOf(head); s.gate[g/64]&(1<<(g%64)) == 0 {
			continue
		}
		for _, f := range s.byHead[head] {
			if bytes.HasPrefix(b[i:], s.forms[f].bytes) {
				hit(f, i)
			}
		}
	}
}

func (s *search) report() *Report {
	return &Report{Findings: s.findings, Searched: s.searched}
}

// seen tells whether a canary was found in a place.
func (s *search) seen(canary string, p Place) bool {
	for _, f := range s.findings {
		if f.Canary == canary && f.Place == p {
			return true
		}
	}
	return false
}

// open begins one file or table; what is written to the stream is searched.
func (s *search) open(p Place, where string) *stream {
	c := s.searched[p]
	c.Items++
	s.searched[p] = c
	return &stream{s: s, place: p, where: where}
}

// stream is an io.Writer over one file or table. A form is found also where it spans writes.
type stream struct {
	s     *search
	place Place
	where string
	buf   []byte // the end of what was written before, then what is written now
	done  int64  // bytes written before what buf begins with
}

// Write never fails.
func (w *stream) Write(p []byte) (int, error) {
	old := len(w.buf)
	w.buf = append(w.buf, p...)
	w.s.find(w.buf, func(form, at int) {
		if at+len(w.s.forms[form].bytes) > old { // else it was reported before
			w.hit(form, w.done+int64(at))
		}
	})
	if keep := w.s.longest - 1; len(w.buf) > keep {
		cut := len(w.buf) - keep
		w.done += int64(cut)
		w.buf = w.buf[:copy(w.buf, w.buf[cut:])]
	}
	c := w.s.searched[w.place]
	c.Bytes += int64(len(p))
	w.s.searched[w.place] = c
	return len(p), nil
}

func (w *stream) hit(form int, offset int64) {
	key := findingKey{form: form, place: w.place, where: w.where}
	if i, ok := w.s.known[key]; ok {
		w.s.findings[i].Count++
		return
	}
	t := w.s.forms[form]
	w.s.known[key] = len(w.s.findings)
	w.s.findings = append(w.s.findings, Finding{
		Canary: t.canary, Encoding: t.encoding, Place: w.place, Where: w.where, Offset: offset, Count: 1,
	})
}
