package gcpkms_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/gcpkms"
	"github.com/colseal/colseal/kms/gcpkms/gcptest"
	"github.com/colseal/colseal/kms/kmstest"
)

func ExampleNew() {
	ctx := context.Background()
	srv, err := gcptest.New() // instead of the service
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	client, err := srv.Client(ctx) // a program calls apiv1.NewKeyManagementClient
	if err != nil {
		log.Panic(err)
	}
	defer client.Close()

	// Its name is projects/P/locations/L/keyRings/R/cryptoKeys/K.
	w, err := gcpkms.New(client, gcpkms.Config{Key: gcptest.Key})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(w.Check(ctx))
	// Output: <nil>
}

func ExampleNew_denied() {
	ctx := context.Background()
	srv, err := gcptest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	client, err := srv.Client(ctx)
	if err != nil {
		log.Panic(err)
	}
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
