package inbox

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the vectors again, with new random encapsulations")

// A vector is an inbox, and a writer's key that was encrypted to it. Bytes are in hexadecimal digits.
type vector struct {
	KEM     string `json:"kem"`
	Seed    string `json:"seed"`
	Public  string `json:"public"`
	InboxID uint32 `json:"inbox_id"`
	Scope   string `json:"scope"`
	Pin     string `json:"pin"`
	KeyID   uint32 `json:"key_id"`
	Keyring string `json:"keyring"`
	Info    string `json:"info"`
	Wrapped string `json:"wrapped"`
	DataKey string `json:"data_key"`
}

const vectorFile = "testdata/vectors.json"

func vectors(t *testing.T) (all []vector) {
	t.Helper()
	text, err := os.ReadFile(vectorFile)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all) != 4 {
		t.Fatalf("%d vectors: %v", len(all), err)
	}
	return all
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeVectors(t *testing.T) {
	t.Helper()
	var all []vector
	for i, kem := range []KEM{X25519, P256, X25519, P256} {
		v := vector{KEM: kem.String(), InboxID: 0x00000b0c + uint32(i), Scope: []string{"", "", "tenant:42", "tenant:ü"}[i], KeyID: 0x5a1ed0c1 + uint32(i), Keyring: "00112233445566778899aabbccddeeff"}
		seed, dataKey := make([]byte, SeedSize), make([]byte, 32)
		for j := range seed {
			seed[j], dataKey[j] = byte(16*i+j), byte(255-16*i-j)
		}
		private, err := NewPrivate(kem, seed)
		if err != nil {
			t.Fatal(err)
		}
		public, err := ParsePublic(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		info, err := Info(v.KeyID, v.Keyring, v.Scope)
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := public.Seal(info, dataKey)
		if err != nil {
			t.Fatal(err)
		}
		v.Seed, v.Public, v.Pin = hex.EncodeToString(seed), hex.EncodeToString(private.Public()), PinOf(v.InboxID, v.Scope, private.Public()).String()
		v.Info, v.Wrapped, v.DataKey = hex.EncodeToString(info), hex.EncodeToString(wrapped), hex.EncodeToString(dataKey)
		all = append(all, v)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(vectorFile, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestVectors: the package makes the public values of each vector, and opens its key.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	for _, v := range vectors(t) {
		kem, err := ParseKEM(v.KEM)
		if err != nil {
			t.Fatal(err)
		}
		private, err := NewPrivate(kem, unhex(t, v.Seed))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(private.Public()); got != v.Public {
			t.Errorf("%s: public = %s, want %s", v.KEM, got, v.Public)
		}
		pin, err := ParsePin(v.Pin)
		if err != nil || PinOf(v.InboxID, v.Scope, private.Public()) != pin || pin.String() != v.Pin {
			t.Errorf("%s: pin = %s, want %s (%v)", v.KEM, PinOf(v.InboxID, v.Scope, private.Public()), v.Pin, err)
		}
		info, err := Info(v.KeyID, v.Keyring, v.Scope)
		if err != nil || hex.EncodeToString(info) != v.Info {
			t.Errorf("%s: info = %x, want %s (%v)", v.KEM, info, v.Info, err)
		}
		got, err := private.Open(info, unhex(t, v.Wrapped))
		if err != nil || hex.EncodeToString(got) != v.DataKey {
			t.Errorf("%s: Open = %x, %v, want %s", v.KEM, got, err, v.DataKey)
		}
	}
}

// TestBound: a writer's key opens with its own id, scope and keyring only, in its own inbox, and unaltered.
func TestBound(t *testing.T) {
	for _, v := range vectors(t) {
		kem, _ := ParseKEM(v.KEM)
		private, err := NewPrivate(kem, unhex(t, v.Seed))
		if err != nil {
			t.Fatal(err)
		}
		wrapped := unhex(t, v.Wrapped)
		for name, other := range map[string]struct {
			id             uint32
			keyring, scope string
		}{
			"another id":      {v.KeyID + 1, v.Keyring, v.Scope},
			"another keyring": {v.KeyID, "00112233445566778899aabbccddeefe", v.Scope},
			"another scope":   {v.KeyID, v.Keyring, v.Scope + "x"},
		} {
			info, err := Info(other.id, other.keyring, other.scope)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := private.Open(info, wrapped); err == nil {
				t.Errorf("%s: opened with %s: %x", v.KEM, name, got)
			}
		}
		info := unhex(t, v.Info)
		for _, i := range []int{0, len(wrapped) / 2, len(wrapped) - 49, len(wrapped) - 1} {
			altered := bytes.Clone(wrapped)
			altered[i] ^= 1
			if _, err := private.Open(info, altered); err == nil {
				t.Errorf("%s: opened with byte %d altered", v.KEM, i)
			}
		}
		stranger, err := NewPrivate(kem, bytes.Repeat([]byte{7}, SeedSize))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.Open(info, wrapped); err == nil {
			t.Errorf("%s: opened by another inbox", v.KEM)
		}
		for _, b := range [][]byte{nil, {1}, info, wrapped[:len(wrapped)-1]} {
			if _, err := private.Open(info, b); err == nil {
				t.Errorf("%s: opened %d bytes", v.KEM, len(b))
			}
		}
	}
}

// TestHostilePublic: what is no public key is an error.
func TestHostilePublic(t *testing.T) {
	v := vectors(t)[0]
	good := unhex(t, v.Public)
	for name, b := range map[string][]byte{
		"empty": nil, "one byte": {0x64}, "no key": {0x64, 0x7a}, "unknown KEM": append([]byte{0, 0x20}, good[2:]...),
		"another KEM's": append([]byte{0, 0x50}, good[2:]...), "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0),
		"not reduced": append([]byte{0x64, 0x7a}, bytes.Repeat([]byte{255}, len(good)-2)...),
	} {
		if _, err := ParsePublic(b); err == nil {
			t.Errorf("%s: taken for a public key", name)
		}
	}
	hash := v.Pin[9:]
	for _, s := range []string{"", "-", "00", v.Pin + "00", v.Pin[1:] + "x", v.Pin[1:], hash, "-" + hash, v.Pin[:8] + hash, v.Pin[:8] + "--" + hash, strings.ToUpper(v.Pin), " " + v.Pin} {
		if _, err := ParsePin(s); err == nil {
			t.Errorf("ParsePin(%q): no error", s)
		}
	}
	if _, err := ParseKEM("x25519"); err == nil {
		t.Error("ParseKEM: no error")
	}
	if _, err := NewPrivate(X25519, make([]byte, 31)); err == nil {
		t.Error("NewPrivate of 31 bytes: no error")
	}
	if _, err := Info(1, "kr", ""); err == nil {
		t.Error("Info of a bad id: no error")
	}
}
