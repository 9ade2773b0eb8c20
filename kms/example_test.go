package kms_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/colseal/colseal/kms"
	_ "github.com/colseal/colseal/kms/localkms"
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

	ctx := context.Background()
	w, err := kms.Open(ctx, "localkms://"+filepath.Join(dir, "kek"))
	if err != nil {
		log.Panic(err)
	}
	row := kms.EncryptionContext{"keyring": "app"}
	k, err := w.GenerateDataKey(ctx, row)
	if err != nil {
		log.Panic(err)
	}
	defer k.Wipe()
	plaintext, err := w.Unwrap(ctx, k.Wrapped, row)
	fmt.Println(bytes.Equal(plaintext, k.Plaintext), err)
	// Output: true <nil>
}

func ExampleOpenAll() {
	dir := tempDir()
	defer os.RemoveAll(dir)

	// Each data key is wrapped under both, and either opens it.
	ctx := context.Background()
	here, there := "localkms://"+filepath.Join(dir, "here"), "localkms://"+filepath.Join(dir, "there")
	both, err := kms.OpenAll(ctx, here, there)
	if err != nil {
		log.Panic(err)
	}
	k, err := both.GenerateDataKey(ctx, nil)
	if err != nil {
		log.Panic(err)
	}
	defer k.Wipe()
	if err := os.Remove(filepath.Join(dir, "here")); err != nil {
		log.Panic(err)
	}
	left, err := kms.OpenAll(ctx, here, there)
	if err != nil {
		log.Panic(err)
	}
	_, err = left.Unwrap(ctx, k.Wrapped, nil)
	fmt.Println(len(kms.KEKs(k.Wrapped)), err)
	// Output: 2 <nil>
}
