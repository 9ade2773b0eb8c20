package inbox

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"testing"
)

// TestDocument opens the vectors from the documents alone, without crypto/hpke: docs/formats.md, RFC 9180, and the
// definition of the hybrid KEMs in draft-ietf-hpke-pq.
func TestDocument(t *testing.T) {
	for _, v := range vectors(t) {
		id := binary.BigEndian.Uint16(unhex(t, v.Public))
		curve, label, point := ecdh.X25519(), `\.//^\`, 32
		if id == 0x0050 {
			curve, label, point = ecdh.P256(), "MLKEM768-P256", 65
		}
		// The seed is stretched to the two private keys.
		stretch := sha3.NewSHAKE256()
		_, _ = stretch.Write(unhex(t, v.Seed))
		pqSeed := make([]byte, 64)
		_, _ = stretch.Read(pqSeed)
		pq, err := mlkem.NewDecapsulationKey768(pqSeed)
		if err != nil {
			t.Fatal(err)
		}
		var scalar *ecdh.PrivateKey
		for {
			next := make([]byte, 32)
			_, _ = stretch.Read(next)
			if scalar, err = curve.NewPrivateKey(next); err == nil {
				break
			}
		}
		public := append(pq.EncapsulationKey().Bytes(), scalar.PublicKey().Bytes()...)
		if !bytes.Equal(unhex(t, v.Public)[2:], public) {
			t.Fatalf("%s: another public key", v.KEM)
		}
		scope := append(binary.BigEndian.AppendUint16(nil, uint16(len(v.Scope))), v.Scope...)
		pin := sha256.Sum256(bytes.Join([][]byte{[]byte("colseal inbox v1"), scope, unhex(t, v.Public)}, nil))
		if fmt.Sprintf("%08x-%x", v.InboxID, pin) != v.Pin {
			t.Fatalf("%s: another pin", v.KEM)
		}

		wrapped := unhex(t, v.Wrapped)
		enc, ct := wrapped[:mlkem.CiphertextSize768+point], wrapped[mlkem.CiphertextSize768+point:]
		ssPQ, err := pq.Decapsulate(enc[:mlkem.CiphertextSize768])
		if err != nil {
			t.Fatal(err)
		}
		peer, err := curve.NewPublicKey(enc[mlkem.CiphertextSize768:])
		if err != nil {
			t.Fatal(err)
		}
		ssT, err := scalar.ECDH(peer)
		if err != nil {
			t.Fatal(err)
		}
		shared := sha3.Sum256(bytes.Join([][]byte{ssPQ, ssT, peer.Bytes(), scalar.PublicKey().Bytes(), []byte(label)}, nil))

		// RFC 9180, 5.1, in mode 0, and the first nonce.
		suite := append([]byte("HPKE"), byte(id>>8), byte(id), 0, 1, 0, 2)
		extract := func(salt []byte, label string, ikm []byte) []byte {
			prk, err := hkdf.Extract(sha256.New, bytes.Join([][]byte{[]byte("HPKE-v1"), suite, []byte(label), ikm}, nil), salt)
			if err != nil {
				t.Fatal(err)
			}
			return prk
		}
		expand := func(prk []byte, label string, info []byte, n int) []byte {
			out, err := hkdf.Expand(sha256.New, prk, string(bytes.Join([][]byte{{0, byte(n)}, []byte("HPKE-v1"), suite, []byte(label), info}, nil)), n)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		keyring, ok := new(big.Int).SetString(v.Keyring, 16)
		if !ok {
			t.Fatal(v.Keyring)
		}
		info := bytes.Join([][]byte{[]byte("colseal writer v1"), binary.BigEndian.AppendUint32(nil, v.KeyID), keyring.FillBytes(make([]byte, 16)), scope}, nil)
		if hex.EncodeToString(info) != v.Info {
			t.Fatalf("%s: another info", v.KEM)
		}
		schedule := bytes.Join([][]byte{{0}, extract(nil, "psk_id_hash", nil), extract(nil, "info_hash", info)}, nil)
		secret := extract(shared[:], "secret", nil)
		block, err := aes.NewCipher(expand(secret, "key", schedule, 32))
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		got, err := aead.Open(nil, expand(secret, "base_nonce", schedule, 12), ct, nil)
		if err != nil || hex.EncodeToString(got) != v.DataKey {
			t.Errorf("%s: %x, %v, want %s", v.KEM, got, err, v.DataKey)
		}
	}
}
