//go:build unix

package keyring_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms"
)

// The steps of making the first key, at each of which a process is killed.
var killSteps = []string{
	"before ring", "after ring", "before generate", "after generate",
	"before insert", "after insert", "before seal", "after seal", "never",
}

// TestKilledWhileMakingTheFirstKey kills a process with SIGKILL at every step of
// making the first key and sealing the first cell. Whatever it had written by
// then opens afterwards, and the next process goes on with one key.
func TestKilledWhileMakingTheFirstKey(t *testing.T) {
	if dir := os.Getenv("COLSEAL_KILL_DIR"); dir != "" {
		victim(t, dir, os.Getenv("COLSEAL_KILL_STEP"))
		return
	}
	for _, step := range killSteps {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			if err := sqliteAt(t, dir).Create(t.Context()); err != nil {
				t.Fatal(err)
			}
			runVictim(t, dir, step)
			runVictim(t, dir, "never")
			cells := cellsIn(t, dir)
			if want := 1 + strings.Count(step, "after seal") + strings.Count(step, "never"); len(cells) != want {
				t.Errorf("%d cells, want %d", len(cells), want)
			}
			store := sqliteAt(t, dir)
			c := keycache.New(store, steppedKMS{}, keycache.Config{})
			defer c.Close()
			for _, cell := range cells {
				if err := openOne(c, t.Context(), random, cell); err != nil {
					t.Errorf("a cell without its key: %v", err)
				}
			}
			ring, err := store.Ring(t.Context(), keyring.PurposeData, "")
			if err != nil || len(ring.Keys) != 1 {
				t.Errorf("%d keys, %v", len(ring.Keys), err)
			}
		})
	}
}

func runVictim(t *testing.T, dir, step string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWhileMakingTheFirstKey$")
	cmd.Env = append(os.Environ(), "COLSEAL_KILL_DIR="+dir, "COLSEAL_KILL_STEP="+step)
	out, err := cmd.CombinedOutput()
	if killed := cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled(); killed != (step != "never") || err != nil && !killed {
		t.Fatalf("victim at %q: %v\n%s", step, err, out)
	}
}

func sqliteAt(t *testing.T, dir string) *keyring.Store {
	return keyring.OpenStore(sqliteDB(t, filepath.Join(dir, "app.db")), keyring.DialectSQLite, "")
}

// victim seals one cell, appends it to a file, and dies at step.
func victim(t *testing.T, dir, step string) {
	at := func(now string) {
		if now == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal comes
		}
	}
	c := keycache.New(steppedKeyring{sqliteAt(t, dir), at}, steppedKMS{at}, keycache.Config{})
	k, err := c.Sealer(t.Context(), random, 1)
	if err != nil {
		t.Fatal(err)
	}
	at("before seal")
	cell, err := k.Seal(nil, codec.KindText, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "cells"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintln(f, codec.EncodeText(cell)); err != nil {
		t.Fatal(err)
	}
	at("after seal")
}

func cellsIn(t *testing.T, dir string) (cells [][]byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cells"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		cell, err := codec.DecodeText(bytes.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		cells = append(cells, cell)
	}
	return cells
}

type steppedKeyring struct {
	*keyring.Store
	at func(string)
}

func (k steppedKeyring) Ring(ctx context.Context, p keyring.Purpose, scope string) (keyring.Ring, error) {
	k.at("before ring")
	defer k.at("after ring")
	return k.Store.Ring(ctx, p, scope)
}

func (k steppedKeyring) Insert(ctx context.Context, rec keyring.Key) (bool, error) {
	k.at("before insert")
	defer k.at("after insert")
	return k.Store.Insert(ctx, rec)
}

// steppedKMS wraps under a KEK that every process knows.
type steppedKMS struct{ at func(string) }

func (steppedKMS) aead() cipher.AEAD {
	block, _ := aes.NewCipher(make([]byte, 32))
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	return aead
}

func (s steppedKMS) GenerateDataKey(_ context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	s.at("before generate")
	defer s.at("after generate")
	plain := make([]byte, kms.DataKeySize)
	_, _ = rand.Read(plain)
	ad, _ := json.Marshal(ec)
	return kms.DataKey{Plaintext: plain, Wrapped: kms.Wrapped{KeyID: "kek", Blob: s.aead().Seal(nil, nil, plain, ad)}}, nil
}

func (s steppedKMS) Unwrap(_ context.Context, w kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	ad, _ := json.Marshal(ec)
	plain, err := s.aead().Open(nil, nil, w.Blob, ad)
	if err != nil {
		return nil, kms.ErrInvalidWrapped
	}
	return plain, nil
}

func (s steppedKMS) Rewrap(_ context.Context, w kms.Wrapped, _, _ kms.EncryptionContext) (kms.Wrapped, error) {
	return w, nil
}
