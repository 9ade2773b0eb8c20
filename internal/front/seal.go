package front

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/dbcatalog"
	"github.com/colseal/colseal/internal/dialect"
	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Sealing seals the values of one statement. The front collects every value, which encodes it into
// the room of its cell. It asks for the keys, once per column with the number of its cells. Then
// each cell is sealed where it stands. The cells come back in the order in which their values were
// collected.
type Sealing struct {
	ctx context.Context
	s   *Session

	expected   int           // about how many values there will be
	texts      codec.Session // what texts mean, if it is known
	textsKnown bool

	block  []byte // the cells of the statement, which are made and forgotten together
	cells  []cell
	spans  []span // one per collected value
	sealed int    // how many of cells are sealed
	taken  int    // how many of spans were taken

	keys      []columnKeys
	nonces    codec.Nonces // drawn together, for what is sealed together
	announced int          // cells, by Expect: nonces are drawn for several rows at once
	counts    telemetry.Cells
}

// cell is where a cell stands in the block; start = end for NULL.
type cell struct {
	start, end int
	column     int // index of its columnKeys
	key        int // index of its search key

	// apart: the block holds what the cell is made of. The cell itself is made elsewhere, because
	// only the key knows its length.
	apart *apart
}

// apart is a cell of a column with terms, or what is compared with one in its place.
type apart struct {
	use  *sqlplan.Use
	asks *sqlplan.Terms // of a search for terms, whose block is empty but for one byte
	cell []byte         // once it is made
}

// span is where the cells of one value stand among cells: one, or those of an array's elements.
// null: the value is NULL.
type span struct {
	first, end int
	null       bool
}

// columnKeys are the keys of one column for one statement.
type columnKeys struct {
	col   *schema.Column
	cells int
	copy  bool         // all are for the companion of a column in schema.StageCopy, and may be left out
	data  *codec.Key   // randomized
	live  []*codec.Key // deterministic
}

// maxMemory bounds how many cells' memory a session keeps.
const maxMemory = 512

// Seal begins the Sealing of a statement with about n values. The caller calls its Close. The
// session keeps one Sealing for one statement after another. A statement takes it away, so that a
// value's method that comes back to the same connection gets another one.
func (s *Session) Seal(ctx context.Context, n int) *Sealing {
	v := s.sealing
	s.sealing = nil
	if v == nil {
		v = &Sealing{s: s}
	}
	v.ctx, v.expected = ctx, n
	v.block, s.block = s.block[:0], nil
	if n > maxMemory {
		v.cells, v.spans = slices.Grow(v.cells, n), slices.Grow(v.spans, n)
	}
	return v
}

// Close forgets the keys and counts the cells. Keys are not kept beyond a statement, because they
// may leave the cache. Cells stay as they are.
func (v *Sealing) Close() {
	s := v.s
	s.db.tel.Counts.Sealed(v.counts)
	if cap(v.cells) > maxMemory || cap(v.spans) > maxMemory {
		return
	}
	clear(v.keys)
	v.nonces.Forget()
	v.ctx, v.block, v.keys = nil, nil, v.keys[:0]
	v.texts, v.textsKnown = codec.Session{}, false
	v.announced, v.counts = 0, telemetry.Cells{}
	v.Next()
	s.sealing = v
}

// Block returns the memory of the statement's cells.
func (v *Sealing) Block() []byte { return v.block }

// Reuse keeps the memory of a statement's cells for the next statement. Call it when the statement
// was sent, if the driver copied the cells.
func (s *Session) Reuse(block []byte) {
	if cap(block) <= maxReused {
		s.block = block
	}
}

// maxCell is the longest field that PostgreSQL stores.
const maxCell = 1 << 30

// maxReused bounds the memory of cells that a session keeps.
const maxReused = 16 << 10

// ErrStorage is the error of a value for a column that cannot hold a cell.
var ErrStorage = hint.With(errors.New("the column's type cannot hold a cell"), "make it bytea")

// Collect takes a value that codec seals, or nil for NULL.
func (v *Sealing) Collect(use *sqlplan.Use, value any) error {
	if text, ok := value.(string); ok && use.TakesText() {
		return v.collectText(use, text)
	}
	if use.Storage == dbcatalog.StorageOther {
		return ErrStorage
	}
	if use.Bound != sqlplan.NoBound {
		v.collectBound(use)
		return nil
	}
	value, err := v.bytesOf(use.Kind(), value)
	if err != nil {
		return err
	}
	null := value == nil
	if use.Ask != nil {
		if null, err = use.IsNull(value); err != nil {
			return err
		}
	}
	first := len(v.cells)
	switch {
	case !null:
		err = v.collect(use, value)
	case use.Match.Form != sqlplan.NoMatch:
		null, err = v.collectNull(use)
	}
	if err != nil {
		return err
	}
	v.spans = append(v.spans, span{first: first, end: len(v.cells), null: null})
	return nil
}

// collectText is Collect for what most values are.
func (v *Sealing) collectText(use *sqlplan.Use, text string) error {
	start := len(v.block)
	v.grow(codec.SuiteRandomized.Overhead() + len(text))
	block, err := codec.AppendUnsealedText(v.block, text)
	if err != nil {
		return err
	}
	v.block = block
	v.spans = append(v.spans, span{first: len(v.cells), end: len(v.cells) + 1})
	v.cells = append(v.cells, cell{start: start, end: len(block), column: v.count(use.Column, 1, use.Copy), key: use.Key})
	return nil
}

// grow makes sure that there is room for a cell, and for about as many more as are expected: up to
// maxBlock, or as much as there is already, so that copying stays in proportion. It makes none for
// what is too long to be sealed.
func (v *Sealing) grow(size int) {
	if start := len(v.block); cap(v.block)-start < size && size <= maxCell {
		more := max(v.expected-len(v.cells), 1)
		block := make([]byte, start, start+max(size, start, min(more*(size+16), maxBlock)))
		copy(block, v.block)
		v.block = block
	}
}

// collectBound takes an end of the cells under a key.
func (v *Sealing) collectBound(use *sqlplan.Use) {
	first, start := len(v.cells), len(v.block)
	v.block = codec.AppendBound(v.block, use.Bound == sqlplan.Greatest)
	v.cells = append(v.cells, cell{start: start, end: len(v.block), column: v.count(use.Column, 1, use.Copy), key: use.Key})
	v.spans = append(v.spans, span{first: first, end: len(v.cells)})
}

// Answer returns what to send for an argument that is compared, of a value that codec seals, or nil
// for NULL.
func (v *Sealing) Answer(use *sqlplan.Use, value any) (any, error) {
	value, err := v.bytesOf(use.Column.Kind, value)
	if err != nil {
		return nil, err
	}
	return use.Answer(value)
}

// errNullWord is the error of NULL among the elements of an array where the server takes NULL in a
// literal for a word.
var errNullWord = hint.With(fmt.Errorf("%w: an array with NULL in it, while array_nulls is off in the session", codec.ErrValue),
	"SET array_nulls = on, which is PostgreSQL's default")

// Beside returns an error unless the values of an argument for a column, and for what it was, are
// the same: else one of the two columns would have another value. read returns the argument's
// values for a kind: one, or the elements of an array.
func (v *Sealing) Beside(use *sqlplan.Use, read func(codec.Kind) ([]any, error)) error {
	values, err := read(use.Column.Kind)
	if err != nil {
		return err
	}
	others, err := read(use.Beside.Kind)
	if err != nil {
		return err
	}
	same := len(values) == len(others)
	for i := 0; same && i < len(values); i++ {
		read := [2]pgvalue.Reading{{Value: values[i]}, {Value: others[i]}}
		for j, col := range []*schema.Column{use.Column, use.Beside} {
			r := &read[j]
			var err error
			if r.Value, err = v.bytesOf(col.Kind, r.Value); err != nil {
				return err
			}
			r.Kind, r.Suite, r.Texts = col.Kind, col.Suite(), v.textsFor(col.Kind)
		}
		same = pgvalue.Same(read[0], read[1])
	}
	if same {
		return nil
	}
	return errBeside
}

var errBeside = hint.With(fmt.Errorf("%w: it is another value for the kind that the column had", codec.ErrValue), sqlplan.HintBeside)

// CollectArray takes the elements of an array, nil for NULL ones. elems is nil for an array that is
// NULL.
func (v *Sealing) CollectArray(use *sqlplan.Use, elems []any) error {
	if use.Storage == dbcatalog.StorageOther {
		return ErrStorage
	}
	first := len(v.cells)
	if use.Match.Form != sqlplan.NoMatch && len(elems) > sqlplan.MaxTerms {
		return use.TooMany()
	}
	for _, e := range elems {
		if e == nil && v.s.facts.NullWords {
			return errNullWord
		}
		if e == nil {
			v.cells = append(v.cells, cell{})
			continue
		}
		value, err := v.bytesOf(use.Kind(), e)
		if err != nil {
			return err
		}
		if err := v.collect(use, value); err != nil {
			return err
		}
	}
	v.spans = append(v.spans, span{first: first, end: len(v.cells), null: elems == nil})
	return nil
}

// collect encodes one value into the block.
func (v *Sealing) collect(use *sqlplan.Use, value any) error {
	col := use.Column
	if use.Limit != pgvalue.NoLimit {
		if err := use.Limit.Check(use.Kind(), value); err != nil {
			return err
		}
	}
	if use.Match.Form != sqlplan.NoMatch {
		return v.collectMatch(use, value)
	}
	layout := col.Layout()
	if layout.Suite.HasTerms() {
		return v.collectApart(use, value)
	}
	start := len(v.block)
	v.grow(codec.CellSize(layout, col.Kind, value))
	var block []byte
	var err error
	if texts := v.textsFor(col.Kind); use.Compared {
		block, err = texts.AppendCompared(v.block, layout, col.Kind, value)
	} else {
		block, err = texts.AppendUnsealed(v.block, layout, col.Kind, value)
	}
	if err != nil {
		return err
	}
	v.block = block
	v.cells = append(v.cells, cell{start: start, end: len(block), column: v.count(col, 1, use.Copy), key: use.Key})
	return nil
}

// textsFor returns what the texts of values of a kind mean.
func (v *Sealing) textsFor(kind schema.Kind) codec.Session {
	if v.textsKnown || !dependsOnSession(kind) {
		return v.texts
	}
	return v.s.texts()
}

// collectApart encodes a value whose cell is made elsewhere.
func (v *Sealing) collectApart(use *sqlplan.Use, value any) error {
	col, start := use.Column, len(v.block)
	block, err := v.textsFor(col.Kind).AppendValue(append(v.block, byte(col.Kind)), col.Kind, col.Suite(), value)
	if err != nil {
		return err
	}
	v.block = block
	v.cells = append(v.cells, cell{start: start, end: len(block), column: v.count(col, 1, use.Copy), key: use.Key, apart: &apart{use: use}})
	return nil
}

// collectMatch takes what a value asks of a column's terms.
func (v *Sealing) collectMatch(use *sqlplan.Use, value any) error {
	encoding, err := v.textsFor(use.Kind()).AppendValue(nil, use.Kind(), use.Column.Suite(), value)
	if err != nil {
		return err
	}
	defer clear(encoding)
	asks, err := use.TermsOf(encoding)
	if err != nil {
		return err
	}
	v.ask(use, asks)
	return nil
}

// collectNull takes NULL, that is searched for. null says that it makes the search NULL.
func (v *Sealing) collectNull(use *sqlplan.Use) (null bool, err error) {
	asks, ok, err := use.Null()
	if ok {
		v.ask(use, asks)
	}
	return !ok, err
}

func (v *Sealing) ask(use *sqlplan.Use, asks sqlplan.Terms) {
	start := len(v.block)
	v.block = append(v.block, 0) // else it would be NULL
	v.cells = append(v.cells, cell{start: start, end: start + 1, column: v.count(use.Column, 1, use.Copy), key: use.Key, apart: &apart{use: use, asks: &asks}})
}

// query writes a tsquery that asks for terms under each of the live keys.
func query(asks *sqlplan.Terms, live []*codec.Key) []byte {
	const none = "'" + codec.NoToken + "'"
	switch {
	case len(asks.Terms) == 0 && asks.All:
		return []byte("!" + none)
	case len(asks.Terms) == 0:
		return []byte(none)
	}
	operator := " | "
	if asks.All {
		operator = " & "
	}
	var out []byte
	for i, key := range live {
		if i > 0 {
			out = append(out, " | "...)
		}
		out = append(out, '(')
		for j, t := range asks.Terms {
			if j > 0 {
				out = append(out, operator...)
			}
			out = key.AppendToken(append(out, '\''), t.Type, t.Length, t.Text)
			out = append(out, '\'')
		}
		out = append(out, ')')
	}
	return out
}

// token returns what SQLite looks for in a cell. A value asks for one term there.
func token(asks *sqlplan.Terms, key *codec.Key) []byte {
	switch {
	case len(asks.Terms) > 0:
		t := asks.Terms[0]
		return key.AppendToken(nil, t.Type, t.Length, t.Text)
	case asks.All:
		return key.AppendHead(nil)
	}
	return []byte(codec.NoToken)
}

// seal makes the cell of an encoding, behind its kind.
func (a *apart) seal(key *codec.Key, live []*codec.Key, encoding []byte) (err error) {
	switch {
	case a.asks != nil && a.use.Match.PerKey:
		a.cell = token(a.asks, key)
	case a.asks != nil:
		a.cell = query(a.asks, live)
	case !a.use.Folded:
		a.cell, err = key.Seal(nil, codec.Kind(encoding[0]), encoding[1:])
	case a.use.Lowered || codec.Fold(string(encoding[1:])) == string(encoding[1:]):
		a.cell = key.AppendFolded(nil, string(encoding[1:]))
	default:
		a.cell = key.AppendUnmatched(nil)
	}
	return err
}

// maxBlock bounds how far memory is taken ahead of need at first.
const maxBlock = 64 << 10

// count records that a column has so many cells to seal, and returns the index of its columnKeys.
func (v *Sealing) count(col *schema.Column, cells int, copies bool) int {
	for i := range v.keys {
		if v.keys[i].col == col {
			v.keys[i].cells += cells
			v.keys[i].copy = v.keys[i].copy && copies
			return i
		}
	}
	if cap(v.keys) == 0 {
		v.keys = make([]columnKeys, 0, 4)
	}
	v.keys = append(v.keys, columnKeys{col: col, cells: cells, copy: copies})
	return len(v.keys) - 1
}

// Expect announces cells of a use whose values are collected only after FindKeys, perhaps while the
// connection is busy in another goroutine. So it asks now for what is known of the session.
func (v *Sealing) Expect(use *sqlplan.Use, cells int) {
	col := use.Column
	v.count(col, cells, use.Copy)
	v.announced += cells
	if dependsOnSession(col.Kind) && !v.textsKnown {
		v.texts, v.textsKnown = v.s.texts(), true
	}
}

// FindKeys asks for the keys of the cells that were collected or announced. p is their plan. nil
// stands for a plan that compares nothing and has only announced cells.
func (v *Sealing) FindKeys(p *sqlplan.Plan) error {
	err := v.findKeys(p)
	if err == nil || p != nil && !p.Spare || slices.ContainsFunc(v.keys, func(k columnKeys) bool { return !k.copy }) {
		return err
	}
	for i := range v.keys {
		if err := v.leaveOut(&v.keys[i], err); err != nil {
			return err
		}
	}
	return nil
}

func (v *Sealing) findKeys(p *sqlplan.Plan) error {
	if err := v.checkScopes(p); err != nil || len(v.keys) == 0 {
		return err
	}
	source, err := v.s.openedKeys(v.ctx)
	if err != nil {
		return keyError(v.keys[0].col, err)
	}
	if !v.s.serverKnown {
		v.s.lookAtServer(v.ctx, source)
	}
	v.noteUnscoped(source)
	if source.cache != nil && v.held(source.cache) {
		return nil
	}
	for i := range v.keys {
		k := &v.keys[i]
		if err := k.find(v.ctx, v.s, source, p); err != nil {
			if err := v.leaveOut(k, keyError(k.col, err)); err != nil {
				return err
			}
			continue
		}
		// The statement compares with the cells of as many search keys as there were when it was
		// planned. A search for fewer than there are would miss rows, and say nothing.
		if p != nil && p.Search && !k.copy && k.live != nil && len(k.live) != max(p.SearchKeys, 1) {
			return keyError(k.col, errKeysChanged)
		}
	}
	return nil
}

// held finds the keys of a statement whose columns are all randomized in memory, by one lookup. It
// returns false if one is missing.
func (v *Sealing) held(c *keycache.Cache) bool {
	data, cells := c.HeldData(v.ctx), 0
	for i := range v.keys {
		k := &v.keys[i]
		if k.col.Suite().Searchable() {
			return false
		}
		if k.data = data.Key(KeyColumn(k.col)); k.data == nil {
			return false
		}
		cells += k.cells
	}
	if !data.Take(cells) {
		return false
	}
	data.Count()
	return true
}

// find asks for the keys for a plan, which may be nil. While it waits, it lends the session's
// connection.
func (k *columnKeys) find(ctx context.Context, s *Session, source *openKeys, p *sqlplan.Plan) error {
	if source.cache == nil {
		return k.ask(ctx, source, p)
	}
	if k.held(ctx, source.cache) {
		return nil
	}
	return s.waiting(ctx, nil, func() error { return k.ask(ctx, source, p) })
}

// held is ask for keys that are in memory.
func (k *columnKeys) held(ctx context.Context, c *keycache.Cache) bool {
	col := KeyColumn(k.col)
	if col.Suite.Searchable() {
		k.live = c.HeldSearchKeys(ctx, col)
		return k.live != nil
	}
	k.data = c.HeldSealer(ctx, col, k.cells)
	return k.data != nil
}

// ask asks for keys, and makes those that are missing. It makes the first search key of a scope
// only for a statement that may store cells.
func (k *columnKeys) ask(ctx context.Context, source KeySource, p *sqlplan.Plan) (err error) {
	col := KeyColumn(k.col)
	switch {
	case !col.Suite.Searchable():
		k.data, err = source.Sealer(ctx, col, k.cells)
	case p != nil && p.StoresNothing:
		k.live, err = source.LookupKeys(ctx, col)
	default:
		k.live, err = source.SearchKeys(ctx, col)
	}
	return err
}

var errKeysChanged = hint.With(fmt.Errorf("%w: the search keys changed while the statement was made", keyring.ErrKeyUnavailable), "run it again")

// KeysChanged reports whether to plan a statement again because it met other search keys than it
// was planned for. They change once in months, and the next reading of them holds for minutes. try
// counts from 1.
func KeysChanged(err error, try int) bool {
	return err != nil && try < 3 && errors.Is(err, errKeysChanged)
}

// Seal seals what was collected since it was called last.
func (v *Sealing) Seal() error {
	v.nonces.Draw(v.randomized(), v.announced)
	for i := v.sealed; i < len(v.cells); i++ {
		at := &v.cells[i]
		if at.start == at.end {
			continue
		}
		k := &v.keys[at.column]
		key := k.data
		if k.copy && key == nil && k.live == nil {
			at.end = at.start // left out
			continue
		}
		if key == nil {
			if at.key >= len(k.live) {
				return keyError(k.col, errKeysChanged) // a search key was retired between planning and sealing
			}
			key = k.live[at.key]
		}
		if at.apart != nil {
			if err := at.apart.seal(key, k.live, v.block[at.start:at.end]); err != nil {
				if k.copy && v.leave(err) {
					at.end = at.start
					continue
				}
				return SealError(k.col, "a value", err)
			}
			if at.apart.asks == nil {
				v.counts.Add(key.Header().Suite)
			}
			continue
		}
		room := v.block[at.start:at.end:at.end]
		key.SealInPlace(room, &v.nonces)
		if !codec.IsBound(room) {
			v.counts.Add(key.Header().Suite)
		}
	}
	v.sealed = len(v.cells)
	return nil
}

// randomized returns how many cells that Seal is to seal need a nonce.
func (v *Sealing) randomized() (n int) {
	for i := v.sealed; i < len(v.cells); i++ {
		if at := &v.cells[i]; at.start != at.end && v.keys[at.column].data != nil {
			n++
		}
	}
	return n
}

// Wipe clears what was collected, of a statement that is not sent.
func (v *Sealing) Wipe() { clear(v.block[:cap(v.block)]) }

// Next begins the next row of many, or another statement, in the memory of the one before.
func (v *Sealing) Next() {
	v.block = v.block[:0]
	v.cells, v.spans = v.cells[:0], v.spans[:0]
	v.sealed, v.taken = 0, 0
}

// Take returns the cells of the next value, in the order in which values were collected, or nil for
// NULL. It is for a use that is no array.
func (v *Sealing) Take() []byte {
	sp := v.take()
	if sp.null {
		return nil
	}
	return v.cell(sp.first)
}

// TakeArray returns the cells of the next array, nil for NULL elements. ok is false for an array
// that is NULL.
func (v *Sealing) TakeArray() (cells [][]byte, ok bool) {
	sp := v.take()
	if sp.null {
		return nil, false
	}
	cells = make([][]byte, sp.end-sp.first)
	for i := range cells {
		cells[i] = v.cell(sp.first + i)
	}
	return cells, true
}

func (v *Sealing) take() *span {
	sp := &v.spans[v.taken]
	v.taken++
	return sp
}

func (v *Sealing) cell(i int) []byte {
	at := &v.cells[i]
	switch {
	case at.start == at.end:
		return nil
	case at.apart != nil:
		return at.apart.cell
	}
	return v.block[at.start:at.end:at.end]
}

// bytesOf converts text for a column of bytes. On PostgreSQL it reads the text as that of a bytea,
// as the server would for a plain column: '\x0102' is two bytes.
func (v *Sealing) bytesOf(kind codec.Kind, value any) (any, error) {
	if kind != schema.KindBytes || v.s.db.cfg.Dialect != dialect.Postgres {
		return value, nil
	}
	s, ok := value.(string)
	if !ok {
		return value, nil
	}
	if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		return nil, hint.With(fmt.Errorf("%w: the text of a bytea is not valid UTF-8 without NUL", codec.ErrValue), "give bytes as []byte")
	}
	b, err := pgvalue.Bytes(s)
	if err != nil {
		return nil, hint.With(fmt.Errorf("%w: %s", codec.ErrValue, err.Reason), err.Hint)
	}
	return b, nil
}

// Literals says what becomes of a statement's literals for sealed columns.
type Literals uint8

const (
	// LiteralsMixed: literals of randomized columns are sent as parameters beside others, so that
	// the text is the same each time. Otherwise pgx's cache of prepared statements, which goes by
	// text, would fill with texts that never come again.
	LiteralsMixed Literals = iota
	// LiteralsInText: all stay in the text.
	LiteralsInText
	// LiteralsAsParams: all are parameters of a text that was prepared so.
	LiteralsAsParams
)

// LiteralParams returns, for each literal of a plan, the parameter that it is sent as, or 0 for the
// text. It returns nil if all stay in the text. Their numbers follow those of the plan's
// parameters. Equal literals of a deterministic column are one parameter, because the server may
// have to see that two expressions are the same.
func LiteralParams(p *sqlplan.Plan, l Literals) []int {
	if p.TextOnly || l == LiteralsInText {
		return nil
	}
	var places []int
	next := len(p.Params)
	for i := range p.Literals {
		lit := &p.Literals[i]
		random := !lit.Use.Column.EqualCells() && !lit.Use.Folded && lit.Use.Match.Form == sqlplan.NoMatch
		if l != LiteralsAsParams && !random {
			continue
		}
		if places == nil {
			places = make([]int, len(p.Literals))
		}
		if !random {
			for j := range i {
				if p.Literals[j].Equal(lit) {
					places[i] = places[j]
					break
				}
			}
		}
		if places[i] == 0 {
			next++
			places[i] = next
		}
	}
	return places
}

// repeated reports whether literal i is sent as a parameter that an earlier one is sent as.
func repeated(places []int, i int) bool {
	return places != nil && places[i] > 0 && slices.Contains(places[:i], places[i])
}

// SealStatement seals the collected arguments of a plan, and its literals, which are sent at
// places.
func (v *Sealing) SealStatement(p *sqlplan.Plan, places []int) error {
	if err := v.collectLiterals(p, places); err != nil {
		return err
	}
	if err := v.FindKeys(p); err != nil {
		return err
	}
	return v.Seal()
}

// collectLiterals takes the literals of a plan that is sent with literals at places.
func (v *Sealing) collectLiterals(p *sqlplan.Plan, places []int) error {
	for i := range p.Literals {
		if repeated(places, i) {
			continue
		}
		lit := &p.Literals[i]
		if err := v.Leave(&lit.Use, v.collectLiteral(lit)); err != nil {
			return SealError(lit.Use.Column, "a literal of the statement", err)
		}
	}
	return nil
}

func (v *Sealing) collectLiteral(lit *sqlplan.Literal) error {
	if !lit.Use.Array {
		return v.Collect(&lit.Use, lit.Value)
	}
	elems, ok := lit.Value.([]any)
	if !ok {
		return errNoArray
	}
	return v.CollectArray(&lit.Use, elems)
}

// Statement returns the text to send. Literals are sealed in place, or become the parameters that
// places names. It calls bind for each of the latter when its cells are the next to take. The
// literals' values were collected after all others.
func (v *Sealing) Statement(p *sqlplan.Plan, places []int, bind func(literal int)) string {
	return v.s.text(p, places, func(b *strings.Builder, i int) {
		switch {
		case places == nil || places[i] == 0:
			v.literal(b, &p.Literals[i].Use)
		case !repeated(places, i):
			bind(i)
		}
	})
}

// BindLiterals calls bind as Statement does, for a text that was prepared with all literals as
// parameters.
func (v *Sealing) BindLiterals(places []int, bind func(literal int)) {
	for i := range places {
		if !repeated(places, i) {
			bind(i)
		}
	}
}

// Parametrized returns the text to prepare, with a parameter in the place of each literal.
func (s *Session) Parametrized(p *sqlplan.Plan) (string, error) {
	if len(p.Literals) == 0 {
		return p.Chunks[0], nil
	}
	places := LiteralParams(p, LiteralsAsParams)
	if places == nil {
		return "", &sqlplan.Refusal{Class: colseal.ClassUnsupported,
			Reason: "a statement of this kind that holds values of sealed columns cannot be prepared",
			Hint:   "execute it without preparing it"}
	}
	return s.text(p, places, func(*strings.Builder, int) {}), nil
}

// text assembles a statement. It calls each for every literal, in order, which writes those that
// stay in the text.
func (s *Session) text(p *sqlplan.Plan, places []int, each func(b *strings.Builder, literal int)) string {
	sign := "$"
	if s.db.cfg.Dialect == dialect.SQLite {
		sign = "?"
	}
	var b strings.Builder
	for i := range p.Literals {
		b.WriteString(p.Chunks[i])
		each(&b, i)
		if places == nil || places[i] == 0 {
			continue
		}
		b.WriteString(sign)
		b.WriteString(strconv.Itoa(places[i]))
		if s.db.cfg.Dialect == dialect.Postgres {
			b.WriteString(cellType(&p.Literals[i].Use))
		}
	}
	b.WriteString(p.Chunks[len(p.Literals)])
	return b.String()
}

// cellType returns the cast that gives a parameter the type of the cells.
func cellType(use *sqlplan.Use) string {
	if use.Query() {
		return use.QueryCast()
	}
	t := "::pg_catalog.bytea"
	if use.Storage == dbcatalog.StorageText {
		t = "::pg_catalog.text"
	}
	if use.Array {
		t += "[]"
	}
	return t
}

// literal writes the cells of the next value. Base64url, hex digits and the quotes around them need
// no escaping.
func (v *Sealing) literal(b *strings.Builder, use *sqlplan.Use) {
	if use.Array {
		cells, ok := v.TakeArray()
		if use.Query() {
			writeQueries(b, use, cells, ok)
			return
		}
		if !ok {
			b.WriteString("NULL")
			return
		}
		b.WriteByte('\'')
		b.WriteString(ArrayLiteral(use.Storage, cells))
		b.WriteByte('\'')
		if use.Storage == dbcatalog.StorageText {
			b.WriteString("::pg_catalog.text[]")
		} else {
			b.WriteString("::pg_catalog.bytea[]")
		}
		return
	}
	cell := v.Take()
	switch {
	case use.Query():
		writeQuery(b, use, cell)
	case cell == nil:
		b.WriteString("NULL")
	case use.Storage == dbcatalog.StorageText:
		b.WriteByte('\'')
		b.WriteString(codec.EncodeText(cell))
		b.WriteByte('\'')
	case v.s.db.cfg.Dialect == dialect.SQLite:
		b.WriteString("X'")
		b.WriteString(hex.EncodeToString(cell))
		b.WriteByte('\'')
	default:
		b.WriteString(`'\x`)
		b.WriteString(hex.EncodeToString(cell))
		b.WriteString("'::pg_catalog.bytea")
	}
}

// Stored returns a cell as its column stores it: bytes or text. A nil cell is NULL.
func Stored(use *sqlplan.Use, cell []byte) any {
	switch {
	case cell == nil:
		return nil
	case use.Query():
		return string(cell)
	case use.Storage == dbcatalog.StorageText:
		return codec.EncodeText(cell)
	}
	return cell
}

// writeQuery writes a query as a literal: it has no backslashes, so that only its quotes are
// doubled.
func writeQuery(b *strings.Builder, use *sqlplan.Use, query []byte) {
	if query == nil {
		b.WriteString("NULL")
	} else {
		b.WriteByte('\'')
		b.WriteString(strings.ReplaceAll(string(query), "'", "''"))
		b.WriteByte('\'')
	}
	b.WriteString(use.QueryCast())
}

func writeQueries(b *strings.Builder, use *sqlplan.Use, queries [][]byte, ok bool) {
	if !ok {
		writeQuery(b, use, nil)
		return
	}
	writeQuery(b, use, []byte(QueryArray(queries)))
}

// QueryArray writes queries as an array literal; nil ones are NULL.
func QueryArray(queries [][]byte) string {
	out := []byte{'{'}
	for i, q := range queries {
		if i > 0 {
			out = append(out, ',')
		}
		if q == nil {
			out = append(out, "NULL"...)
		} else {
			out = pgarray.AppendElement(out, string(q))
		}
	}
	return string(append(out, '}'))
}

var errNoArray = fmt.Errorf("%w: the literal is not that of an array", codec.ErrValue)

// ArrayArgument returns the Go slice that pgx sends for an array of cells, in every mode; nil cells
// are NULL.
func ArrayArgument(storage dbcatalog.Storage, cells [][]byte) any {
	if storage != dbcatalog.StorageText {
		return cells
	}
	texts := make([]*string, len(cells))
	for i, cell := range cells {
		if cell != nil {
			t := codec.EncodeText(cell)
			texts[i] = &t
		}
	}
	return texts
}

// ArrayLiteral writes cells as PostgreSQL's array literal; nil cells are NULL.
func ArrayLiteral(storage dbcatalog.Storage, cells [][]byte) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, cell := range cells {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case cell == nil:
			b.WriteString("NULL")
		case storage == dbcatalog.StorageText:
			b.WriteByte('"')
			b.WriteString(codec.EncodeText(cell))
			b.WriteByte('"')
		default:
			b.WriteString(`"\\x`)
			b.WriteString(hex.EncodeToString(cell))
			b.WriteByte('"')
		}
	}
	b.WriteByte('}')
	return b.String()
}
