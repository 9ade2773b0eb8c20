package agekms_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"filippo.io/age"

	"github.com/colseal/colseal/kms/agekms"
)

func ExampleNew() {
	id, err := age.GenerateX25519Identity() // lies in a safe
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	// A program has the recipient, and wraps.
	program, err := agekms.New([]string{id.Recipient().String()})
	if err != nil {
		log.Fatal(err)
	}
	k, err := program.GenerateDataKey(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = program.Unwrap(ctx, k.Wrapped, nil)
	fmt.Println("the program cannot unwrap:", err != nil)

	// Whoever recovers has the identity.
	recovery, err := agekms.New([]string{id.Recipient().String()}, id)
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := recovery.Unwrap(ctx, k.Wrapped, nil)
	fmt.Println(bytes.Equal(plaintext, k.Plaintext), err)
	// Output:
	// the program cannot unwrap: true
	// true <nil>
}

func ExampleNew_recipients() {
	_, err := agekms.New([]string{"ssh-unknown AAAA"})
	fmt.Println(err != nil)
	// Output: true
}
