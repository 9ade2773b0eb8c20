package codec

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"testing"
)

// refCell is a second implementation of SPEC.md, written for plainness: HKDF from HMAC, no state,
// every intermediate value kept. It seals whatever it is given, so that it can make the cells that
// a Key would refuse to make.
type refCell struct {
	Suite                   Suite
	DataKey                 []byte
	KeyID                   uint32
	Identity                string
	Nonce                   []byte // suite 1, given
	Salt                    []byte // suite 5, given
	Plaintext               []byte // kind byte ‖ encoding
	AAD                     []byte
	AEADKey, MACKey, EncKey []byte
	IV                      []byte // suites 2 and 3
	Number                  uint64 // suite 3, given: the value's
	Width                   int    // suite 3, given: its bits
	OrderKey, Term          []byte // suite 3
	TermKey                 []byte // suites 4 and 5
	Tokens                  string // suites 4 and 5
	Cell                    []byte
}

func refHKDF(dataKey []byte, suite Suite, usage byte, identity string) []byte {
	extract := hmac.New(sha256.New, make([]byte, sha256.Size))
	extract.Write(dataKey)
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte("colseal/v1"))
	expand.Write([]byte{1, byte(suite), usage, byte(len(identity) >> 8), byte(len(identity))})
	expand.Write([]byte(identity))
	expand.Write([]byte{1}) // the block counter of RFC 5869, section 2.3
	return expand.Sum(nil)
}

func (r *refCell) header() []byte {
	sum := sha256.Sum256([]byte(r.Identity))
	h := []byte{1, byte(r.Suite), sum[0], sum[1], 0, 0, 0, 0}
	binary.BigEndian.PutUint32(h[4:], r.KeyID)
	return h
}

// seal fills AAD, the derived keys, IV and Cell.
func (r *refCell) seal(t testing.TB) *refCell {
	t.Helper()
	r.AAD = append([]byte("colseal/v1"), r.header()...)
	r.AAD = append(r.AAD, byte(len(r.Identity)>>8), byte(len(r.Identity)))
	r.AAD = append(r.AAD, r.Identity...)
	r.Cell = r.header()
	if r.Suite == SuiteRandomized {
		r.AEADKey = refHKDF(r.DataKey, r.Suite, 1, r.Identity)
		block, err := aes.NewCipher(r.AEADKey)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Skip("the reference needs GCM with a given nonce: ", err)
		}
		r.Cell = append(r.Cell, r.Nonce...)
		r.Cell = aead.Seal(r.Cell, r.Nonce, r.Plaintext, r.AAD)
		return r
	}
	if r.Suite == SuiteOrdered {
		r.orderTerm(t)
		r.AAD = append(r.AAD, 0, byte(r.Width))
		r.AAD = append(r.AAD, r.Term...)
		r.Cell = append(r.Cell, r.Term...)
	}
	if r.Suite == SuiteTerms || r.Suite == SuiteRandomTerms {
		r.TermKey = refHKDF(r.DataKey, r.Suite, 5, r.Identity)
		r.Tokens = refTokens(t, r.TermKey, r.Identity, Kind(r.Plaintext[0]), string(r.Plaintext[1:]))
		r.Cell = append(binary.BigEndian.AppendUint16(r.Cell, uint16(len(r.Tokens))), r.Tokens...)
		r.Cell = append(r.Cell, r.Salt...)
		r.AAD = append(r.AAD, r.Cell[8:]...)
	}
	r.MACKey = refHKDF(r.DataKey, r.Suite, 2, r.Identity)
	r.EncKey = refHKDF(r.DataKey, r.Suite, 3, r.Identity)
	mac := hmac.New(sha256.New, r.MACKey)
	mac.Write(r.AAD)
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(r.AAD))))
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(r.Plaintext))))
	mac.Write(r.Plaintext)
	r.IV = mac.Sum(nil)[:16]
	block, err := aes.NewCipher(r.EncKey)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, len(r.Plaintext))
	cipher.NewCTR(block, r.IV).XORKeyStream(body, r.Plaintext)
	r.Cell = append(append(r.Cell, r.IV...), body...)
	return r
}

// orderTerm fills OrderKey and Term.
func (r *refCell) orderTerm(t testing.TB) {
	t.Helper()
	r.OrderKey = refHKDF(r.DataKey, r.Suite, 4, r.Identity)
	block, err := aes.NewCipher(r.OrderKey)
	if err != nil {
		t.Fatal(err)
	}
	digits := fmt.Sprintf("%0*b", r.Width, r.Number)
	r.Term = nil
	for i := range digits {
		group := i - i%3
		prefix, _ := new(big.Int).SetString("0"+digits[:group], 2)
		in := append([]byte{byte(group)}, make([]byte, 15)...)
		prefix.FillBytes(in[1:])
		out := make([]byte, 16)
		block.Encrypt(out, in)
		n, _ := new(big.Int).SetString("1"+digits[group:i], 2)
		at := 2 * (n.Int64() - 1)
		f := new(big.Int).Mod(new(big.Int).SetBytes(out[at:at+2]), big.NewInt(255))
		r.Term = append(r.Term, byte(f.Int64())+digits[i]-'0')
	}
}

// behind is what is greater than the cells of the value and less than those of the next.
func (r *refCell) behind() []byte {
	return append(append(r.header(), r.Term...), bytes.Repeat([]byte{0xff}, 17)...)
}

// bounds are what is less than all cells under the key, and what is greater.
func (r *refCell) bounds() (least, greatest []byte) {
	h := new(big.Int).SetBytes(r.header())
	return r.header(), h.Add(h, big.NewInt(1)).Bytes()
}
