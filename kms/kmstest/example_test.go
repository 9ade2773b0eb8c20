package kmstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// A test calls Start and Server.Client instead.
func ExampleNew() {
	srv := kmstest.New()
	defer srv.Close()
	id := srv.CreateKey()
	client := sdk.New(srv.Options(), func(o *sdk.Options) { o.HTTPClient = &http.Client{Transport: srv.Transport()} })

	_, err := awskms.New(client, id).GenerateDataKey(context.Background(), kms.EncryptionContext{"keyring": "app"})
	fmt.Println(err)
	for _, e := range srv.Events() {
		fmt.Println(e.Operation, e.EncryptionContext)
	}
	// Output:
	// <nil>
	// GenerateDataKey map[keyring:app]
}

func ExampleServer_Break() {
	srv := kmstest.New()
	defer srv.Close()
	w := awskms.New(sdk.New(srv.Options(), func(o *sdk.Options) { o.HTTPClient = &http.Client{Transport: srv.Transport()} }), srv.CreateKey())

	repair := srv.Break(kmstest.OutageRefused)
	_, err := w.GenerateDataKey(context.Background(), nil)
	fmt.Println(errors.Is(err, kms.ErrUnavailable))
	repair()
	_, err = w.GenerateDataKey(context.Background(), nil)
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
