package codec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/colseal/colseal/internal/pgarray"
)

// refTokens are the tokens of a value, by the options behind the last # of the identity. Go's
// unicode tables are those of the format as far as the vectors go.
func refTokens(t testing.TB, key []byte, identity string, kind Kind, value string) string {
	t.Helper()
	token := func(typ string, length int, term string) string {
		mac := hmac.New(sha256.New, key)
		parameter := ""
		if length > 0 {
			parameter = string([]byte{byte(length >> 8), byte(length)})
		}
		mac.Write([]byte(typ + string([]byte{0, byte(len(parameter))}) + parameter + term))
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:8])
	}
	options := strings.Split(identity[strings.LastIndex(identity, "#")+1:], ",")
	lower := strings.Map(unicode.ToLower, value)
	var first, rest []string
	for _, option := range options {
		name, value2, _ := strings.Cut(option, "=")
		low, high, _ := strings.Cut(value2, "-")
		least, _ := strconv.Atoi(low)
		most, _ := strconv.Atoi(high)
		part := func(s, typ string) {
			for n := least; n <= most && n <= len([]rune(s)); n++ {
				if name == "prefix" {
					rest = append(rest, token(typ, n, string([]rune(s)[:n])))
				} else {
					rest = append(rest, token(typ, n, string([]rune(s)[len([]rune(s))-n:])))
				}
			}
		}
		switch name {
		case "fold":
			first = []string{token("E", 0, lower)}
		case "equal":
			rest = append(rest, token("e", 0, value))
		case "elements":
			array, err := pgarray.ParseArray(value)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range array.Elems {
				switch {
				case slices.Contains(array.Elems[:i], e):
				case e.Null:
					rest = append(rest, token("N", 0, ""))
				default:
					rest = append(rest, token("m", 0, e.Text))
				}
			}
		default:
			part(value, name[:1])
			if slices.Contains(options, "fold") {
				part(lower, strings.ToUpper(name[:1]))
			}
		}
	}
	slices.Sort(rest)
	return strings.Join(append(first, rest...), " ")
}

// termsCases are cells of suite 4 with terms of every type, and ones whose tokens were changed.
func termsCases(t testing.TB) []vectorCase {
	var cases []vectorCase
	add := func(name, comment, terms string, kind Kind, in, out any) {
		encoding, err := AppendValue(nil, kind, SuiteTerms, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := sealedFor(t, "users.email#"+terms, "good-deterministic-terms-"+name, SuiteTerms, kind, encoding)
		c.comment, c.value = comment, out
		cases = append(cases, c)
	}
	add("text", "The token of the folded value stands first, those of prefixes and suffixes follow in order, as they are and folded.", "fold,prefix=3-5,suffix=12-12",
		KindText, "Alice@Example.com", "Alice@Example.com")
	add("text-short", "No prefix or suffix is longer than the value.", "equal,prefix=3-8,suffix=2-2", KindText, "Bo", "Bo")
	add("text-empty", "No code point, and a token of it all the same.", "fold", KindText, "", "")
	add("text-none", "A cell without tokens.", "prefix=3-8", KindText, "Bo", "Bo")
	add("text-fold", "Lengths count code points. Folding goes code point by code point: I with a dot becomes i, and sigma is not final.", "fold,prefix=1-3,suffix=1-1", KindText, "ÄİΣ", "ÄİΣ")
	add("int", "Equality of any kind is that of encodings.", "equal", KindInt, -2, int64(-2))
	add("numeric", "Of a numeric it is that of the shortest.", "equal", KindNumeric, "1.50", "1.5")
	add("textarray", "A member counts once, and NULL by a token of its own.", "elements", KindTextArray, `{b,a,NULL,b,"NULL"}`, `{b,a,NULL,b,"NULL"}`)
	add("intarray", "Members in every dimension.", "elements", KindIntArray, `{{1,2},{2,3}}`, `{{1,2},{2,3}}`)
	add("textarray-empty", "An array without members.", "equal,elements", KindTextArray, `{}`, `{}`)

	alter := func(name, layer, comment string, change func(cell []byte) []byte) {
		c := sealedFor(t, "users.email#fold,prefix=3-5,suffix=12-12", layer+"-deterministic-terms-"+name, SuiteTerms, KindText, []byte("alice@example.com"))
		c.layer, c.comment = layer, comment
		c.cell = change(c.cell)
		cases = append(cases, c)
	}
	alter("terms-beyond", "format", "The tokens would end behind the cell.", func(c []byte) []byte { c[HeaderSize] = 0xff; return c })
	alter("terms-fewer", "tag", "The last token is counted to the body.", func(c []byte) []byte { c[HeaderSize+1] -= 12; return c })
	iv := HeaderSize + countSize + 9*(tokenSize+1) - 1
	flip := func(at int) func([]byte) []byte {
		return func(c []byte) []byte {
			c[at] ^= 1
			return c
		}
	}
	alter("iv-flipped", "tag", "One bit of the synthetic IV.", flip(iv))
	alter("kind-flipped", "tag", "One bit of the sealed kind byte.", flip(iv+ivSize))
	alter("cut", "tag", "The last byte is missing.", func(c []byte) []byte { return c[:len(c)-1] })
	alter("short", "format", "One byte shorter than the shortest cell.", func(c []byte) []byte { return c[:SuiteTerms.Overhead()-1] })
	alter("suite-flipped", "key", "The suite byte says suite 2.", func(c []byte) []byte {
		c[1] = byte(SuiteDeterministic)
		return c
	})
	alter("token-flipped", "tag", "One bit of a token.", func(c []byte) []byte { c[HeaderSize+countSize] ^= 1; return c })
	alter("token-cut", "tag", "A token is missing, and the count fits.", func(c []byte) []byte {
		c[HeaderSize+1] -= 12
		return append(c[:HeaderSize+countSize], c[HeaderSize+countSize+12:]...)
	})
	c := sealedFor(t, "users.email#fold,prefix=3-5,suffix=12-12", "column-deterministic-terms-other-terms", SuiteTerms, KindText, []byte("alice@example.com"))
	c.layer, c.comment, c.identity = "column", "A column whose terms changed is another one.", "users.email#fold,prefix=3-6,suffix=12-12"
	return append(cases, c)
}

// randomTermsCases are cells of suite 5, and ones that were changed.
func randomTermsCases(t testing.TB) []vectorCase {
	var cases []vectorCase
	add := func(name, comment, terms string, kind Kind, in, out any) {
		encoding, err := AppendValue(nil, kind, SuiteRandomTerms, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := sealedFor(t, "users.name#"+terms, "good-randomized-terms-"+name, SuiteRandomTerms, kind, encoding)
		c.comment, c.value = comment, out
		cases = append(cases, c)
	}
	add("text", "Tokens as in suite 4, under another key, and a salt behind them.", "fold,prefix=3-5", KindText, "Alice", "Alice")
	add("text-none", "A cell without tokens.", "prefix=3-8", KindText, "Bo", "Bo")
	add("text-empty", "An empty value, and a token of it.", "equal", KindText, "", "")
	add("numeric", "Canonical as in suite 2, since equal values have equal tokens.", "equal", KindNumeric, "1.50", "1.5")
	add("textarray", "Members, and one that is NULL.", "elements", KindTextArray, `{a,NULL,b}`, `{a,NULL,b}`)

	alter := func(name, layer, comment string, change func(cell []byte) []byte) {
		c := sealedFor(t, "users.name#prefix=3-5", layer+"-randomized-terms-"+name, SuiteRandomTerms, KindText, []byte("alice"))
		c.layer, c.comment = layer, comment
		c.cell = change(c.cell)
		cases = append(cases, c)
	}
	salt := termsAt + 3*(tokenSize+1) - 1
	flip := func(at int) func([]byte) []byte {
		return func(c []byte) []byte { c[at] ^= 1; return c }
	}
	alter("terms-beyond", "format", "The tokens would end behind the cell.", func(c []byte) []byte { c[HeaderSize] = 0xff; return c })
	alter("short", "format", "One byte shorter than the shortest cell.", func(c []byte) []byte { return c[:SuiteRandomTerms.Overhead()-1] })
	alter("suite-flipped", "key", "The suite byte says suite 4.", func(c []byte) []byte { c[1] = byte(SuiteTerms); return c })
	alter("token-flipped", "tag", "One bit of a token.", flip(termsAt))
	alter("salt-flipped", "tag", "One bit of the salt.", flip(salt))
	alter("iv-flipped", "tag", "One bit of the synthetic IV.", flip(salt+saltSize))
	alter("kind-flipped", "tag", "One bit of the sealed kind byte.", flip(salt+saltSize+ivSize))
	alter("cut", "tag", "The last byte is missing.", func(c []byte) []byte { return c[:len(c)-1] })
	c := sealedFor(t, "users.name#prefix=3-5", "column-randomized-terms-other-terms", SuiteRandomTerms, KindText, []byte("alice"))
	c.layer, c.comment, c.identity = "column", "A column whose terms changed is another one.", "users.name#prefix=3-6"
	return append(cases, c)
}
