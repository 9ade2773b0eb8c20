package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// refCell is a second implementation of SPEC.md, written for plainness: HKDF from HMAC, no state, every intermediate value kept.
// It seals whatever it is given, so that it can make the cells that a Key would refuse to make.
type refCell struct {
	Suite                   Suite
	DataKey                 []byte
	KeyID                   uint32
	Identity                string
	Nonce                   []byte // suite 1, given
	Plaintext               []byte // kind byte ‖ encoding
	AAD                     []byte
	AEADKey, MACKey, EncKey []byte
	IV                      []byte // suite 2
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
