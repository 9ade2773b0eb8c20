package codec

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"
)

// accumulatedHash is SHA-256 over 10,000 cells that are derived as SPEC.md says under "Accumulated
// vectors". It stands for files that would fill a disk: whoever gets it has the format right for
// every kind, many lengths and both suites.
const accumulatedHash = "4131a83e5311f36e9d27db5cbe4cc1c38a463114dbb68491b8e34918b9fbca08"

func TestAccumulated(t *testing.T) {
	source := sha3.NewSHAKE128()
	source.Write([]byte("colseal/v1 accumulated vectors"))
	take := func(n int) []byte {
		b := make([]byte, n)
		source.Read(b)
		return b
	}
	sum := sha256.New()
	for i := range 10_000 {
		b := take(8)
		ref := &refCell{
			Suite:     Suite(1 + b[0]%2),
			DataKey:   take(32),
			KeyID:     binary.BigEndian.Uint32(b[4:]),
			Identity:  hex.EncodeToString(take(1 + int(b[2]%32))),
			Plaintext: append([]byte{1 + b[1]%11}, take(int(b[3]))...),
			Nonce:     take(12),
		}
		ref.seal(t)
		sum.Write(ref.Cell)
		if err := checkAgainst(ref); err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != accumulatedHash {
		t.Errorf("accumulated hash %s, want %s", got, accumulatedHash)
	}
}

// checkAgainst opens a cell of the reference, and for suite 2 seals it again.
func checkAgainst(ref *refCell) error {
	k, err := NewKey(ref.DataKey, ref.KeyID, ref.Suite, ref.Identity)
	if err != nil {
		return err
	}
	// Not Open, which refuses encodings that are not canonical.
	out := make([]byte, len(ref.Plaintext))
	if !k.decrypt(out, ref.Cell) || !bytes.Equal(out, ref.Plaintext) {
		return fmt.Errorf("decrypted %x, want %x", out, ref.Plaintext)
	}
	again, err := k.Seal(nil, Kind(out[0]), out[kindSize:])
	if err != nil {
		return err
	}
	if ref.Suite == SuiteDeterministic && !bytes.Equal(again, ref.Cell) {
		return fmt.Errorf("sealed %x, want %x", again, ref.Cell)
	}
	if clear(out); !k.decrypt(out, again) || !bytes.Equal(out, ref.Plaintext) {
		return fmt.Errorf("sealed again, and decrypted %x, want %x", out, ref.Plaintext)
	}
	return nil
}
