package codec

import (
	"fmt"
	"slices"
)

// Seal appends the cell of one value to dst and returns the extended slice. encoding is what
// [AppendValue] writes for kind and the key's suite; nil and empty are the same here and are
// sealed. It may overlap dst's spare capacity, and Seal allocates only if dst lacks capacity for
// the cell, which is [Layout.Overhead] longer than the encoding: neither is so for a column with
// terms.
//
// The error is ErrValue: no such kind, longer than maxPlaintext, a value that an ordered column
// cannot hold, or more than [MaxTokens] terms.
func (k *Key) Seal(dst []byte, kind Kind, encoding []byte) ([]byte, error) {
	if err := checkSeal(k.layout, kind, encoding); err != nil {
		return nil, err
	}
	if k.terms != nil {
		return k.sealTerms(dst, kind, encoding)
	}
	n, start := len(dst), len(dst)+k.layout.bodyOffset()
	dst = grow(dst, k.layout.Overhead()+len(encoding))
	dst = dst[:start+kindSize+len(encoding)]
	// The encoding first: header and kind could be written over it.
	copy(dst[start+kindSize:], encoding)
	dst[start] = byte(kind)
	k.sealInPlace(dst[n:], new(Nonces))
	return dst[:n+k.layout.Overhead()+len(encoding)], nil
}

func checkSeal(layout Layout, kind Kind, encoding []byte) error {
	if !kind.Valid() {
		return refuse(kind, "no such kind")
	}
	if err := checkLength(kind, len(encoding)); err != nil {
		return err
	}
	if layout.Order != nil {
		return layout.Order.check(kind, encoding)
	}
	return nil
}

func checkLength(kind Kind, n int) error {
	if n > maxPlaintext {
		return &valueError{kind: kind, reason: fmt.Sprintf("its encoding has %d bytes, at most %d can be sealed", n, maxPlaintext), cause: ErrTooLong}
	}
	return nil
}

// checkGiven refuses what is given as it will be encoded, before it is copied.
func checkGiven(kind Kind, v any) error {
	switch v := v.(type) {
	case string:
		if kind == KindText { // of other kinds, text may be longer than what it stands for
			return checkLength(kind, len(v))
		}
	case []byte:
		if kind == KindText || kind == KindBytes {
			return checkLength(kind, len(v))
		}
	}
	return nil
}

// sealInPlace makes a cell of text, which holds kind byte and encoding from bodyOffset to its end,
// and has the capacity of the cell.
func (k *Key) sealInPlace(text []byte, nonces *Nonces) {
	copy(text, k.headerRaw[:])
	switch {
	case k.header.Suite.Searchable():
		iv := HeaderSize + k.termSize()
		if k.layout.Order != nil {
			x, _ := k.layout.Order.place(text[iv+ivSize+kindSize:])
			k.appendTerm(text[HeaderSize:HeaderSize], x)
		}
		k.sealDeterministic(text[HeaderSize:iv], text[iv:iv+ivSize], text[iv+ivSize:])
	case approved:
		k.random.Seal(text[:HeaderSize], nil, text[HeaderSize:], k.aad)
	default:
		nonce, body := text[HeaderSize:HeaderSize+nonceSize], text[HeaderSize+nonceSize:]
		nonces.take(nonce)
		k.plain.Seal(body[:0], nonce, body, k.aad)
	}
}

// Open appends the encoding of the value in cell, which is declared to be of kind, to dst and
// returns the extended slice, which is never nil: an empty value gives an empty slice. The encoding
// is canonical: it is what [AppendValue] writes. dst's spare capacity must not overlap cell; for
// that there is [Key.OpenInPlace]. It allocates only if dst lacks capacity for len(cell).
//
// The error is ErrFormat if cell is not a cell or holds an encoding that is not canonical,
// ErrColumnMismatch or ErrAuth if it was not sealed by this key as it stands, and a [*KindError] if
// it holds another kind. Then the returned slice is nil and what was written beyond len(dst) is
// wiped.
func (k *Key) Open(dst []byte, kind Kind, cell []byte) ([]byte, error) {
	if !k.Owns(cell) {
		return nil, k.diagnose(cell)
	}
	n, size := len(dst), len(cell)-k.overheadOf(cell)+kindSize
	fresh := cap(dst) == 0
	dst = grow(dst, size)[:n+size]
	out := dst[n:]
	if err := k.openTo(out, kind, cell); err != nil {
		return nil, err
	}
	if fresh {
		// Nobody else has the buffer's first byte, so the kind may stay there.
		return out[kindSize:], nil
	}
	copy(out, out[kindSize:])
	out[size-1] = 0
	return dst[:n+size-kindSize], nil
}

// OpenInPlace is Open into cell's own memory: the returned slice aliases cell, whose other bytes
// are undefined afterwards, also on failure. It allocates nothing.
func (k *Key) OpenInPlace(kind Kind, cell []byte) ([]byte, error) {
	if !k.Owns(cell) {
		return nil, k.diagnose(cell)
	}
	var out []byte
	switch {
	case k.header.Suite.Searchable():
		out = cell[k.overheadOf(cell)-kindSize:]
	case !approved:
		out = cell[HeaderSize+nonceSize : len(cell)-tagSize]
	default:
		out = cell[HeaderSize : len(cell)-nonceSize-tagSize]
	}
	if err := k.openTo(out, kind, cell); err != nil {
		return nil, err
	}
	// No spare capacity: appending to the result must not write over what follows the cell.
	return out[kindSize:len(out):len(out)], nil
}

// openTo decrypts the body of cell into out, kind byte and encoding, and checks both. On failure
// out is wiped.
func (k *Key) openTo(out []byte, kind Kind, cell []byte) error {
	if !k.decrypt(out, cell) {
		return errAuth
	}
	var err error
	switch holds := Kind(out[0]); {
	case holds != kind || !kind.Valid():
		err = &KindError{Holds: holds, Declared: kind}
	case !canonical(kind, k.header.Suite, out[kindSize:]):
		err = fmt.Errorf("%w: not the canonical encoding of %s", ErrFormat, kind)
	case k.layout.Order != nil && k.layout.Order.check(kind, out[kindSize:]) != nil:
		err = fmt.Errorf("%w: not a value of the column's order", ErrFormat)
	default:
		return nil
	}
	clear(out)
	return err
}

// Owns reports whether cell has this key's header and room for a body: only such a cell can be
// opened by k. Whether it can, only opening tells.
func (k *Key) Owns(cell []byte) bool {
	if len(cell) < k.layout.Overhead() || [HeaderSize]byte(cell) != k.headerRaw {
		return false
	}
	if k.terms == nil {
		return true
	}
	_, ok := bodyAt(cell)
	return ok
}

// overheadOf returns how many bytes a cell that k owns is longer than its value's encoding.
func (k *Key) overheadOf(cell []byte) int {
	if k.terms == nil {
		return k.layout.Overhead()
	}
	return k.ivAt(cell) + ivSize + kindSize
}

// ivAt is where the synthetic IV of a cell that k owns begins, if it has one.
func (k *Key) ivAt(cell []byte) int {
	if k.terms == nil {
		return HeaderSize + k.termSize()
	}
	at, _ := bodyAt(cell)
	return at
}

// decrypt writes kind byte and encoding of an authentic cell to out. On failure out is wiped.
func (k *Key) decrypt(out, cell []byte) bool {
	var err error
	switch {
	case k.header.Suite.Searchable():
		iv := k.ivAt(cell)
		return k.openDeterministic(out, cell[HeaderSize:iv], cell[iv:iv+ivSize], cell[iv+ivSize:])
	case !approved:
		_, err = k.plain.Open(out[:0], cell[HeaderSize:HeaderSize+nonceSize], cell[HeaderSize+nonceSize:], k.aad)
	default:
		_, err = k.random.Open(out[:0], nil, cell[HeaderSize:], k.aad)
	}
	return err == nil
}

var errAuth = fmt.Errorf("%w: altered, or sealed for another column or under another data key", ErrAuth)

// diagnose says why a cell that k does not own is refused.
func (k *Key) diagnose(cell []byte) error {
	h, err := ParseHeader(cell)
	switch {
	case err != nil:
		return err
	case h.Tag != k.header.Tag:
		return fmt.Errorf("%w: its tag is %04x, this column's is %04x", ErrColumnMismatch, h.Tag, k.header.Tag)
	case h.Suite != k.header.Suite:
		return fmt.Errorf("%w: a %s cell, the key is for %s ones", ErrAuth, h.Suite, k.header.Suite)
	case h.KeyID != k.header.KeyID:
		return fmt.Errorf("%w: sealed under data key %08x, opened with %08x", ErrAuth, h.KeyID, k.header.KeyID)
	default:
		return fmt.Errorf("%w: %d bytes, a cell of this column has at least %d", ErrFormat, len(cell), k.layout.Overhead())
	}
}

// grow returns b with room for n more bytes. A new buffer is made to measure; one in use grows as
// append would, so that a caller who seals many cells into it does not copy them each time.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	if len(b) == 0 {
		return make([]byte, 0, n)
	}
	return slices.Grow(b, n)
}
