package keycache

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/internal/keytest"
	"github.com/colseal/colseal/kms"
)

var (
	random        = Column{Identity: "users.ssn", Suite: codec.SuiteRandomized}
	random2       = Column{Identity: "users.note", Suite: codec.SuiteRandomized}
	deterministic = Column{Identity: "users.email", Suite: codec.SuiteDeterministic}
)

// sealOne seals one cell and returns it.
func sealOne(t testing.TB, c *Cache, ctx context.Context, col Column) []byte {
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
func openOne(c *Cache, ctx context.Context, col Column, cell []byte) error {
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

// deafKMS does not heed its context.
type deafKMS struct {
	*keytest.KMS
	wake chan struct{}
}

func (d *deafKMS) GenerateDataKey(_ context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	<-d.wake
	return d.KMS.GenerateDataKey(context.Background(), ec)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func hex8(id uint32) string { return fmt.Sprintf("%08x", id) }

func idsOf(t *testing.T, c *Cache) (ids []uint32) {
	t.Helper()
	keys, err := c.SearchKeys(t.Context(), deterministic)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		ids = append(ids, k.Header().KeyID)
	}
	return ids
}
