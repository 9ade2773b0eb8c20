package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
)

// Recognize judges a value read from a column whose cells carry one of tags; without tags every tag
// is accepted.
//
//   - nil: a cell with one of the tags. It may still fail to open.
//   - ErrColumnMismatch: a well-formed cell of another column.
//   - ErrFormat, ErrVersion, ErrSuite, ErrHexText: it begins like a cell and is none: one that was
//     damaged, cut, written in another spelling, or by a later version. It must not be taken for
//     plaintext. SPEC.md has the rule under "What is no plaintext".
//   - ErrNotSealed: not a cell.
//
// Text that a person would write is never taken for a cell. Binary plaintext can look like one: if
// it is random, with a chance of about 2^-14 for each tag. The judgement errs towards "cell"; only
// opening proves anything.
func Recognize(cell []byte, tags ...uint16) (Header, error) {
	h, err := ParseHeader(cell)
	if err == nil {
		if fits(h.Tag, tags) {
			return h, nil
		}
		return Header{}, fmt.Errorf("%w: its tag is %04x", ErrColumnMismatch, h.Tag)
	}
	if likeHeader(cell, tags) {
		return Header{}, err
	}
	if err := likeText(cell, tags); err != nil {
		return Header{}, err
	}
	return Header{}, fmt.Errorf("%w: %d bytes without a cell's header", ErrNotSealed, len(cell))
}

// headSize is how many bytes of a header are the same in all cells of a column: version, suite and
// tag.
const headSize = 4

func fits(tag uint16, tags []uint16) bool { return len(tags) == 0 || slices.Contains(tags, tag) }

// isHead reports whether head is the beginning of a cell with one of tags.
func isHead(head [headSize]byte, tags []uint16) bool {
	return head[0] == version && Suite(head[1]).Valid() && fits(binary.BigEndian.Uint16(head[2:]), tags)
}

// likeHeader reports whether b, which has no header of a cell, begins like a cell with one of tags
// that was damaged: the tag is right, or all but three bits of version, suite and tag are, or all
// of them and b was cut.
func likeHeader(b []byte, tags []uint16) bool {
	if len(b) < headSize {
		return false
	}
	head := [headSize]byte(b)
	if isHead(head, tags) {
		return true
	}
	for _, tag := range tags {
		for suite := SuiteRandomized; suite.Valid(); suite++ {
			whole := [HeaderSize]byte(Header{Suite: suite, Tag: tag}.Append(make([]byte, 0, HeaderSize)))
			differ := binary.BigEndian.Uint32(head[:]) ^ binary.BigEndian.Uint32(whole[:])
			if uint16(differ) == 0 || bits.OnesCount32(differ) <= 3 {
				return true
			}
		}
	}
	return false
}

// likeText returns the error for a text that begins like the textual form of a cell with one of
// tags and is not in that form: after white space or quotes, with letters of the other case, with a
// damaged prefix or none, in another base64 or in hexadecimal. It returns nil for other texts.
func likeText(s []byte, tags []uint16) error {
	s = bytes.TrimPrefix(s, []byte("\ufeff"))
	s = bytes.TrimLeft(s, " \t\n\v\f\r\"'`")
	if len(s) >= len(TextPrefix) && bytes.EqualFold(s[:len(TextPrefix)], []byte(TextPrefix)) {
		return fmt.Errorf("%w: the textual form of a cell, altered", ErrFormat)
	}
	if digits, prefixed := cutHexPrefix(s); len(digits) >= 2*headSize && (prefixed || len(tags) > 0) {
		var head [headSize]byte
		if _, err := hex.Decode(head[:], digits[:2*headSize]); err == nil && isHead(head, tags) {
			return ErrHexText
		}
	}
	for cut := range len(TextPrefix) + 2 { // what is left of the prefix, or was put in its place
		if len(tags) > 0 && likeBase64(s[min(cut, len(s)):], tags) {
			return fmt.Errorf("%w: the textual form of a cell, its prefix damaged", ErrFormat)
		}
	}
	return nil
}

// cutHexPrefix removes what may stand before hexadecimal digits.
func cutHexPrefix(s []byte) (digits []byte, prefixed bool) {
	for _, prefix := range []string{`\x`, `\\x`, "0x", "x'", `\X`, "0X", "X'"} {
		if digits, ok := bytes.CutPrefix(s, []byte(prefix)); ok {
			return digits, true
		}
	}
	return s, false
}

// likeBase64 reports whether s begins with the base64 of the beginning of a cell with one of tags.
func likeBase64(s []byte, tags []uint16) bool {
	const digits = 8 // of a header's first six bytes
	if len(s) < digits {
		return false
	}
	var head [digits]byte
	for i, c := range s[:digits] {
		switch c {
		case '+':
			c = '-'
		case '/':
			c = '_'
		}
		head[i] = c
	}
	var raw [6]byte
	_, err := base64.RawURLEncoding.Decode(raw[:], head[:])
	return err == nil && isHead([headSize]byte(raw[:]), tags)
}
