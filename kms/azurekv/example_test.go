package azurekv_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/azurekv"
	"github.com/colseal/colseal/kms/azurekv/azuretest"
	"github.com/colseal/colseal/kms/kmstest"
)

func ExampleNew() {
	srv := azuretest.New() // instead of a vault
	defer srv.Close()
	test := srv.Config()

	w, err := azurekv.New(azurekv.Config{
		VaultURL:      test.VaultURL, // such as https://app.vault.azure.net
		Key:           "app",
		Credential:    test.Credential, // such as azidentity.NewDefaultAzureCredential's
		ClientOptions: test.ClientOptions,
	})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(w.Check(context.Background()))
	// Output: <nil>
}

func ExampleNew_denied() {
	srv := azuretest.New()
	defer srv.Close()
	w, err := azurekv.New(srv.Config())
	if err != nil {
		log.Panic(err)
	}
	srv.Set(kmstest.ConditionAccessDenied)
	_, err = w.GenerateDataKey(context.Background(), nil)
	fmt.Println(errors.Is(err, kms.ErrDenied))
	// Output: true
}
