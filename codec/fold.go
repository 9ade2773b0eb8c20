package codec

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// A foldRange is every stride-th code point from lo to hi, and what is added to each for its lower
// case.
type foldRange struct {
	lo, hi, stride, delta rune
}

// Fold returns s with each code point in lower case, by the table that SPEC.md fixes. It is what
// lower() of PostgreSQL does under C.UTF-8 and most locales of glibc. It changes no number of code
// points, so that the fold of a prefix is the prefix of the fold.
func Fold(s string) string {
	return string(appendFold(make([]byte, 0, len(s)), bytesOf(s)))
}

// appendFold appends the fold of text, which is valid UTF-8.
func appendFold(dst, text []byte) []byte {
	for len(text) > 0 {
		c := text[0]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst, text = append(dst, c), text[1:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		dst, text = utf8.AppendRune(dst, foldRune(r)), text[n:]
	}
	return dst
}

func foldRune(r rune) rune {
	i, found := slices.BinarySearchFunc(foldRanges[:], r, func(f foldRange, r rune) int { return cmp.Compare(f.lo, r) })
	if !found {
		i--
	}
	if i < 0 {
		return r
	}
	if f := foldRanges[i]; r <= f.hi && (r-f.lo)%f.stride == 0 {
		return r + f.delta
	}
	return r
}
