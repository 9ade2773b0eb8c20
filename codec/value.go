package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"
)

// canonicalNaN is the one NaN that is sealed, as PostgreSQL holds all NaNs to be equal.
const canonicalNaN = 0x7ff8000000000000

// SealValue seals v as kind, in one allocation where the encoding's length is known beforehand, and returns the cell. It accepts
// what [AppendValue] accepts, and returns its errors.
func (k *Key) SealValue(kind Kind, v any) ([]byte, error) {
	return k.AppendSealed(nil, kind, v)
}

// AppendSealed is SealValue into dst's spare capacity: it appends the cell of v and returns the extended slice. It allocates only if
// dst lacks capacity for [CellSize] bytes, or that was a guess too low. On error the returned slice is nil and what was written beyond
// len(dst) is wiped.
func (k *Key) AppendSealed(dst []byte, kind Kind, v any) ([]byte, error) {
	n, off, size := len(dst), len(dst)+k.bodyOffset(), CellSize(k.header.Suite, kind, v)
	buf := grow(dst, size)[:off+kindSize]
	buf[off] = byte(kind)
	out, err := AppendValue(buf, kind, k.header.Suite, v)
	if err == nil {
		err = checkSeal(kind, len(out)-off-kindSize)
	}
	if err != nil {
		clear(buf[n : n+size])
		clear(out[min(n, len(out)):])
		return nil, err
	}
	return k.sealInPlace(out, n), nil
}

// CellSize is the length in bytes of the cell of v as kind: exact where the encoding's length does not depend on a conversion, a
// guess elsewhere.
func CellSize(suite Suite, kind Kind, v any) int { return suite.Overhead() + sizeHint(kind, v) }

// sizeHint is the length of v's encoding, exact for the usual types. A wrong one costs an allocation.
func sizeHint(kind Kind, v any) int {
	switch kind {
	case KindInt, KindFloat, KindTime:
		return 8
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

// OpenValue opens cell, which must hold a value of kind, and returns the Go value of that kind's type (see [Kind]). The error is one of
// [Key.Open], ErrKind if the cell holds another kind, or ErrFormat if its encoding is not canonical; then the value is nil.
//
// With inPlace the caller gives cell up: the plaintext is made in cell's memory and a string or []byte result aliases it, so nobody may
// read or write cell afterwards. Without it, cell is not changed and the result is in new memory.
func (k *Key) OpenValue(kind Kind, cell []byte, inPlace bool) (any, error) {
	switch {
	case inPlace:
		got, plaintext, err := k.OpenInPlace(cell)
		return finishOpen(kind, got, plaintext, err)
	case kind.small() && len(cell) <= smallBuffer:
		buf := smallBuffers.Get().(*[smallBuffer]byte)
		got, plaintext, err := k.Open(buf[:0], cell)
		v, err := finishOpen(kind, got, plaintext, err)
		clear(buf[:])
		smallBuffers.Put(buf)
		return v, err
	default:
		got, plaintext, err := k.Open(nil, cell)
		return finishOpen(kind, got, plaintext, err)
	}
}

// finishOpen decodes a plaintext that belongs to nobody else.
func finishOpen(want, got Kind, plaintext []byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if got != want {
		clear(plaintext)
		return nil, fmt.Errorf("%w: it holds %s, the column is declared %s", ErrKind, got, want)
	}
	if want == KindText && validText(plaintext) {
		return unsafe.String(unsafe.SliceData(plaintext), len(plaintext)), nil
	}
	return decodeValue(want, plaintext, true)
}

// smallBuffers holds wiped scratch for opening values of fixed length, whose Go values alias nothing: they cost no more allocations than
// the interface that carries them.
var smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}

const smallBuffer = 64

// small reports whether the encoding is of a fixed length and its Go value does not alias it.
func (k Kind) small() bool {
	return k >= KindInt && k <= KindTime || k == KindUUID
}

// AppendValue appends the canonical encoding of v as kind to dst. Values that are the same for kind are encoded the same whatever
// their Go type: int32(7), int64(7) and "7" for KindInt. For SuiteDeterministic the encoding is also the same for values
// that PostgreSQL holds to be equal: 1.50 and 1.5 for KindNumeric, -0 and 0 for KindFloat. For SuiteRandomized numeric scale and
// the sign of zero are kept.
//
// It accepts the Go types that a value of the kind may reasonably have, named types and pointers to them, their text as
// PostgreSQL reads it, and every driver.Valuer that yields one of these.
//
// The error is ErrNull for nil, nil pointers, nil slices, nil maps and Valuers that yield nil, else ErrValue. It never
// holds the value.
func AppendValue(dst []byte, kind Kind, suite Suite, v any) ([]byte, error) {
	switch kind {
	case KindText: // the usual argument, without the detour
		if s, ok := v.(string); ok {
			if !validTextString(s) {
				return nil, errBadText(kind)
			}
			return append(dst, s...), nil
		}
	case KindJSON:
		return appendJSON(dst, suite, v)
	case KindTextArray, KindIntArray:
		return appendArray(dst, kind, v)
	}
	if !kind.Valid() {
		return nil, refuse(kind, "no such kind")
	}
	in, err := read(kind, v)
	if err != nil {
		return nil, err
	}
	switch kind {
	case KindText:
		return appendText(dst, kind, in)
	case KindBytes:
		return appendBytes(dst, in)
	case KindInt:
		i, err := in.toInt(kind)
		if err != nil {
			return nil, err
		}
		return binary.BigEndian.AppendUint64(dst, uint64(i)), nil
	case KindFloat:
		return appendFloat(dst, suite, in)
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
		return appendTime(dst, in)
	case KindUUID:
		return appendUUID(dst, in)
	default:
		return appendNumeric(dst, suite, in)
	}
}

// DecodeValue returns the Go value of an encoding that AppendValue made for kind; it does not retain b. The error is ErrFormat if b is
// not canonical: of the wrong length, invalid UTF-8, a numeric or array that AppendValue would write otherwise. JSON is taken as it
// is, for it was parsed when it was sealed.
func DecodeValue(kind Kind, b []byte) (any, error) {
	return decodeValue(kind, b, false)
}

// decodeValue is DecodeValue; with alias the result may share b's memory, which then must never change again.
func decodeValue(kind Kind, b []byte, alias bool) (any, error) {
	text := func() string {
		if alias {
			return unsafe.String(unsafe.SliceData(b), len(b))
		}
		return string(b)
	}
	ok := false
	switch kind {
	case KindText:
		if validText(b) {
			return text(), nil
		}
	case KindBytes, KindJSON:
		if alias {
			return b, nil
		}
		return append(make([]byte, 0, len(b)), b...), nil
	case KindInt:
		if len(b) == 8 {
			return int64(binary.BigEndian.Uint64(b)), nil
		}
	case KindFloat:
		var f float64
		if f, ok = decodeFloat(b); ok {
			return f, nil
		}
	case KindBool:
		if len(b) == 1 && b[0] <= 1 {
			return b[0] == 1, nil
		}
	case KindTime:
		if len(b) == 8 {
			return time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC(), nil
		}
	case KindUUID:
		if len(b) == 16 {
			return formatUUID([16]byte(b)), nil
		}
	case KindNumeric:
		if s := text(); canonicalNumeric(s) {
			return s, nil
		}
	case KindTextArray, KindIntArray:
		if s := text(); canonicalArray(kind, s) {
			return s, nil
		}
	default:
		return nil, unknownKind(kind)
	}
	return nil, fmt.Errorf("%w: not the canonical encoding of %s", ErrFormat, kind)
}

func decodeFloat(b []byte) (float64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	bits := binary.BigEndian.Uint64(b)
	f := math.Float64frombits(bits)
	return f, f == f || bits == canonicalNaN
}

// validText reports what PostgreSQL accepts as text in UTF-8: it has no NUL.
func validText(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
}

func validTextString(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
