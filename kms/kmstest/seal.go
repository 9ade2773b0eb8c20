package kmstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"
)

// A ciphertext is: version 1, length of key id, key id, version of the material (4
// bytes, big-endian), nonce ‖ AES-256-GCM ciphertext. What stands before the nonce
// and the encryption context are authenticated.

// seal encrypts plaintext under the current material of k.
func seal(k *key, plaintext []byte, ec map[string]string) []byte {
	header := append([]byte{1, byte(len(k.id))}, k.id...)
	header = binary.BigEndian.AppendUint32(header, uint32(len(k.material)-1))
	return gcm(k.material[len(k.material)-1]).Seal(header, nil, plaintext, aad(header, ec))
}

// sealedBy returns the id of the key that a ciphertext names, "" for one that is
// not well-formed.
func sealedBy(blob []byte) string {
	if len(blob) < 2 || blob[0] != 1 || len(blob) < 2+int(blob[1])+4 {
		return ""
	}
	return string(blob[2 : 2+int(blob[1])])
}

// open decrypts a ciphertext that sealedBy says is of k.
func open(k *key, blob []byte, ec map[string]string) ([]byte, *apiError) {
	n := 2 + len(k.id) + 4
	version := binary.BigEndian.Uint32(blob[n-4 : n])
	if uint64(version) >= uint64(len(k.material)) {
		return nil, errCiphertext
	}
	plaintext, err := gcm(k.material[version]).Open(nil, nil, blob[n:], aad(blob[:n], ec))
	if err != nil {
		return nil, errCiphertext
	}
	return plaintext, nil
}

// NewAEAD returns AES-256-GCM with random nonces under a new key: what a test server makes a
// version of a key of.
func NewAEAD() cipher.AEAD {
	k := make([]byte, 32)
	_, _ = rand.Read(k) // never fails
	return gcm(k)
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// aad binds a ciphertext to its header and encryption context, whose order does
// not count.
func aad(header []byte, ec map[string]string) []byte {
	b := slices.Clone(header)
	for _, name := range slices.Sorted(maps.Keys(ec)) {
		for _, s := range []string{name, ec[name]} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
	}
	return b
}
