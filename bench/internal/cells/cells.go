// Package cells times sealing and opening one value against bare AES-256-GCM and
// against Tink, all in the same run and in the same blocks of time.
package cells

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/colseal/colseal/bench/internal/stat"
)

// Options says what to measure and for how long.
type Options struct {
	Sizes  []int         // plaintext bytes
	Rounds int           // blocks of each subject
	Block  time.Duration // of one subject
}

// A Result is one row: one way to seal or open values of one size.
type Result struct {
	Size   int          `json:"size"` // plaintext bytes
	Op     string       `json:"op"`   // seal, open
	Name   string       `json:"name"`
	NS     stat.Summary `json:"ns"`              // nanoseconds per value
	Bare   stat.Ratio   `json:"vs_bare"`         // against bare AES-256-GCM of the same operation
	Random *stat.Ratio  `json:"vs_random_nonce"` // sealing: against bare AES-256-GCM that draws its nonce
	Tink   *stat.Ratio  `json:"vs_tink"`         // against Tink's AES256_GCM
	Allocs float64      `json:"allocs"`          // per value
	Added  *int         `json:"added,omitempty"` // bytes that the sealed form is longer
}

// subject is one row before it is measured.
type subject struct {
	name  string
	added int // bytes; -1: not told
	one   func()
}

// The names that others are compared with.
const (
	bareName   = "bare AES-256-GCM, fixed nonce, prepared buffer"
	randomName = "bare AES-256-GCM, random nonce, prepared buffer"
	tinkName   = "Tink AES256_GCM"

	looked      = "cell, Go value, incl. key lookup"
	lookedBlock = "cell, Go value into a statement's block, incl. key lookup"
	inPlaceText = "cell, Go value in place, incl. the copy"
)

// Blocks returns how many blocks Run will time, for a progress bar.
func Blocks(o Options) int {
	n := 0
	for _, size := range o.Sizes {
		f, err := newFixture(size)
		if err != nil {
			return 0
		}
		n += o.Rounds * (len(f.seals()) + len(f.opens()))
		f.close()
	}
	return n
}

// Run measures everything. progress is called after each block.
func Run(o Options, progress func()) ([]Result, error) {
	// The collector runs as often as in a program of some size, and not as in an empty one.
	ballast := make([]byte, 64<<20)
	defer runtime.KeepAlive(ballast)
	var all []Result
	for _, size := range o.Sizes {
		f, err := newFixture(size)
		if err != nil {
			return nil, err
		}
		all = append(all, measure(o, size, "seal", f.seals(), progress)...)
		all = append(all, measure(o, size, "open", f.opens(), progress)...)
		f.close()
		if f.err != nil {
			return nil, fmt.Errorf("%d bytes: %w", size, f.err)
		}
	}
	return all, nil
}

func measure(o Options, size int, op string, subjects []subject, progress func()) []Result {
	timed := make([]stat.Subject, len(subjects))
	base := map[string]int{}
	for i, s := range subjects {
		base[s.name] = i
		timed[i] = stat.Subject{Name: s.name, Run: func(n int) {
			for range n {
				s.one()
			}
		}}
	}
	ns := stat.Blocks(timed, o.Rounds, o.Block, progress).Wall
	against := func(i int, name string) *stat.Ratio {
		j, ok := base[name]
		if !ok {
			return nil
		}
		r := stat.Paired(ns[i], ns[j])
		return &r
	}
	results := make([]Result, len(subjects))
	for i, s := range subjects {
		results[i] = Result{
			Size: size, Op: op, Name: s.name,
			NS:     stat.Summarize(ns[i]),
			Bare:   *against(i, bareName),
			Random: against(i, randomName),
			Tink:   against(i, tinkName),
			Allocs: testing.AllocsPerRun(200, s.one),
		}
		if s.added >= 0 {
			results[i].Added = &s.added
		}
	}
	return results
}

// bare is AES-256-GCM of the standard library, twice: with the caller's nonce and
// with one that it draws.
func bare() (fixed, random cipher.AEAD, err error) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, nil, err
	}
	if fixed, err = cipher.NewGCM(block); err != nil {
		return nil, nil, err
	}
	random, err = cipher.NewGCMWithRandomNonce(block)
	return fixed, random, err
}

// note keeps the first error of a timed loop, where there is no time for more.
func (f *fixture) note(err error) {
	if err != nil && f.err == nil {
		f.err = err
	}
}

var background = context.Background()
