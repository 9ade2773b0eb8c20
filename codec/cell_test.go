package codec

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

var suites = []Suite{SuiteRandomized, SuiteDeterministic}

func eachSuite(t *testing.T, f func(t *testing.T, k *Key)) {
	for _, suite := range suites {
		t.Run(suite.String(), func(t *testing.T) { f(t, benchKey(t, suite)) })
	}
}

// sealValue seals v as the driver does: first its encoding, then, when the key is known, the cell.
func sealValue(k *Key, kind Kind, v any) ([]byte, error) {
	if k.terms != nil {
		encoding, err := AppendValue(nil, kind, k.layout.Suite, v)
		if err != nil {
			return nil, err
		}
		return k.Seal(nil, kind, encoding)
	}
	cell, err := Session{}.AppendUnsealed(nil, k.layout, kind, v)
	if err == nil {
		k.SealInPlace(cell, new(Nonces))
	}
	return cell, err
}

func TestRoundTripLengths(t *testing.T) {
	eachSuite(t, func(t *testing.T, k *Key) {
		for n := range 600 {
			want := bytes.Repeat([]byte{byte(n)}, n)
			cell, err := k.Seal(nil, KindBytes, want)
			if err != nil || len(cell) != n+k.Header().Suite.Overhead() {
				t.Fatalf("%d bytes: a cell of %d, %v", n, len(cell), err)
			}
			if got, err := k.Open(nil, KindBytes, cell); err != nil || !bytes.Equal(got, want) || got == nil {
				t.Fatalf("%d bytes: %x %v", n, got, err)
			}
		}
	})
}

// TestEveryByte: no single altered byte of a cell is survived, on either path, and no plaintext is
// left behind.
func TestEveryByte(t *testing.T) {
	secret := []byte("a secret that is long enough to recognize")
	eachSuite(t, func(t *testing.T, k *Key) {
		cell, _ := k.Seal(nil, KindText, secret)
		for i := range cell {
			for _, bit := range []byte{1, 0x80, 0xff} {
				bad := bytes.Clone(cell)
				bad[i] ^= bit
				dst := make([]byte, 4, 200)
				got, err := k.Open(dst, KindText, bad)
				if !errors.Is(err, ErrAuth) && !errors.Is(err, ErrFormat) || got != nil {
					t.Fatalf("byte %d ^ %#x: %x, %v", i, bit, got, err)
				}
				got, err = k.OpenInPlace(KindText, bad)
				if !errors.Is(err, ErrAuth) && !errors.Is(err, ErrFormat) || got != nil {
					t.Fatalf("byte %d ^ %#x in place: %x, %v", i, bit, got, err)
				}
				for _, b := range [][]byte{dst[:cap(dst)], bad} {
					if bytes.Contains(b, secret[8:16]) {
						t.Fatalf("byte %d: plaintext was left in memory", i)
					}
				}
			}
		}
		for n := range cell {
			if _, err := k.Open(nil, KindText, cell[:n]); err == nil {
				t.Fatalf("opens when cut to %d bytes", n)
			}
		}
	})
}

// TestDestination holds what the documentation says about dst: appended to, not reallocated if it
// has room, free to overlap plaintext when sealing.
func TestDestination(t *testing.T) {
	eachSuite(t, func(t *testing.T, k *Key) {
		text := []byte("some text of some length")
		overhead := k.Header().Suite.Overhead()
		for _, spare := range []int{0, 1, len(text) + overhead - 1, len(text) + overhead, 500} {
			dst := append(make([]byte, 0, 3+spare), "pre"...)
			out, err := k.Seal(dst, KindText, text)
			if err != nil || string(out[:3]) != "pre" {
				t.Fatalf("spare %d: %q, %v", spare, out, err)
			}
			if (&out[0] == &dst[0]) != (spare >= len(text)+overhead) {
				t.Errorf("spare %d: reallocated or not, the wrong way round", spare)
			}
			cell := out[3:]
			opened := append(make([]byte, 0, 3+spare), "pre"...)
			if got, err := k.Open(opened, KindText, cell); err != nil || string(got) != "pre"+string(text) {
				t.Errorf("spare %d: opened %q, %v", spare, got, err)
			}
		}
		for shift := range 60 {
			buf := make([]byte, 200)
			copy(buf[shift:], text)
			cell, err := k.Seal(buf[:0], KindText, buf[shift:shift+len(text)])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.Open(nil, KindText, cell); err != nil || !bytes.Equal(got, text) {
				t.Errorf("overlap at %d: %q, %v", shift, got, err)
			}
		}
	})
}

// TestInPlaceKeepsNeighbours: a cell in an arena is opened, and appended to, without touching what
// lies beside it.
func TestInPlaceKeepsNeighbours(t *testing.T) {
	eachSuite(t, func(t *testing.T, k *Key) {
		var arena []byte
		var ends []int
		for _, s := range []string{"first", "", "third"} {
			arena, _ = k.Seal(arena, KindText, []byte(s))
			ends = append(ends, len(arena))
		}
		got, err := k.OpenInPlace(KindText, arena[ends[0]:ends[1]])
		if err != nil || got == nil || len(got) != 0 {
			t.Fatalf("%q, %v", got, err)
		}
		_ = append(got, "overflow"...)
		for i, cell := range [][]byte{arena[:ends[0]], arena[ends[1]:]} {
			if v, err := k.OpenValue(KindText, cell, false); err != nil || v != []any{"first", "third"}[i] {
				t.Errorf("neighbour %d: %v, %v", i, v, err)
			}
		}
	})
}

func TestSuitesDiffer(t *testing.T) {
	random, det := benchKey(t, SuiteRandomized), benchKey(t, SuiteDeterministic)
	r1, _ := sealValue(random, KindText, "x")
	r2, _ := sealValue(random, KindText, "x")
	d1, _ := sealValue(det, KindText, "x")
	d2, _ := sealValue(det, KindText, "x")
	d3, _ := sealValue(det, KindBytes, "x")
	if bytes.Equal(r1, r2) {
		t.Error("a randomized cell came twice")
	}
	if !bytes.Equal(d1, d2) || bytes.Equal(d1[HeaderSize:], d3[HeaderSize:]) {
		t.Error("deterministic cells: equal values must be equal, and kinds must differ")
	}
}

func TestSealRefuses(t *testing.T) {
	k := benchKey(t, SuiteRandomized)
	for _, kind := range []Kind{0, 14, 255} {
		if _, err := k.Seal(nil, kind, nil); !errors.Is(err, ErrValue) {
			t.Errorf("%v: %v", kind, err)
		}
		if _, err := sealValue(k, kind, "x"); !errors.Is(err, ErrValue) {
			t.Errorf("%v: %v", kind, err)
		}
	}
	if checkLength(KindText, maxPlaintext) != nil || !errors.Is(checkLength(KindText, maxPlaintext+1), ErrTooLong) {
		t.Error("maxPlaintext is not the limit")
	}
}

// TestTooLongIsNotCopied: what no cell can hold is refused before memory is asked for.
func TestTooLongIsNotCopied(t *testing.T) {
	long := make([]byte, maxPlaintext+1) // nobody touches it, so that it costs no memory
	text := unsafe.String(&long[0], len(long))
	k := benchKey(t, SuiteRandomized)
	var before, after runtime.MemStats
	for _, given := range []struct {
		kind Kind
		v    any
	}{{KindBytes, long}, {KindText, long}, {KindText, text}} {
		for what, f := range map[string]func() ([]byte, error){
			"AppendValue":    func() ([]byte, error) { return AppendValue(nil, given.kind, SuiteRandomized, given.v) },
			"AppendUnsealed": func() ([]byte, error) { return Session{}.AppendUnsealed(nil, k.layout, given.kind, given.v) },
			"AppendCompared": func() ([]byte, error) { return Session{}.AppendCompared(nil, k.layout, given.kind, given.v) },
		} {
			runtime.ReadMemStats(&before)
			_, err := f()
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrTooLong) || got > 1<<20 {
				t.Errorf("%s of a %T as %v: %v, and %d bytes of memory", what, given.v, given.kind, err, got)
			}
		}
	}
}

func TestNewKeyRefuses(t *testing.T) {
	good := make([]byte, 32)
	for name, f := range map[string]func() (*Key, error){
		"short data key": func() (*Key, error) { return NewKey(good[:31], 1, SuiteRandomized, "a") },
		"no data key":    func() (*Key, error) { return NewKey(nil, 1, SuiteRandomized, "a") },
		"no suite":       func() (*Key, error) { return NewKey(good, 1, 0, "a") },
		"unknown suite":  func() (*Key, error) { return NewKey(good, 1, 255, "a") },
		"no order":       func() (*Key, error) { return NewKey(good, 1, SuiteOrdered, "users.age") },
		"no identity":    func() (*Key, error) { return NewKey(good, 1, SuiteRandomized, "") },
		"long identity":  func() (*Key, error) { return NewKey(good, 1, SuiteRandomized, strings.Repeat("x", 65536)) },
	} {
		if k, err := f(); err == nil || k != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewKey(good, 1, SuiteDeterministic, strings.Repeat("x", 65535)); err != nil {
		t.Error(err)
	}
}

// TestDataKeyNotRetained: wiping the data key after NewKey changes nothing, also for states that a
// pool makes later.
func TestDataKeyNotRetained(t *testing.T) {
	for _, suite := range suites {
		dataKey := bytes.Repeat([]byte{7}, 32)
		k, _ := NewKey(dataKey, 1, suite, "a")
		clear(dataKey)
		cell, _ := sealValue(k, KindText, "x")
		other, _ := NewKey(bytes.Repeat([]byte{7}, 32), 1, suite, "a")
		if v, err := other.OpenValue(KindText, cell, false); err != nil || v != "x" {
			t.Error(suite, v, err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	eachSuite(t, func(t *testing.T, k *Key) {
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				want := strings.Repeat(string(rune('a'+g)), 20*g)
				for range 200 {
					cell, err := sealValue(k, KindText, want)
					if err != nil {
						t.Error(err)
						return
					}
					if v, err := k.OpenValue(KindText, cell, g%2 == 0); err != nil || v != want {
						t.Error("a value of another goroutine", err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestFIPS140Only runs this package's tests again where the runtime refuses everything that FIPS
// 140-3 does not approve.
func TestFIPS140Only(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "fips140=") {
		t.Skip("already running with GODEBUG=" + os.Getenv("GODEBUG"))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^Test", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("with GODEBUG=fips140=only: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS: TestVectors ")) || !bytes.Contains(out, []byte("--- PASS: TestRoundTripLengths ")) {
		t.Errorf("the child ran no tests:\n%s", out)
	}
}
