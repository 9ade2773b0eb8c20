package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"
)

// canonicalNaN is the one NaN that is sealed, as PostgreSQL holds all NaNs to be equal.
const canonicalNaN = 0x7ff8000000000000

// AppendUnsealed appends v to dst as [Key.SealInPlace] takes it: the room of its cell, with kind
// byte and encoding at their place. The cell's key need not be known yet. It accepts what
// [AppendValue] accepts, and returns its errors; then the returned slice is nil and what was
// written beyond len(dst) is wiped. It allocates only if dst lacks capacity for [CellSize] bytes,
// or that was a guess too low.
func (s Session) AppendUnsealed(dst []byte, layout Layout, kind Kind, v any) ([]byte, error) {
	if kind == KindText && layout.Suite == SuiteRandomized {
		if text, ok := v.(string); ok {
			return AppendUnsealedText(dst, text)
		}
	}
	n, off, size := len(dst), len(dst)+layout.bodyOffset(), CellSize(layout, kind, v)
	if size > maxPlaintext {
		if err := checkGiven(kind, v); err != nil {
			return nil, err
		}
	}
	buf := grow(dst, size)[:off+kindSize]
	buf[off] = byte(kind)
	out, err := s.AppendValue(buf, kind, layout.Suite, v)
	if err == nil {
		err = checkSeal(layout, kind, out[off+kindSize:])
	}
	if err != nil {
		clear(buf[n : n+size])
		clear(out[min(n, len(out)):])
		return nil, err
	}
	tail := layout.Overhead() - layout.bodyOffset() - kindSize // what stands behind the text
	return grow(out, tail)[:len(out)+tail], nil
}

// AppendUnsealedText is [Session.AppendUnsealed] of a text for a randomized column: most values are
// that. The text means the same in every session.
func AppendUnsealedText(dst []byte, text string) ([]byte, error) {
	if err := checkLength(KindText, len(text)); err != nil {
		return nil, err
	}
	if !validTextString(text) {
		return nil, errBadText(KindText)
	}
	off, size := len(dst)+Layout{Suite: SuiteRandomized}.bodyOffset(), overheadRandomized+len(text)
	dst = grow(dst, size)[:len(dst)+size]
	dst[off] = byte(KindText)
	copy(dst[off+kindSize:], text)
	return dst, nil
}

// SealInPlace makes a cell of what [Session.AppendUnsealed] appended for the layout of k, and what
// is compared with cells of what [Session.AppendCompared] or [AppendBound] did. A column with terms
// has no such layout: see [Key.Seal]. It allocates nothing.
func (k *Key) SealInPlace(cell []byte, nonces *Nonces) {
	switch {
	case IsBound(cell):
		k.sealBound(cell)
	case k.layout.Order != nil && len(cell) == HeaderSize+k.layout.Order.Size()+betweenTail:
		k.sealBetween(cell)
	default:
		k.sealInPlace(cell[:len(cell)-k.layout.Overhead()+k.layout.bodyOffset()+kindSize], nonces)
	}
}

// CellSize returns the length in bytes of the cell of v as kind: exact where the encoding's length
// does not depend on a conversion, a guess elsewhere.
func CellSize(layout Layout, kind Kind, v any) int { return layout.Overhead() + sizeHint(kind, v) }

// sizeHint returns the length of v's encoding, exact for the usual types. A wrong one costs an
// allocation.
func sizeHint(kind Kind, v any) int {
	switch kind {
	case KindInt, KindFloat, KindTime, KindTimestamp:
		return 8
	case KindDate:
		return 4
	case KindBool:
		return 1
	case KindUUID:
		return 16
	}
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	case json.RawMessage:
		return len(v)
	}
	return 64
}

// OpenValue opens cell, which must hold a value of kind, and returns the Go value of that kind's
// type (see [Kind]). The error is one of [Key.Open]; then the value is nil.
//
// With inPlace the caller gives cell up: the plaintext is made in cell's memory and a string or
// []byte result aliases it, so nobody may read or write cell afterwards. Without it, cell is not
// changed and the result is in new memory.
func (k *Key) OpenValue(kind Kind, cell []byte, inPlace bool) (any, error) {
	switch {
	case inPlace:
		encoding, err := k.OpenInPlace(kind, cell)
		if err != nil {
			return nil, err
		}
		return decodeInPlace(kind, encoding)
	case kind.small() && len(cell) <= smallBuffer:
		buf := smallBuffers.Get().(*[smallBuffer]byte)
		defer smallBuffers.Put(buf)
		defer clear(buf[:])
		encoding, err := k.Open(buf[:0], kind, cell)
		if err != nil {
			return nil, err
		}
		return DecodeValue(kind, encoding)
	default:
		encoding, err := k.Open(nil, kind, cell)
		if err != nil {
			return nil, err
		}
		return decodeInPlace(kind, encoding)
	}
}

// smallBuffers holds wiped scratch for opening values of fixed length, whose Go values alias
// nothing: they cost no more allocations than the interface that carries them.
var smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}

const smallBuffer = 64

// small reports whether the encoding is of a fixed length and its Go value does not alias it.
func (k Kind) small() bool {
	return k >= KindInt && k <= KindTime || k == KindUUID || k == KindDate || k == KindTimestamp
}

// AppendValue appends the canonical encoding of v as kind to dst. Values that are the same for kind
// are encoded the same whatever their Go type: int32(7), int64(7) and "7" for KindInt. For
// SuiteDeterministic the encoding is also the same for values that PostgreSQL holds to be equal:
// 1.50 and 1.5 for KindNumeric, -0 and 0 for KindFloat. For SuiteRandomized numeric scale and the
// sign of zero are kept.
//
// It accepts the Go types that a value of the kind may reasonably have, named types and pointers to
// them, their text as PostgreSQL reads it, and every driver.Valuer that yields one of these. What a
// value is made of comes before what it prints as: a MarshalText method counts only for a type that
// could not be sealed otherwise.
//
// Text whose meaning depends on settings of the database session is refused: see [Session].
//
// The error is ErrNull for nil, nil pointers, nil slices, nil maps and Valuers that yield nil, else
// ErrValue. It never holds the value.
func AppendValue(dst []byte, kind Kind, suite Suite, v any) ([]byte, error) {
	return Session{}.AppendValue(dst, kind, suite, v)
}

// Session holds the settings of a database session that decide what a text means. In the zero value
// none is known, and text that depends on one is refused.
type Session struct {
	// TimeZone is where the text of an instant is local time if it names no zone. If nil, such text
	// is refused.
	TimeZone *time.Location
	// NullWords says that NULL without quotes in the literal of an array is a word like others: the
	// setting array_nulls is off.
	NullWords bool
}

// AppendValue is the function of that name for text given in session s. It allocates no more.
func (s Session) AppendValue(dst []byte, kind Kind, suite Suite, v any) ([]byte, error) {
	switch kind {
	case KindText: // the usual argument, without the detour
		if text, ok := v.(string); ok {
			if err := checkLength(kind, len(text)); err != nil {
				return nil, err
			}
			if !validTextString(text) {
				return nil, errBadText(kind)
			}
			return append(dst, text...), nil
		}
	case KindJSON:
		return appendJSON(dst, suite, v)
	case KindTextArray, KindIntArray:
		return s.appendArray(dst, kind, v)
	}
	if !kind.Valid() {
		return nil, refuse(kind, "no such kind")
	}
	if err := checkGiven(kind, v); err != nil {
		return nil, err
	}
	in, err := read(kind, v)
	if err != nil {
		return nil, err
	}
	switch kind {
	case KindText:
		return appendText(dst, kind, &in)
	case KindBytes:
		return appendBytes(dst, &in)
	case KindInt:
		i, err := in.toInt(kind)
		if err != nil {
			return nil, err
		}
		return binary.BigEndian.AppendUint64(dst, uint64(i)), nil
	case KindFloat:
		return appendFloat(dst, suite, &in)
	case KindBool:
		b, err := in.toBool()
		if err != nil {
			return nil, err
		}
		if b {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case KindTime:
		return s.appendTime(dst, &in)
	case KindDate:
		return appendDate(dst, &in)
	case KindTimestamp:
		return appendTimestamp(dst, &in)
	case KindUUID:
		return appendUUID(dst, &in)
	default:
		return appendNumeric(dst, suite, &in)
	}
}

// DecodeValue returns the Go value of a canonical encoding of kind, as [AppendValue] writes it or
// [Key.Open] returns it; it does not retain encoding. The error is ErrFormat if the encoding has a
// length that kind does not have. Other encodings that are not canonical give some value or other.
func DecodeValue(kind Kind, encoding []byte) (any, error) {
	switch kind {
	case KindBytes, KindJSON:
		return append(make([]byte, 0, len(encoding)), encoding...), nil
	case KindText, KindNumeric, KindTextArray, KindIntArray:
		return string(encoding), nil
	}
	return decodeFixed(kind, encoding)
}

// decodeInPlace is DecodeValue, but a string or []byte that it returns shares the memory of
// encoding, which must never change again.
func decodeInPlace(kind Kind, encoding []byte) (any, error) {
	switch kind {
	case KindBytes, KindJSON:
		return encoding, nil
	case KindText, KindNumeric, KindTextArray, KindIntArray:
		return stringOf(encoding), nil
	}
	return decodeFixed(kind, encoding)
}

// decodeFixed decodes the kinds whose encodings have one length.
func decodeFixed(kind Kind, b []byte) (any, error) {
	size := 8
	switch kind {
	case KindBool:
		size = 1
	case KindUUID:
		size = 16
	case KindDate:
		size = 4
	}
	if len(b) != size {
		return nil, fmt.Errorf("%w: not an encoding of %s", ErrFormat, kind)
	}
	switch kind {
	case KindInt:
		return int64(binary.BigEndian.Uint64(b)), nil
	case KindFloat:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case KindBool:
		return b[0] == 1, nil
	case KindTime:
		return decodeMicros(int64(binary.BigEndian.Uint64(b)), time.Local), nil
	case KindTimestamp:
		return decodeMicros(int64(binary.BigEndian.Uint64(b)), time.UTC), nil
	case KindDate:
		return decodeDate(int32(binary.BigEndian.Uint32(b))), nil
	case KindUUID:
		return formatUUID([16]byte(b)), nil
	}
	return nil, fmt.Errorf("%w: %s is not known to this version", ErrFormat, kind)
}

// canonical reports whether b is what AppendValue writes for kind and suite. JSON was parsed when
// it was sealed, and is not again.
func canonical(kind Kind, suite Suite, b []byte) bool {
	switch kind {
	case KindText:
		return validText(b)
	case KindBytes:
		return true
	// A time of any year: earlier versions sealed those beyond PostgreSQL's range, too.
	case KindInt, KindTime:
		return len(b) == 8
	case KindDate:
		return len(b) == 4 && canonicalDate(int32(binary.BigEndian.Uint32(b)))
	case KindTimestamp:
		return len(b) == 8 && canonicalMicros(int64(binary.BigEndian.Uint64(b)))
	case KindFloat:
		return canonicalFloat(suite, b)
	case KindBool:
		return len(b) == 1 && b[0] <= 1
	case KindUUID:
		return len(b) == 16
	case KindJSON:
		return !suite.Searchable() || compact(b)
	case KindNumeric:
		return canonicalNumeric(suite, stringOf(b))
	case KindTextArray, KindIntArray:
		return canonicalArray(kind, stringOf(b))
	}
	return false
}

func canonicalFloat(suite Suite, b []byte) bool {
	if len(b) != 8 {
		return false
	}
	bits := binary.BigEndian.Uint64(b)
	f := math.Float64frombits(bits)
	return (f == f || bits == canonicalNaN) && (bits != 1<<63 || !suite.Searchable())
}

// compact reports whether a JSON text has no white space between its tokens.
func compact(b []byte) bool {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return false
		}
	}
	return true
}

func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// validText reports what PostgreSQL accepts as text in UTF-8: it has no NUL.
func validText(b []byte) bool {
	b = b[plainASCII(b):]
	return len(b) == 0 || utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
}

func validTextString(s string) bool { return validText(bytesOf(s)) }

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// plainASCII returns how many bytes at the beginning of b are known to be ASCII without NUL: all of
// most texts. It looks at eight at a time: where none is zero, subtracting one from each borrows
// nothing, and sets no high bit.
func plainASCII(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		if w := binary.LittleEndian.Uint64(b[n:]); (w|(w-ones))&highs != 0 {
			return n
		}
	}
	for ; n < len(b); n++ {
		if b[n]-1 >= utf8.RuneSelf-1 {
			return n
		}
	}
	return n
}
