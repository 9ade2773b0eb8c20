package gcpkms_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	apiv1 "cloud.google.com/go/kms/apiv1"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/gcpkms"
	"github.com/colseal/colseal/kms/gcpkms/gcptest"
	"github.com/colseal/colseal/kms/kmstest"
)

// connect returns a client of a server for tests.
func connect(ctx context.Context) (*gcptest.Server, *apiv1.KeyManagementClient) {
	srv, err := gcptest.New()
	if err != nil {
		log.Fatal(err)
	}
	client, err := srv.Client(ctx)
	if err != nil {
		log.Fatal(err)
	}
	return srv, client
}

func ExampleNew() {
	ctx := context.Background()
	srv, client := connect(ctx) // a program calls apiv1.NewKeyManagementClient
	defer srv.Close()
	defer client.Close()
	w, err := gcpkms.New(client, gcpkms.Config{Key: gcptest.Key}) // projects/P/locations/L/keyRings/R/cryptoKeys/K
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(w.Check(ctx))
	// Output: <nil>
}

func ExampleNew_denied() {
	ctx := context.Background()
	srv, client := connect(ctx)
	defer srv.Close()
	defer client.Close()
	w, err := gcpkms.New(client, gcpkms.Config{Key: gcptest.Key})
	if err != nil {
		log.Panic(err)
	}
	srv.Set(kmstest.ConditionAccessDenied)
	_, err = w.GenerateDataKey(ctx, nil)
	fmt.Println(errors.Is(err, kms.ErrDenied))
	// Output: true
}
