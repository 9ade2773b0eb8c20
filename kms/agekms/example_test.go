package agekms_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"filippo.io/age"

	"github.com/colseal/colseal/kms/agekms"
)

func newIdentity() *age.X25519Identity {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		log.Fatal(err)
	}
	return id
}

func ExampleNew() {
	ctx := context.Background()
	id := newIdentity() // lies in a safe
	to := []string{id.Recipient().String()}

	program, err := agekms.New(to) // has the recipient, and wraps
	if err != nil {
		log.Fatal(err)
	}
	k, err := program.GenerateDataKey(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = program.Unwrap(ctx, k.Wrapped, nil)
	fmt.Println("the program cannot unwrap:", err != nil)

	recovery, err := agekms.New(to, id) // has the identity
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
