package queries

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/colseal/colseal/bench/internal/table"
	"github.com/colseal/colseal/codec"
)

// A cellWay is a way to encrypt one value.
type cellWay struct {
	name       string
	seal, open func(text []byte) ([]byte, error)
}

const column = "users.email" // what a value is bound to

// Cells times encrypting and decrypting one value of each size: bare AES-256-GCM, package codec,
// and Tink with its keys in memory. progress gets the share that is done.
func Cells(sizes []int, rounds int, block time.Duration, progress func(float64)) ([]table.Table, error) {
	ballast := make([]byte, 64<<20) // as in Run
	defer runtime.KeepAlive(ballast)
	ways, err := cellWays()
	if err != nil {
		return nil, err
	}
	var tables []table.Table
	blocks, all := 0, 2*len(sizes)*len(ways)*rounds
	for _, size := range sizes {
		for _, opens := range []bool{false, true} {
			t, err := timeCells(ways, size, opens, rounds, block, func() {
				blocks++
				progress(float64(blocks) / float64(all))
			})
			if err != nil {
				return nil, err
			}
			tables = append(tables, t)
		}
	}
	return tables, nil
}

func timeCells(ways []cellWay, size int, opens bool, rounds int, block time.Duration, progress func()) (table.Table, error) {
	text := []byte(strings.Repeat("x", size))
	subjects, lengths := make([]subject, len(ways)), make([]int, len(ways))
	var failure error
	for i, w := range ways {
		sealed, err := w.seal(text)
		if err != nil {
			return table.Table{}, fmt.Errorf("%s: %w", w.name, err)
		}
		do, in := w.seal, text
		if opens {
			do, in = w.open, sealed
		}
		lengths[i] = len(sealed) - size
		subjects[i] = subject{run: func(n int) {
			for range n {
				if _, err := do(in); err != nil {
					failure = fmt.Errorf("%s: %w", w.name, err)
				}
			}
		}}
	}
	times := interleave(subjects, rounds, block, math.MaxInt64, processTime, progress)
	if failure != nil {
		return table.Table{}, failure
	}
	what := "encrypting"
	if opens {
		what = "decrypting"
	}
	t := table.Table{Title: fmt.Sprintf("One value of %d bytes, %s, %d rounds", size, what, rounds),
		Columns: []string{"way", "ns", "÷ AES-256-GCM", "allocations", "bytes more"}}
	for i, w := range ways {
		ns, _ := median(times[i])
		t.Add(w.name, fmt.Sprintf("%.0f", ns), paired(times[i], times[0]), fmt.Sprintf("%.0f", allocations(subjects[i])), lengths[i])
	}
	return t, nil
}

// cellWays are the ways, with a key each. The first is what the others are compared with.
func cellWays() ([]cellWay, error) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	ways := []cellWay{{"AES-256-GCM of the standard library",
		func(text []byte) ([]byte, error) { return gcm.Seal(nil, nil, text, []byte(column)), nil },
		func(sealed []byte) ([]byte, error) { return gcm.Open(nil, nil, sealed, []byte(column)) }}}
	for _, suite := range []codec.Suite{codec.SuiteRandomized, codec.SuiteDeterministic} {
		key, err := codec.NewKey(make([]byte, 32), 1, suite, column)
		if err != nil {
			return nil, err
		}
		name := map[codec.Suite]string{codec.SuiteRandomized: "Colseal, random", codec.SuiteDeterministic: "Colseal, deterministic"}[suite]
		ways = append(ways, cellWay{name,
			func(text []byte) ([]byte, error) { return key.Seal(nil, codec.KindText, text) },
			func(sealed []byte) ([]byte, error) { return key.Open(nil, codec.KindText, sealed) }})
	}
	tinks, err := tinkWays()
	return append(ways, tinks...), err
}

func tinkWays() ([]cellWay, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	direct, err := aead.New(handle)
	if err != nil {
		return nil, err
	}
	envelope := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), direct)
	if handle, err = keyset.NewHandle(daead.AESSIVKeyTemplate()); err != nil {
		return nil, err
	}
	siv, err := daead.New(handle)
	if err != nil {
		return nil, err
	}
	return []cellWay{
		{"Tink, AES256_GCM",
			func(text []byte) ([]byte, error) { return direct.Encrypt(text, []byte(column)) },
			func(sealed []byte) ([]byte, error) { return direct.Decrypt(sealed, []byte(column)) }},
		{"Tink, envelope, with a KEK in memory",
			func(text []byte) ([]byte, error) { return envelope.Encrypt(text, []byte(column)) },
			func(sealed []byte) ([]byte, error) { return envelope.Decrypt(sealed, []byte(column)) }},
		{"Tink, AES256_SIV (deterministic)",
			func(text []byte) ([]byte, error) { return siv.EncryptDeterministically(text, []byte(column)) },
			func(sealed []byte) ([]byte, error) { return siv.DecryptDeterministically(sealed, []byte(column)) }},
	}, nil
}
