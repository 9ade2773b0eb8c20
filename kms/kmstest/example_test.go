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

// connect returns a client of the server. A test calls Server.Client instead.
func connect(srv *kmstest.Server) *sdk.Client {
	return sdk.New(srv.Options(), func(o *sdk.Options) { o.HTTPClient = &http.Client{Transport: srv.Transport()} })
}

func ExampleNew() {
	srv := kmstest.New() // a test calls kmstest.Start
	defer srv.Close()
	w := awskms.New(connect(srv), srv.CreateKey())

	_, err := w.GenerateDataKey(context.Background(), kms.EncryptionContext{"keyring": "app"})
	fmt.Println(err)
	for _, e := range srv.Events() {
		fmt.Println(e.Operation, e.EncryptionContext)
	}
	// Output:
	// <nil>
	// GenerateDataKey map[keyring:app]
}

func ExampleServer_Break() {
	srv := kmstest.New() // a test calls kmstest.Start
	defer srv.Close()
	w := awskms.New(connect(srv), srv.CreateKey())

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
