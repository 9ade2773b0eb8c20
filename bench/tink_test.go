package main

import (
	"fmt"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// What Tink takes for what package codec's benchmarks do: AES256_GCM, and an envelope of it
// whose KEK is in memory.

func BenchmarkTinkSeal(b *testing.B) {
	byAEAD(b, func(b *testing.B, a tink.AEAD, plain []byte) {
		for b.Loop() {
			if _, err := a.Encrypt(plain, identity); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTinkOpen(b *testing.B) {
	byAEAD(b, func(b *testing.B, a tink.AEAD, plain []byte) {
		sealed, err := a.Encrypt(plain, identity)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := a.Decrypt(sealed, identity); err != nil {
				b.Fatal(err)
			}
		}
	})
}

var identity = []byte("users.email")

func byAEAD(b *testing.B, f func(b *testing.B, a tink.AEAD, plain []byte)) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		b.Fatal(err)
	}
	direct, err := aead.New(handle)
	if err != nil {
		b.Fatal(err)
	}
	for name, a := range map[string]tink.AEAD{"AES256_GCM": direct, "envelope": aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), direct)} {
		for _, size := range []int{16, 64, 1024, 65536} {
			b.Run(fmt.Sprintf("%s/bytes=%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				f(b, a, make([]byte, size))
			})
		}
	}
}
