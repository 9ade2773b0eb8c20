package codec

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/colseal/colseal/internal/pgarray"
)

// Terms say which tokens stand in the cells of a column, and so what can be searched for in it.
// They are part of the column's identity, behind the last "#". The zero value is none.
type Terms struct {
	Equal    bool    // the value
	Fold     bool    // the value in lower case, and in lower case whatever else is asked for
	Elements bool    // each member of an array
	Prefix   Lengths // the first code points
	Suffix   Lengths // the last code points
}

// Lengths are the lengths in code points that prefixes or suffixes have; none if Max is 0.
type Lengths struct{ Min, Max int }

// Has reports whether a prefix or suffix of n code points is among the tokens.
func (l Lengths) Has(n int) bool { return l.Max > 0 && l.Min <= n && n <= l.Max }

func (l Lengths) String() string { return strconv.Itoa(l.Min) + "-" + strconv.Itoa(l.Max) }

// MaxTokens is how many tokens a cell can have.
const MaxTokens = (1 << 16) / (tokenSize + 1)

const (
	tokenSize = 11 // of eight bytes in base64url
	countSize = 2  // of what stands before the tokens
	saltSize  = 16 // suite 5: what stands behind them
	termsAt   = HeaderSize + countSize
)

// String writes the terms as an identity has them, in one order:
// "equal,fold,elements,prefix=3-8,suffix=4-4".
func (t Terms) String() string {
	var parts []string
	add := func(set bool, s string) {
		if set {
			parts = append(parts, s)
		}
	}
	add(t.Equal, "equal")
	add(t.Fold, "fold")
	add(t.Elements, "elements")
	add(t.Prefix.Max > 0, "prefix="+t.Prefix.String())
	add(t.Suffix.Max > 0, "suffix="+t.Suffix.String())
	return strings.Join(parts, ",")
}

// ParseTerms reads what [Terms.String] writes, and nothing else.
func ParseTerms(s string) (Terms, error) {
	var t Terms
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		var err error
		switch name {
		case "equal":
			t.Equal = true
		case "fold":
			t.Fold = true
		case "elements":
			t.Elements = true
		case "prefix":
			t.Prefix, err = parseLengths(value)
		case "suffix":
			t.Suffix, err = parseLengths(value)
		}
		if err != nil {
			return Terms{}, err
		}
	}
	if s == "" || t.String() != s {
		return Terms{}, errTerms
	}
	return t, nil
}

var errTerms = errors.New("codec: not the terms of a column")

// parseLengths reads "3-8": at least 1, at most MaxTokens.
func parseLengths(s string) (Lengths, error) {
	low, high, _ := strings.Cut(s, "-")
	l, err := strconv.ParseUint(low, 10, 16)
	h, err2 := strconv.ParseUint(high, 10, 16)
	if err != nil || err2 != nil || l < 1 || h < l || h > MaxTokens {
		return Lengths{}, errTerms
	}
	return Lengths{int(l), int(h)}, nil
}

// termsOf returns the terms that an identity names.
func termsOf(identity string) (Terms, error) {
	t, err := ParseTerms(identity[strings.LastIndexByte(identity, '#')+1:])
	if err != nil || !strings.Contains(identity, "#") {
		return Terms{}, fmt.Errorf("%w: the column has no terms, and the cells of the suite have", ErrSuite)
	}
	return t, nil
}

// CheckIdentity reports, by an ErrSuite, that a column of an identity has no cells of a suite:
// those of [SuiteOrdered], [SuiteTerms] and [SuiteRandomTerms] are of columns whose identity says
// so.
func CheckIdentity(suite Suite, identity string) (err error) {
	switch suite {
	case SuiteOrdered:
		_, err = orderOf(identity)
	case SuiteTerms, SuiteRandomTerms:
		_, err = termsOf(identity)
	}
	return err
}

// TokenType says what a token is of. The types are part of the format.
type TokenType byte

// The types of tokens.
const (
	TokenEqual      TokenType = 'e'
	TokenFold       TokenType = 'E'
	TokenPrefix     TokenType = 'p'
	TokenFoldPrefix TokenType = 'P'
	TokenSuffix     TokenType = 's'
	TokenFoldSuffix TokenType = 'S'
	TokenMember     TokenType = 'm'
	TokenNull       TokenType = 'N' // a member is NULL
)

// NoToken stands where a token would, and is none: the last digit of one is never a hyphen.
const NoToken = "-----------"

// termKey makes tokens.
type termKey struct {
	terms Terms
	macs  sync.Pool // of *termMAC, keyed and reset
}

type termMAC struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

func newTermKey(searchKey []byte, suite Suite, identity string) (*termKey, error) {
	terms, err := termsOf(identity)
	if err != nil {
		return nil, err
	}
	key, err := derive(searchKey, suite, usageToken, identity)
	if err != nil {
		return nil, err
	}
	k := &termKey{terms: terms}
	k.macs.New = func() any { return &termMAC{mac: hmac.New(sha256.New, key)} }
	return k, nil
}

// appendToken appends the token of a term. length is the number of code points of a prefix or
// suffix, else 0.
func (k *termKey) appendToken(dst []byte, typ TokenType, length int, term []byte) []byte {
	m := k.macs.Get().(*termMAC)
	head := [5]byte{byte(typ)}
	n := 3
	if length > 0 {
		binary.BigEndian.PutUint16(head[1:], 2)
		binary.BigEndian.PutUint16(head[3:], uint16(length))
		n = 5
	}
	m.mac.Write(head[:n])
	m.mac.Write(term)
	dst = base64.RawURLEncoding.AppendEncode(dst, m.mac.Sum(m.sum[:0])[:8])
	m.mac.Reset()
	clear(m.sum[:])
	k.macs.Put(m)
	return dst
}

// appendTokens appends the tokens of a value, whose encoding is that of a deterministic suite.
func (k *termKey) appendTokens(dst []byte, kind Kind, encoding []byte) ([]byte, error) {
	at := len(dst)
	add := func(typ TokenType, length int, term []byte) {
		if len(dst) > at {
			dst = append(dst, ' ')
		}
		dst = k.appendToken(dst, typ, length, term)
	}
	var folded []byte
	sorted := at
	if k.terms.Fold {
		folded = appendFold(make([]byte, 0, len(encoding)+utf8.UTFMax), encoding)
		defer clear(folded)
		add(TokenFold, 0, folded)
		sorted = len(dst) + 1 // it stands first, where an index finds it
	}
	if k.terms.Equal {
		add(TokenEqual, 0, encoding)
	}
	if kind == KindText {
		eachPart(encoding, k.terms, add)
		if folded != nil {
			eachPart(folded, k.terms, func(typ TokenType, n int, part []byte) { add(typ&^0x20, n, part) })
		}
	}
	if k.terms.Elements {
		if err := EachMember(stringOf(encoding), func(typ TokenType, member string) { add(typ, 0, []byte(member)) }); err != nil {
			return nil, err
		}
	}
	if n := (len(dst) - at + 1) / (tokenSize + 1); n > MaxTokens {
		return nil, refuse(kind, fmt.Sprintf("it has %d terms to search by, and a cell has room for %d", n, MaxTokens))
	}
	if sorted < len(dst) {
		sortTokens(dst[sorted:])
	}
	return dst, nil
}

// eachPart calls each for every prefix and suffix of a text that has a token.
func eachPart(text []byte, t Terms, each func(typ TokenType, length int, part []byte)) {
	n := 0
	for i := range text {
		if i > 0 && utf8.RuneStart(text[i]) {
			if n++; t.Prefix.Has(n) {
				each(TokenPrefix, n, text[:i])
			}
		}
	}
	if len(text) > 0 && t.Prefix.Has(n+1) {
		each(TokenPrefix, n+1, text)
	}
	n = 0
	for i := len(text) - 1; i >= 0 && n < t.Suffix.Max; i-- {
		if utf8.RuneStart(text[i]) {
			if n++; t.Suffix.Has(n) {
				each(TokenSuffix, n, text[i:])
			}
		}
	}
}

// EachMember calls each once for every different member of an array, in whatever dimension.
func EachMember(literal string, each func(typ TokenType, member string)) error {
	a, err := pgarray.ParseArray(literal)
	if err != nil {
		return refuse(KindTextArray, "not the literal of an array")
	}
	seen := map[pgarray.Element]bool{}
	for _, e := range a.Elems {
		switch {
		case seen[e]:
			continue
		case e.Null:
			each(TokenNull, "")
		default:
			each(TokenMember, e.Text)
		}
		seen[e] = true
	}
	return nil
}

// sortTokens sorts tokens of one length with one space between them.
func sortTokens(b []byte) {
	tokens := make([][tokenSize]byte, 0, len(b)/tokenSize)
	for rest := b; len(rest) >= tokenSize; rest = rest[min(tokenSize+1, len(rest)):] {
		tokens = append(tokens, [tokenSize]byte(rest))
	}
	slices.SortFunc(tokens, func(x, y [tokenSize]byte) int { return bytes.Compare(x[:], y[:]) })
	for i := range tokens {
		copy(b[i*(tokenSize+1):], tokens[i][:])
	}
}

// sealTerms appends the cell of a value with terms.
func (k *Key) sealTerms(dst []byte, kind Kind, encoding []byte) ([]byte, error) {
	if err := checkLength(kind, len(encoding)+1<<16); err != nil { // with the tokens
		return nil, err
	}
	n := len(dst)
	dst = append(dst, k.headerRaw[:]...)
	dst = append(dst, 0, 0)
	out, err := k.terms.appendTokens(dst, kind, encoding)
	if err != nil {
		return nil, err
	}
	tokens := out[n+HeaderSize:]
	binary.BigEndian.PutUint16(tokens, uint16(len(tokens)-countSize))
	if k.header.Suite == SuiteRandomTerms {
		out = grow(out, saltSize)
		out = out[:len(out)+saltSize]
		mustRead(out[len(out)-saltSize:])
	}
	at := len(out)
	out = grow(out, ivSize+kindSize+len(encoding))[:at+ivSize+kindSize]
	out[at+ivSize] = byte(kind)
	out = append(out, encoding...)
	k.sealDeterministic(out[n+HeaderSize:at], out[at:at+ivSize], out[at+ivSize:])
	return out, nil
}

// bodyAt returns where the synthetic IV of a cell with terms begins; ok is false if it does not
// fit.
func bodyAt(cell []byte) (at int, ok bool) {
	if len(cell) < termsAt {
		return 0, false
	}
	at = termsAt + int(binary.BigEndian.Uint16(cell[HeaderSize:]))
	if Suite(cell[1]) == SuiteRandomTerms {
		at += saltSize
	}
	return at, len(cell)-at >= ivSize+kindSize
}

// Tokens returns the tokens in a cell of a column with terms, which need no key to be seen; none of
// what is no such cell.
func Tokens(cell []byte) []string {
	at, ok := bodyAt(cell)
	if !ok || !Suite(cell[1]).HasTerms() {
		return nil
	}
	if Suite(cell[1]) == SuiteRandomTerms {
		at -= saltSize
	}
	return strings.Fields(string(cell[termsAt:at]))
}

// AppendToken appends the token of a term, for what is searched for. The key is one of a suite with
// terms. length is the number of code points of a prefix or suffix, else 0; of a folded term the
// text is [Fold]ed already.
func (k *Key) AppendToken(dst []byte, typ TokenType, length int, term string) []byte {
	return k.terms.appendToken(dst, typ, length, bytesOf(term))
}

// AppendHead appends what every cell of the column begins with, under whatever key.
func (k *Key) AppendHead(dst []byte) []byte { return append(dst, k.headerRaw[:HeaderSize-4]...) }

// AppendFolded appends what colseal.fold1 yields for the cell of a text, without the text: it is
// equal for texts that are equal in lower case. The key is one of a suite with terms, which have
// Fold.
func (k *Key) AppendFolded(dst []byte, text string) []byte {
	dst = append(dst, k.headerRaw[:]...)
	folded := appendFold(make([]byte, 0, len(text)+utf8.UTFMax), bytesOf(text))
	defer clear(folded)
	return k.terms.appendToken(dst, TokenFold, 0, folded)
}

// AppendUnmatched appends what colseal.fold1 yields for no cell.
func (k *Key) AppendUnmatched(dst []byte) []byte {
	return append(append(dst, k.headerRaw[:]...), NoToken...)
}
