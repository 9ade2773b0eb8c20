package front

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/colseal/colseal"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/pgarray"
	"github.com/colseal/colseal/internal/pgvalue"
	"github.com/colseal/colseal/internal/sqlplan"
	"github.com/colseal/colseal/internal/telemetry"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/schema"
)

// Opener opens the cells of one result column, of one result after another. It remembers the last
// key, so that a column whose rows were sealed under one key asks the cache once.
type Opener struct {
	s     *Session
	from  Result // nil but between BeginOpeners and EndOpeners
	index int    // of the result column
	name  string // its label
	cols  []*schema.Column
	array bool
	// private: the driver below gives its []byte away, so that a cell may be opened in
	// its own memory.
	private bool

	// Apart is the front's own: it gives the column's cells to OpenCell.
	Apart bool

	key *codec.Key // opens the cells with its header, which has the tag of col
	col *schema.Column
}

// NewOpener returns the Opener of result column index, which is labelled name and holds what res
// says. private says that each []byte of the result belongs to its reader, so that a cell may be
// opened in its own memory.
func (s *Session) NewOpener(index int, name string, res sqlplan.Result, private bool) Opener {
	return Opener{s: s, index: index, name: name, cols: res.Columns, array: res.Array, private: private}
}

// BeginOpeners begins a result with its openers.
func (s *Session) BeginOpeners(openers []Opener, from Result) {
	for at := range openers {
		openers[at].from = from
	}
}

// EndOpeners ends a result. It counts what the openers read, and they forget the keys, which are
// not kept beyond a result.
func (s *Session) EndOpeners(openers []Opener, rows uint64) {
	for at := range openers {
		o := &openers[at]
		o.from, o.key, o.col = nil, nil, nil
	}
	s.held.Count()
	s.db.tel.Counts.Opened(s.opened, rows)
	s.opened = telemetry.Cells{}
}

// Kind returns what all columns here hold.
func (o *Opener) Kind() codec.Kind { return o.cols[0].Kind }

// Index returns the index of the result column.
func (o *Opener) Index() int { return o.index }

// Array reports whether the column holds arrays of cells.
func (o *Opener) Array() bool { return o.array }

// Column returns a column that the cells may come from.
func (o *Opener) Column() *schema.Column { return o.cols[0] }

// Open returns the plaintext of a value as the driver below read it. NULL stays NULL.
func (o *Opener) Open(ctx context.Context, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	var out any
	var err error
	if o.array {
		out, err = o.openArray(ctx, v)
	} else {
		out, err = o.openValue(ctx, v, o.private)
	}
	if err != nil {
		return nil, o.fail(ctx, err)
	}
	return out, nil
}

// fail counts an error, and names the column, unless the error does.
func (o *Opener) fail(ctx context.Context, err error) error {
	o.s.db.Rejected(ctx, o.cols[0], err)
	var ce *colseal.CellError
	if errors.As(err, &ce) {
		return err
	}
	col := o.col
	if col == nil || errors.Is(err, codec.ErrFormat) || errors.Is(err, codec.ErrColumnMismatch) {
		col = o.cols[0]
	}
	return OpenError(col, o.Where(), err)
}

// OpenCell opens the cell of a bytea, nil for NULL. It does not change cell, and the plaintext has
// memory of its own. While it waits for a key, the rest of the result may be read.
func (o *Opener) OpenCell(ctx context.Context, cell []byte) (any, error) {
	if cell == nil {
		return nil, nil
	}
	if !o.ready(cell) {
		return o.Open(ctx, bytes.Clone(cell))
	}
	out, err := o.key.OpenValue(o.Kind(), cell, false)
	if err != nil {
		return nil, o.fail(ctx, err)
	}
	o.s.opened.Add(o.key.Header().Suite)
	return out, nil
}

// ready makes o.key the key of a cell, if that is in memory.
func (o *Opener) ready(cell []byte) bool {
	if o.key != nil && o.key.Owns(cell) {
		return true
	}
	h, err := codec.ParseHeader(cell)
	if err != nil {
		return false
	}
	col := o.columnOf(h)
	return col != nil && o.held(col, h)
}

// openValue opens one stored value: the cell as bytes, or its text form. private says
// that v's memory is ours.
func (o *Opener) openValue(ctx context.Context, v any, private bool) (any, error) {
	cell, private, err := o.cell(ctx, v, private)
	if err != nil {
		return nil, err
	}
	out, err := o.key.OpenValue(o.Kind(), cell, private)
	if err == nil {
		o.s.opened.Add(o.key.Header().Suite)
	}
	return out, err
}

// Encoding returns the canonical encoding of the plaintext of a stored value, in the memory of
// stored. stored is the cell's bytes or its text form, and not NULL.
func (o *Opener) Encoding(ctx context.Context, stored []byte) ([]byte, error) {
	enc, err := o.encoding(ctx, stored)
	if err != nil {
		return nil, o.fail(ctx, err)
	}
	return enc, nil
}

func (o *Opener) encoding(ctx context.Context, stored []byte) ([]byte, error) {
	cell := stored
	if !o.ready(stored) {
		var err error
		if cell, _, err = o.cell(ctx, stored, true); err != nil {
			return nil, err
		}
	}
	enc, err := o.key.OpenInPlace(o.Kind(), cell)
	if err == nil {
		o.s.opened.Add(o.key.Header().Suite)
	}
	return enc, err
}

// ArrayText returns the array literal of the plaintexts of stored values. They are as Encoding
// expects them, or nil for NULL.
func (o *Opener) ArrayText(ctx context.Context, stored [][]byte) (string, error) {
	text, err := o.arrayText(ctx, stored)
	if err != nil {
		return "", o.fail(ctx, err)
	}
	return text, nil
}

// cell returns the cell of a stored value and makes o.key its key.
func (o *Opener) cell(ctx context.Context, v any, private bool) ([]byte, bool, error) {
	if cell, ok := v.([]byte); ok && o.key != nil && o.key.Owns(cell) {
		return cell, private, nil
	}
	var room [fewTags]uint16
	tags := o.tags(room[:0])
	cell, private, err := StoredCell(v, private, tags...)
	if err != nil {
		return nil, false, err
	}
	if o.key == nil || !o.key.Owns(cell) {
		var room [fewTags]uint16
		h, err := codec.Recognize(cell, o.tags(room[:0])...)
		if err != nil {
			return nil, false, err
		}
		col := o.columnOf(h)
		if col == nil {
			return nil, false, codec.ErrColumnMismatch
		}
		if !o.held(col, h) {
			cell, private = bytes.Clone(cell), true // its memory may be used to read the rest of the result
			if err := o.findKey(ctx, col, h); err != nil {
				return nil, false, err
			}
		}
	}
	return cell, private, nil
}

// tags appends the tags of the cells that there may be here.
func (o *Opener) tags(dst []uint16) []uint16 {
	for _, col := range o.cols {
		dst = append(dst, col.Tag())
	}
	return dst
}

// fewTags is for how many tags there is room that costs nothing.
const fewTags = 4

// StoredCell returns the bytes of a cell of a column with one of tags, and whether their memory may
// be written to.
func StoredCell(v any, private bool, tags ...uint16) ([]byte, bool, error) {
	switch t := v.(type) {
	case []byte:
		// A driver may give text as []byte. No cell begins like its text form.
		if len(t) < len(codec.TextPrefix) || string(t[:len(codec.TextPrefix)]) != codec.TextPrefix {
			return t, private, nil
		}
		cell, err := codec.DecodeText(t, tags...)
		return cell, true, err
	case string:
		cell, err := codec.DecodeText([]byte(t), tags...)
		return cell, true, err
	}
	return nil, false, fmt.Errorf("%w: the column holds %T", codec.ErrNotSealed, v)
}

// columnOf returns the column whose tag a header has, or nil.
func (o *Opener) columnOf(h codec.Header) *schema.Column {
	for _, col := range o.cols {
		if col.Tag() == h.Tag {
			return col
		}
	}
	return nil
}

// OpeningColumn returns the column with the cell's suite. A column whose mode was changed holds
// cells of both suites until it is re-sealed.
func OpeningColumn(col *schema.Column, h codec.Header) keycache.Column {
	return keycache.Column{Identity: col.Identity(), Suite: h.Suite, Inbox: col.Inbox}
}

// held takes the key of a header if it is in memory.
func (o *Opener) held(col *schema.Column, h codec.Header) bool {
	source := o.s.db.keys.ready.Load()
	if source == nil || source.cache == nil {
		return false
	}
	if !source.cache.Hold(&o.s.held, h.KeyID) {
		return false
	}
	key := o.s.held.Key(OpeningColumn(col, h))
	if key == nil {
		return false
	}
	o.key, o.col = key, col
	return true
}

// findKey asks for the key of a header.
func (o *Opener) findKey(ctx context.Context, col *schema.Column, h codec.Header) error {
	var key *codec.Key
	err := o.s.waiting(ctx, o.from, func() error {
		source, err := o.s.db.keys.get(ctx)
		if err == nil {
			key, err = source.Opener(ctx, OpeningColumn(col, h), h.KeyID)
		}
		return err
	})
	if errors.Is(err, keyring.ErrKeyNotFound) {
		err = unknownKey{err}
	}
	if err != nil {
		return keyError(col, err)
	}
	o.key, o.col = key, col
	return nil
}

// Where names the result column.
func (o *Opener) Where() string {
	return "result column " + strconv.Itoa(o.index) + ", " + strconv.Quote(o.name)
}

// openArray opens an array of cells, which arrives as an array literal, and returns the
// literal of the plaintexts.
func (o *Opener) openArray(ctx context.Context, v any) (any, error) {
	var literal string
	switch t := v.(type) {
	case string:
		literal = t
	case []byte:
		literal = string(t)
	default:
		return nil, fmt.Errorf("%w: an array of cells arrives as %T", codec.ErrFormat, v)
	}
	elems, err := pgarray.Parse(literal)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", codec.ErrFormat, err)
	}
	stored := make([][]byte, len(elems))
	for i, e := range elems {
		if e.Null {
			continue
		}
		if stored[i], err = StoredText(e.Text); err != nil {
			return nil, err
		}
	}
	text, err := o.arrayText(ctx, stored)
	if err != nil {
		return nil, err
	}
	return text, nil
}

// StoredText returns what a column stores, of the text of an array's element: the text itself, or the
// bytes of a bytea, which are those of a cell where bytea_output is escape.
func StoredText(text string) ([]byte, error) {
	if !strings.HasPrefix(text, `\x`) && !strings.HasPrefix(text, `\001`) {
		return []byte(text), nil
	}
	return Bytea([]byte(text))
}

// Bytea decodes the text of a bytea into other memory: what a result holds may be read again.
func Bytea(text []byte) ([]byte, error) {
	if digits, ok := bytes.CutPrefix(text, []byte(`\x`)); ok {
		b := make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(b, digits); err == nil {
			return b, nil
		}
	} else if b, refused := pgvalue.Bytes(string(text)); refused == nil { // bytea_output is escape
		return b, nil
	}
	return nil, fmt.Errorf("%w: not the text of a bytea", codec.ErrFormat)
}

func (o *Opener) arrayText(ctx context.Context, stored [][]byte) (string, error) {
	out := []byte{'{'}
	for i, s := range stored {
		if i > 0 {
			out = append(out, ',')
		}
		if s == nil {
			out = append(out, "NULL"...)
			continue
		}
		plain, err := o.openValue(ctx, s, true)
		if err != nil {
			return "", err
		}
		if b, ok := plain.([]byte); ok && o.Kind() == schema.KindBytes {
			plain = `\x` + hex.EncodeToString(b)
		}
		if out, err = appendPlain(out, o.Kind(), plain); err != nil {
			return "", err
		}
	}
	return string(append(out, '}')), nil
}

// appendPlain writes a plaintext as PostgreSQL writes an element of its type.
func appendPlain(dst []byte, kind codec.Kind, v any) ([]byte, error) {
	switch t := v.(type) {
	case string:
		return pgarray.AppendElement(dst, t), nil
	case []byte: // JSON; bytea comes as its text
		return pgarray.AppendElement(dst, string(t)), nil
	case int64:
		return strconv.AppendInt(dst, t, 10), nil
	case float64:
		return pgarray.AppendElement(dst, strconv.FormatFloat(t, 'g', -1, 64)), nil
	case bool:
		if t {
			return append(dst, 't'), nil
		}
		return append(dst, 'f'), nil
	case time.Time:
		return pgarray.AppendElement(dst, string(codec.AppendTime(nil, kind, t))), nil
	}
	return nil, fmt.Errorf("%w: %T in an array", codec.ErrFormat, v)
}
