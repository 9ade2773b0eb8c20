// Package keyring_test tests packages keyring and keycache together, on databases.
package keyring_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
)

var (
	random        = keycache.Column{Identity: "users.ssn", Suite: codec.SuiteRandomized}
	deterministic = keycache.Column{Identity: "users.email", Suite: codec.SuiteDeterministic}
)

// How long an Admin gives running processes to read a change of the keyring.
const (
	settleMargin = time.Minute
	settle       = keyring.DefaultMaxAge + keyring.DefaultMaxStale + settleMargin
)

// sealOne seals one cell and returns it.
func sealOne(t testing.TB, c *keycache.Cache, ctx context.Context, col keycache.Column) []byte {
	t.Helper()
	k, err := c.Sealer(ctx, col, 1)
	if err != nil {
		t.Fatal(err)
	}
	cell, err := k.Seal(nil, codec.KindText, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	return cell
}

// openOne opens a cell as a reader would.
func openOne(c *keycache.Cache, ctx context.Context, col keycache.Column, cell []byte) error {
	h, err := codec.ParseHeader(cell)
	if err != nil {
		return err
	}
	k, err := c.Opener(ctx, col, h.KeyID)
	if err != nil {
		return err
	}
	plain, err := k.Open(nil, codec.KindText, cell)
	if err == nil && string(plain) != "plain" {
		return errors.New("wrong plaintext")
	}
	return err
}

func keyID(t testing.TB, cell []byte) uint32 {
	t.Helper()
	h, err := codec.ParseHeader(cell)
	if err != nil {
		t.Fatal(err)
	}
	return h.KeyID
}
