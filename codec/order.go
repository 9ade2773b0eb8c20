package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Order is what the order of an ordered column's cells means: the kind of its values and, if they
// are bounded, the least and the greatest value and the step between two neighbours. It is a part
// of the column's identity ([Order.Suffix]), so that a cell that was sealed under other bounds is
// one of another column. It is never changed.
type Order struct {
	kind    Kind
	bounded bool
	// Of all kinds but numeric: order numbers, and how many of them a step is.
	min, max, step uint64
	decimals       *decimals // of numeric
	greatest       uint64    // number of a value
	width          int       // bits of that number
	suffix         string
}

// decimals are the bounds and the step of a numeric column, times 10^scale.
type decimals struct {
	scale          int
	min, max, step *big.Int
	digits         int // before the point, of the longer bound
}

// orderMark begins the part of an identity that says what the order is.
const orderMark = "#ord:"

// place says where a value stands among those that a column can hold.
type place uint8

const (
	storable place = iota
	below          // less than all of them
	above          // greater than all of them
	between        // two neighbours
)

// Orderable reports whether the values of a kind can be sealed so that their cells sort as they do,
// and if not, why.
func Orderable(kind Kind) (reason string, ok bool) {
	switch kind {
	case KindInt, KindDate, KindTimestamp, KindTime, KindFloat, KindNumeric:
		return "", true
	case KindBool:
		return "two values have no order that is worth showing", false
	case KindUUID:
		return "the order of identifiers means nothing; deterministic,cursor pages through them and shows less", false
	case KindText, KindBytes:
		return "an order by leading bits would show most of a text, and a collation's order is another one", false
	}
	return "the database itself sorts such values by rules that no cell can follow", false
}

// ParseOrder makes the Order of a column. least, greatest and step are as a tag has them: values of
// the kind in the texts that [AppendValue] reads, and a step of a time or timestamp as a Go
// duration, of a date in days. Empty: a column without bounds, which numeric cannot be. A step is 1
// if it is not given: a microsecond, a day. A float has none. The error is about the declaration,
// and can be shown.
func ParseOrder(kind Kind, least, greatest, step string) (*Order, error) {
	if reason, ok := Orderable(kind); !ok {
		return nil, fmt.Errorf("%s cannot be ordered: %s", kind, reason)
	}
	switch {
	case (least == "") != (greatest == ""):
		return nil, errors.New("min= and max= are given together or not at all")
	case least == "" && step != "":
		return nil, errors.New("step= needs min= and max=")
	case least == "" && kind == KindNumeric:
		return nil, errors.New("numeric has no least and no greatest value: give min=, max= and step=")
	case kind == KindNumeric && step == "":
		return nil, errors.New("numeric needs step=, such as 0.01")
	case kind == KindFloat && step != "":
		return nil, errors.New("a float has no step=")
	case least == "":
		return newOrder(&Order{kind: kind})
	case kind == KindNumeric:
		return decimalOrder(least, greatest, step)
	}
	o := &Order{kind: kind, bounded: true, step: 1}
	for _, bound := range []struct {
		name, text string
		to         *uint64
	}{{"min", least, &o.min}, {"max", greatest, &o.max}} {
		encoding, err := AppendValue(nil, kind, SuiteDeterministic, bound.text)
		if err != nil {
			hint := ""
			if kind == KindTime {
				hint = ", with its zone: 2020-01-01T00:00:00Z"
			}
			return nil, fmt.Errorf("%s=%s is no value of kind %s%s", bound.name, bound.text, kind, hint)
		}
		if !finite(kind, encoding) {
			return nil, fmt.Errorf("%s= is infinite, or no number", bound.name)
		}
		*bound.to = number(kind, encoding)
	}
	if step != "" {
		var err error
		if o.step, err = parseStep(kind, step); err != nil {
			return nil, err
		}
	}
	return newOrder(o)
}

func parseStep(kind Kind, s string) (uint64, error) {
	if kind == KindTime || kind == KindTimestamp {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d%time.Microsecond != 0 {
			return 0, fmt.Errorf("step=%s is no positive duration of whole microseconds, such as 1s", s)
		}
		return uint64(d / time.Microsecond), nil //nolint:gosec // positive
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("step=%s is no positive whole number", s)
	}
	return n, nil
}

func decimalOrder(least, greatest, step string) (*Order, error) {
	var texts [3]string
	for i, s := range []string{least, greatest, step} {
		text, err := AppendValue(nil, KindNumeric, SuiteDeterministic, s)
		if err != nil || strings.ContainsAny(string(text), "aI") { // NaN and Infinity
			return nil, fmt.Errorf("%s is no decimal number", s)
		}
		texts[i] = string(text)
	}
	d := &decimals{}
	for _, s := range texts {
		whole, fraction, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
		d.scale, d.digits = max(d.scale, len(fraction)), max(d.digits, len(whole))
	}
	d.min, _ = d.scaled(texts[0])
	d.max, _ = d.scaled(texts[1])
	d.step, _ = d.scaled(texts[2])
	if d.step.Sign() <= 0 {
		return nil, fmt.Errorf("step=%s is not positive", step)
	}
	return newOrder(&Order{kind: KindNumeric, bounded: true, decimals: d, suffix: orderMark + KindNumeric.String() + ":" + strings.Join(texts[:], ":")})
}

// scaled returns a canonical decimal times 10^scale, rounded down, and whether that changed it.
func (d *decimals) scaled(s string) (n *big.Int, rounded bool) {
	s, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > d.scale {
		rounded = strings.Trim(fraction[d.scale:], "0") != ""
		fraction = fraction[:d.scale]
	}
	n, _ = new(big.Int).SetString(whole+fraction+strings.Repeat("0", d.scale-len(fraction)), 10)
	if negative {
		if rounded {
			n.Add(n, big.NewInt(1))
		}
		n.Neg(n)
	}
	return n, rounded
}

// newOrder completes an Order with its width and its suffix.
func newOrder(o *Order) (*Order, error) {
	most := uint64(1<<64 - 1) // the greatest number of a value
	switch {
	case o.decimals != nil:
		d := o.decimals
		steps, rest := new(big.Int).QuoRem(new(big.Int).Sub(d.max, d.min), d.step, new(big.Int))
		switch {
		case steps.Sign() < 0 || steps.Sign() == 0 && rest.Sign() <= 0:
			return nil, errors.New("min= is not less than max=")
		case rest.Sign() != 0:
			return nil, errors.New("max= is no whole number of steps from min=")
		case !steps.IsUint64():
			return nil, errors.New("there are more than 2^64 steps from min= to max=")
		}
		most = steps.Uint64()
	case o.bounded:
		if o.min >= o.max {
			return nil, errors.New("min= is not less than max=")
		}
		if (o.max-o.min)%o.step != 0 {
			return nil, errors.New("max= is no whole number of steps from min=")
		}
		most = (o.max - o.min) / o.step
		o.suffix = fmt.Sprintf("%s%s:%s:%s:%d", orderMark, o.kind, o.numeral(o.min), o.numeral(o.max), o.step)
	default:
		if o.kind == KindDate {
			most = 1<<32 - 1
		}
		o.suffix = orderMark + o.kind.String()
	}
	o.greatest, o.width = most, bits.Len64(most)
	return o, nil
}

// numeral writes an order number as an identity has it: of a float the encoding in hexadecimal,
// else the number that is encoded.
func (o *Order) numeral(n uint64) string {
	switch o.kind {
	case KindFloat:
		if n>>63 != 0 {
			return fmt.Sprintf("%016x", n&^(1<<63))
		}
		return fmt.Sprintf("%016x", ^n)
	case KindDate:
		return strconv.FormatInt(int64(n)-1<<31, 10) //nolint:gosec // 32 bits
	}
	return strconv.FormatInt(int64(n^1<<63), 10) //nolint:gosec // two's complement
}

// number returns the order number of a canonical encoding of any kind but numeric: numbers compare
// as the values do.
func number(kind Kind, encoding []byte) uint64 {
	if kind == KindDate {
		return uint64(binary.BigEndian.Uint32(encoding) ^ 1<<31)
	}
	n := binary.BigEndian.Uint64(encoding)
	if kind == KindFloat && n>>63 != 0 {
		return ^n
	}
	return n ^ 1<<63
}

// finite reports whether a canonical encoding is that of a finite value.
func finite(kind Kind, encoding []byte) bool {
	switch n := number(kind, encoding); kind {
	case KindFloat:
		return n > ^uint64(0xfff0<<48) && n < 0x7ff0<<48|1<<63
	case KindDate:
		return n != 0 && n != 1<<32-1
	case KindTime, KindTimestamp:
		return n != 0 && n != 1<<64-1
	}
	return true
}

// Suffix returns what stands at the end of the identity of an ordered column: "#ord:int",
// "#ord:date:0:36524:1".
func (o *Order) Suffix() string { return o.suffix }

// CutOrder cuts the [Order.Suffix] off an identity. ok: it had one.
func CutOrder(identity string) (before string, ok bool) {
	i := strings.LastIndex(identity, orderMark)
	if i < 0 {
		return identity, false
	}
	return identity[:i], true
}

// Size returns the length in bytes of the order term of a cell, and the number of bits of a value
// that its cell shows to be the first that differs from another's.
func (o *Order) Size() int { return o.width }

// orderOf reads the Order out of an identity.
func orderOf(identity string) (*Order, error) {
	bad := fmt.Errorf("%w: the column has no order, which its identity ends in (%sint), and %s cells have", ErrSuite, orderMark, SuiteOrdered)
	i := strings.LastIndex(identity, orderMark)
	if i < 0 {
		return nil, bad
	}
	parts := strings.Split(identity[i+len(orderMark):], ":")
	kind, err := ParseKind(parts[0])
	if err != nil {
		return nil, bad
	}
	if _, ok := Orderable(kind); !ok || len(parts) != 1 && len(parts) != 4 {
		return nil, bad
	}
	var o *Order
	switch {
	case len(parts) == 1:
		o, err = ParseOrder(kind, "", "", "")
	case kind == KindNumeric:
		o, err = decimalOrder(parts[1], parts[2], parts[3])
	default:
		o = &Order{kind: kind, bounded: true}
		least, minErr := parseNumeral(kind, parts[1])
		greatest, maxErr := parseNumeral(kind, parts[2])
		step, stepErr := strconv.ParseUint(parts[3], 10, 64)
		if err = errors.Join(minErr, maxErr, stepErr); err == nil && step > 0 {
			o.min, o.max, o.step = least, greatest, step
			o, err = newOrder(o)
		}
	}
	if err != nil || o.suffix != identity[i:] {
		return nil, bad
	}
	return o, nil
}

func parseNumeral(kind Kind, s string) (uint64, error) {
	switch kind {
	case KindFloat:
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != 8 {
			return 0, ErrFormat
		}
		return number(kind, b), nil
	case KindDate:
		n, err := strconv.ParseInt(s, 10, 32)
		return uint64(n + 1<<31), err //nolint:gosec // not negative
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return uint64(n) ^ 1<<63, err //nolint:gosec // two's complement
}

// Greatest returns how many steps the greatest value is above the least one; ok is false for a
// column without bounds.
func (o *Order) Greatest() (steps uint64, ok bool) { return o.greatest, o.bounded || o.decimals != nil }

// place returns where a canonical encoding stands, and the number of its value: that of the next
// less one if it stands between two.
func (o *Order) place(encoding []byte) (x uint64, at place) {
	if o.decimals != nil {
		return o.decimals.place(string(encoding))
	}
	n := number(o.kind, encoding)
	if !o.bounded {
		return n, storable
	}
	switch {
	case n < o.min:
		return 0, below
	case n > o.max:
		return 0, above
	}
	if n -= o.min; n%o.step != 0 {
		return n / o.step, between
	}
	return n / o.step, storable
}

func (d *decimals) place(s string) (x uint64, at place) {
	switch s {
	case "NaN", "Infinity":
		return 0, above
	case "-Infinity":
		return 0, below
	}
	positive, negative := strings.CutPrefix(s, "-")
	// Without looking at the many digits that it may have.
	if whole, _, _ := strings.Cut(positive, "."); len(whole) > d.digits {
		if negative {
			return 0, below
		}
		return 0, above
	}
	n, rounded := d.scaled(s)
	if n.Cmp(d.min) < 0 {
		return 0, below
	}
	if c := n.Cmp(d.max); c > 0 || c == 0 && rounded {
		return 0, above
	}
	steps, rest := n.QuoRem(n.Sub(n, d.min), d.step, new(big.Int))
	if rounded || rest.Sign() != 0 {
		return steps.Uint64(), between
	}
	return steps.Uint64(), storable
}

// check refuses a value that the column cannot hold.
func (o *Order) check(kind Kind, encoding []byte) error {
	if kind != o.kind {
		return refuse(kind, "the column's order is one of "+o.kind.String())
	}
	switch _, at := o.place(encoding); at {
	case storable:
		return nil
	case between:
		return refuse(kind, "it stands between two steps of the column")
	}
	return refuse(kind, "it is outside of the column's bounds")
}

// A block of the pseudo-random function serves orderBits bits: it has a number for the first of
// them, two for the second, and four for the third, one for each value of those before. A number
// has two bytes.
const orderBits = 3

// appendTerm appends the order term of a value's number: a byte for each bit, the first one first.
// It is a pseudo-random number from 0 to 254 that depends on the bits before, plus the bit: of two
// terms the first byte that differs is that of the first bit that differs, and differs by that.
func (k *Key) appendTerm(dst []byte, x uint64) []byte {
	s := k.macStates.Get().(*macState)
	w := k.layout.Order.width
	var term [64 + orderBits - 1]byte // the last block may have more bits than there are
	for at := 0; at < w; {
		n := min((w-at+orderBits-1)/orderBits, len(s.stream)/aes.BlockSize)
		stream := s.stream[:n*aes.BlockSize]
		clear(stream)
		for i, b := 0, stream; i < n; i, b = i+1, b[aes.BlockSize:] {
			b[0] = byte(at + orderBits*i)
			binary.BigEndian.PutUint64(b[8:], x>>(w-at-orderBits*i))
		}
		// All of them first, so that the processor can overlap the encryptions that follow.
		for b := stream; len(b) > 0; b = b[aes.BlockSize:] {
			k.encryptBlock(b[:aes.BlockSize])
		}
		for b := stream; len(b) > 0; b = b[aes.BlockSize:] {
			bits := (x >> max(w-at-orderBits, 0) << max(at+orderBits-w, 0)) % (1 << orderBits)
			out := term[at : at+orderBits]
			out[0] = orderByte(b, bits>>2)
			out[1] = orderByte(b[2+2*(bits>>2):], bits>>1&1)
			out[2] = orderByte(b[6+2*(bits>>1):], bits&1)
			at += orderBits
		}
		clear(stream)
	}
	k.macStates.Put(s)
	return append(dst, term[:w]...)
}

// orderByte returns the byte of a bit, whose number is the first two bytes of b.
func orderByte(b []byte, bit uint64) byte { return byte(binary.BigEndian.Uint16(b)%255) + byte(bit) }

// encryptBlock encrypts a block in place under K_order.
func (k *Key) encryptBlock(b []byte) {
	if !approved {
		k.orderBlock.Encrypt(b, b)
		return
	}
	// The first block of an approved mode's key stream.
	var in [aes.BlockSize]byte
	copy(in[:], b)
	clear(b)
	cipher.NewCTR(k.orderBlock, in[:]).XORKeyStream(b, b)
}

// A cell is compared with what no column holds, too. These have no body:
//
//	header                       less than all cells under the key
//	header + 1                   greater than all of them
//	header ‖ term ‖ FF × 17      greater than the cells of a value, less than those of the next
const (
	boundSize   = HeaderSize
	betweenTail = ivSize + 1
)

// AppendBound appends the room of a bound of all cells under a key, which [Key.SealInPlace] makes:
// the bytes string that is less than all of them, or greater.
func AppendBound(dst []byte, greater bool) []byte {
	dst = append(dst, make([]byte, boundSize)...)
	if greater {
		dst[len(dst)-boundSize] = 1
	}
	return dst
}

// IsBound reports whether the room of a cell is that of a bound.
func IsBound(cell []byte) bool { return len(cell) == boundSize }

// sealBound makes a bound of its room.
func (k *Key) sealBound(cell []byte) {
	n := binary.BigEndian.Uint64(k.headerRaw[:])
	binary.BigEndian.PutUint64(cell, n+uint64(cell[0]))
}

// AppendCompared is [Session.AppendUnsealed] for a value that cells are compared with and that is
// not stored: one that the column cannot hold has a place, too.
func (s Session) AppendCompared(dst []byte, layout Layout, kind Kind, v any) ([]byte, error) {
	o := layout.Order
	if o == nil {
		return s.AppendUnsealed(dst, layout, kind, v)
	}
	encoding, err := s.AppendValue(make([]byte, 0, 16), kind, layout.Suite, v)
	if err != nil {
		return nil, err
	}
	defer clear(encoding)
	if kind != o.kind {
		return nil, o.check(kind, encoding)
	}
	x, at := o.place(encoding)
	switch at {
	case below, above:
		return AppendBound(dst, at == above), nil
	case between:
		n := len(dst)
		dst = append(dst, make([]byte, HeaderSize+o.width+betweenTail)...)
		binary.BigEndian.PutUint64(dst[n+HeaderSize:], x)
		return dst, nil
	}
	return s.AppendUnsealed(dst, layout, kind, v)
}

// sealBetween makes what stands between two cells of its room.
func (k *Key) sealBetween(cell []byte) {
	x := binary.BigEndian.Uint64(cell[HeaderSize:])
	copy(cell, k.headerRaw[:])
	tail := cell[HeaderSize+len(k.appendTerm(cell[HeaderSize:HeaderSize], x)):]
	for i := range tail {
		tail[i] = 0xff
	}
}
