package sqlplan

import (
	"slices"
	"strconv"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/schema"
)

// number gives each role of each parameter its number in the text to be sent.
func (e *emission) number() error {
	numbered := e.numberPostgres
	if e.p.dialect == dialect.SQLite {
		numbered = e.numberSQLite
	}
	if err := numbered(); err != nil {
		return err
	}
	e.plan.Shared = shared(e.plan.Params)
	return nil
}

// shared returns the indexes of the parameters with a use whose argument others have, too.
func shared(params []Param) (out []int32) {
	type argument struct{ from, name int32 }
	count := make(map[argument]int, len(params))
	for i := range params {
		count[argument{params[i].From, params[i].Name}]++
	}
	if len(count) == len(params) {
		return nil
	}
	for i := range params {
		if p := &params[i]; p.Use != nil && count[argument{p.From, p.Name}] > 1 {
			out = append(out, int32(i))
		}
	}
	return out
}

func (e *emission) numberPostgres() error {
	top := 0
	for _, s := range e.slots {
		if s.param != nil {
			top = max(top, s.param.Number)
		}
	}
	e.plan.NumInput = top
	e.plan.Params = make([]Param, top)
	for i := range e.plan.Params {
		e.plan.Params[i].From = int32(i + 1)
	}
	taken := make([]bool, top)
	numbers := numbering{}
	// Plain roles keep their numbers; a sealed role keeps it when it is the only one, and
	// answers are put behind them.
	for turn := range 3 {
		for _, s := range e.slots {
			if s.param == nil || s.turn() != turn {
				continue
			}
			own := make([]int, e.keysOf(s))
			for key := range own {
				r := roleOf(s, key)
				n, ok := numbers.find(r, s)
				if !ok {
					if n = s.param.Number; taken[n-1] {
						e.plan.Params = append(e.plan.Params, Param{From: int32(n)})
						n = len(e.plan.Params)
					} else {
						taken[n-1] = true
					}
					numbers.add(r, n)
					e.plan.Params[n-1].Use = e.useOf(s, key)
				}
				own[key] = n
			}
			e.renumber(s, own)
		}
	}
	if len(e.plan.Params) > max(maxParams, top) {
		return e.refuseRewriting(0, nil, "the statement needs more parameters than the server takes", "give the values as one array: = ANY($1)")
	}
	return nil
}

// turn is when a parameter is numbered.
func (s *slot) turn() int {
	switch {
	case s.use() != nil:
		return 1
	case s.ask != nil:
		return 2
	}
	return 0
}

// useOf returns the slot's use, under one of the search keys.
func (e *emission) useOf(s *slot, key int) *Use {
	u := s.use()
	switch {
	case u != nil:
		u.under(key)
	case s.ask != nil:
		u = &Use{Column: s.question.of.use().Column, Limit: s.limit}
	default:
		return nil
	}
	u.Ask = s.ask
	if known := e.uses[*u]; known != nil {
		return known
	}
	if e.uses == nil {
		e.uses = map[Use]*Use{}
	}
	e.uses[*u] = u
	return u
}

// under chooses a search key. A randomized value that stands in a comparison has none.
func (u *Use) under(key int) {
	if u.Column.Suite().Searchable() && !u.Query() {
		u.Key = key
	}
}

// A role is one use of one of the caller's arguments.
type role struct {
	number   int
	name     string
	identity string
	suite    codec.Suite // two of one identity are what a column was and is
	storage  dbcatalog.Storage
	kind     schema.Kind
	array    bool
	key      int
	compared bool
	limit    pgvalue.Limit
	ask      *Ask
	folded   bool
	lowered  bool
	copy     bool
	beside   bool
	match    Match
	place    int // in the text, from 1, of a value that is sealed by itself there; 0: anywhere
}

func roleOf(s *slot, key int) role {
	r := role{number: s.param.Number, name: s.param.Name, ask: s.ask}
	if u := s.use(); u != nil {
		r.key, r.copy, r.beside = key, u.Copy, u.Beside != nil
		r.folded, r.lowered, r.match = u.Folded, u.Lowered, u.Match
		if u.Query() {
			r.key = 0
		}
		r.identity, r.suite = u.Column.Identity(), u.Column.Suite()
		r.storage, r.array, r.kind, r.limit, r.compared = u.Storage, u.Array, u.Column.Kind, u.Limit, u.Compared
		if u.Column.Mode == schema.ModeRandomized && !u.Folded && u.Match.Form == NoMatch {
			r.place = s.pos() + 1 // no two cells are the same
		}
	}
	return r
}

// numbering holds the numbers of roles. A role with a place has an entry without the place, too,
// for what may stand for it anywhere.
type numbering map[role]int

func (n numbering) find(r role, s *slot) (int, bool) {
	if s.null {
		r.place = 0
	}
	number, ok := n[r]
	return number, ok
}

func (n numbering) add(r role, number int) {
	n[r] = number
	r.place = 0
	if _, ok := n[r]; !ok {
		n[r] = number
	}
}

// renumber edits a placeholder, by search key, and gives it its type where the server
// cannot infer it.
func (e *emission) renumber(s *slot, numbers []int) {
	typ := ""
	if u := s.use(); u != nil && u.Query() {
		if typ = u.QueryCast(); s.null {
			typ = "::" + e.typeName(u)
		}
	} else if len(s.casts) > 0 {
	} else if u != nil && !s.typed {
		typ = "::" + e.typeName(u)
	} else if u == nil && s.ask != nil {
		typ = "::" + boolName
	}
	texts := make([]string, len(numbers))
	for key, n := range numbers {
		texts[key] = "$" + strconv.Itoa(n) + typ
	}
	if at := e.slotSpan(s); len(texts) > 1 || texts[0] != e.file.Text[at.start:at.end] {
		e.edits = append(e.edits, edit{start: at.start, end: at.end, texts: texts, second: s.second})
	}
}

// slotSpan returns what the cell of a parameter, or what stands for it, takes the place of.
func (e *emission) slotSpan(s *slot) span {
	if s.from != nil {
		if at, ok := e.spanOf(s.from); ok { // matchEdits found it
			return at
		}
	}
	return span{s.param.Pos(), s.param.End}
}

// numberSQLite writes every placeholder as ?N.
func (e *emission) numberSQLite() error {
	if e.plan.Statements > 1 && slices.ContainsFunc(e.slots, func(s *slot) bool { return s.param != nil }) {
		return e.refuseSeveral(0, nil, "several statements with parameters in one text", "run each statement by itself")
	}
	numbers := numbering{}
	for _, s := range e.slots {
		if s.param == nil {
			continue
		}
		texts := make([]string, e.keysOf(s))
		for key := range texts {
			r := roleOf(s, key)
			n, ok := numbers.find(r, s)
			if !ok {
				param := Param{From: int32(s.param.Number), Use: e.useOf(s, key)}
				if s.param.Name != "" {
					param.From, param.Name = 0, e.nameIndex(s.param.Name)
					e.plan.NamedInput = true
				}
				e.plan.Params = append(e.plan.Params, param)
				n = len(e.plan.Params)
				numbers.add(r, n)
			}
			texts[key] = "?" + strconv.Itoa(n)
		}
		e.plan.NumInput = max(e.plan.NumInput, s.param.Number)
		if at := e.slotSpan(s); len(texts) > 1 || texts[0] != e.file.Text[at.start:at.end] {
			e.edits = append(e.edits, edit{start: at.start, end: at.end, texts: texts, second: s.second})
		}
	}
	return nil
}

// nameIndex returns the index of an argument's name in the plan's, from 1.
func (e *emission) nameIndex(name string) int32 {
	i, ok := e.names[name]
	if !ok {
		if e.names == nil {
			e.names = map[string]int32{}
		}
		e.plan.Names = append(e.plan.Names, name)
		i = int32(len(e.plan.Names))
		e.names[name] = i
	}
	return i
}

// typeName returns the type that the server needs for a sealed value.
func (e *emission) typeName(u *Use) string {
	name := "pg_catalog.bytea"
	if u.Storage == dbcatalog.StorageText || u.Match.Form != NoMatch {
		name = "pg_catalog.text"
	}
	if u.Array {
		name += "[]"
	}
	return name
}
