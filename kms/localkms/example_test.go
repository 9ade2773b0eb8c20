package localkms_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/localkms"
)

func tempDir() string {
	dir, err := os.MkdirTemp("", "kek")
	if err != nil {
		log.Fatal(err)
	}
	return dir
}

func ExampleOpen() {
	dir := tempDir()
	defer os.RemoveAll(dir)

	w, err := localkms.Open(filepath.Join(dir, "kek")) // the first call makes the file
	if err != nil {
		log.Panic(err)
	}
	k, err := w.GenerateDataKey(context.Background(), kms.EncryptionContext{"scope": "tenant:1"})
	if err != nil {
		log.Panic(err)
	}
	defer k.Wipe()
	_, err = w.Unwrap(context.Background(), k.Wrapped, kms.EncryptionContext{"scope": "tenant:2"})
	fmt.Println(errors.Is(err, kms.ErrInvalidWrapped))
	// Output: true
}

func ExampleOpen_retired() {
	dir := tempDir()
	defer os.RemoveAll(dir)

	ctx := context.Background()
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	w, err := localkms.Open(before)
	if err != nil {
		log.Panic(err)
	}
	k, err := w.GenerateDataKey(ctx, nil)
	if err != nil {
		log.Panic(err)
	}
	defer k.Wipe()

	// The new file wraps, and what the old one wrapped still opens.
	w, err = localkms.Open(after, before)
	if err != nil {
		log.Panic(err)
	}
	rewrapped, err := w.Rewrap(ctx, k.Wrapped, nil, nil)
	fmt.Println(rewrapped.KeyID != k.Wrapped.KeyID, err)
	// Output: true <nil>
}
