package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

// shortCTR is the length in bytes up to which the key stream is made block by block. cipher.NewCTR
// copies the key schedule to the heap for every stream, which costs more than a few blocks do;
// beyond this its wide assembly wins.
const shortCTR = 192

// macState is a keyed HMAC and the scratch of one sealing or opening. HMAC keeps the state after
// its key's block, so a reset one costs a third of a new one.
type macState struct {
	mac hash.Hash
	// AAD ‖ len(AAD) ‖ len(plaintext), the latter set for each use, as is the order term at the end
	// of the AAD. Tokens follow the AAD.
	prefix []byte
	fixed  int // length of the order term
	sum    [sha256.Size]byte
	stream [shortCTR]byte
}

func newMACState(macKey, aad []byte, term int) *macState {
	s := &macState{mac: hmac.New(sha256.New, macKey), fixed: term}
	s.prefix = make([]byte, len(aad)+term, len(aad)+term+8)
	copy(s.prefix, aad)
	s.prefix = binary.BigEndian.AppendUint32(s.prefix, uint32(len(aad)+term)) //nolint:gosec // an identity is short
	s.prefix = binary.BigEndian.AppendUint32(s.prefix, 0)
	s.mac.Reset()
	return s
}

// syntheticIV returns the first 16 bytes of HMAC over the prefix, with term at the end of its AAD,
// or tokens behind it, and plaintext. The result is valid until the next call.
func (s *macState) syntheticIV(term, plaintext []byte) []byte {
	aad, lengths := s.prefix[:len(s.prefix)-8], s.prefix[len(s.prefix)-8:]
	binary.BigEndian.PutUint32(lengths[4:], uint32(len(plaintext)))
	if len(term) == s.fixed {
		copy(aad[len(aad)-len(term):], term)
		s.mac.Write(s.prefix)
	} else {
		binary.BigEndian.PutUint32(lengths, uint32(len(aad)+len(term))) //nolint:gosec // at most some 128 KiB
		s.mac.Write(aad)
		s.mac.Write(term)
		s.mac.Write(lengths)
	}
	s.mac.Write(plaintext)
	return s.mac.Sum(s.sum[:0])[:ivSize]
}

// release wipes what the plaintext left in s, HMAC's block buffer included, and gives s back to the
// pool.
func (k *Key) release(s *macState) {
	s.mac.Reset()
	clear(s.sum[:])
	k.macStates.Put(s)
}

// sealDeterministic fills iv and encrypts plaintext (kind byte first) in place. term is the order
// term of an ordered cell, or the tokens and their length of one with terms.
func (k *Key) sealDeterministic(term, iv, plaintext []byte) {
	s := k.macStates.Get().(*macState)
	copy(iv, s.syntheticIV(term, plaintext))
	k.xorCTR(s, iv, plaintext, plaintext)
	k.release(s)
}

// openDeterministic decrypts ciphertext into out, which is of the same length and the same memory
// or disjoint. On failure out is wiped: nothing unauthenticated leaves.
func (k *Key) openDeterministic(out, term, iv, ciphertext []byte) bool {
	s := k.macStates.Get().(*macState)
	k.xorCTR(s, iv, out, ciphertext)
	ok := subtle.ConstantTimeCompare(s.syntheticIV(term, out), iv) == 1
	k.release(s)
	if !ok {
		clear(out)
	}
	return ok
}

// xorCTR is AES-256-CTR with a 128-bit big-endian counter that starts at iv (NIST SP 800-38A,
// section 6.5).
func (k *Key) xorCTR(s *macState, iv, dst, src []byte) {
	if approved || len(src) > shortCTR {
		cipher.NewCTR(k.block, iv).XORKeyStream(dst, src)
		return
	}
	hi := binary.BigEndian.Uint64(iv)
	lo := binary.BigEndian.Uint64(iv[8:])
	stream := s.stream[:(len(src)+aes.BlockSize-1)&^(aes.BlockSize-1)]
	// All counters first, so that the processor can overlap the encryptions that follow.
	for b := stream; len(b) > 0; b = b[aes.BlockSize:] {
		binary.BigEndian.PutUint64(b, hi)
		binary.BigEndian.PutUint64(b[8:], lo)
		if lo++; lo == 0 {
			hi++
		}
	}
	for b := stream; len(b) > 0; b = b[aes.BlockSize:] {
		k.block.Encrypt(b, b)
	}
	subtle.XORBytes(dst, src, stream)
	clear(stream)
}
