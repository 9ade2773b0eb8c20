package awskms_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// connect returns a client of a server for tests.
func connect() (*kmstest.Server, *sdk.Client) {
	srv := kmstest.New()
	return srv, sdk.New(srv.Options(), func(o *sdk.Options) { o.HTTPClient = &http.Client{Transport: srv.Transport()} })
}

func ExampleNew() {
	srv, client := connect() // a program calls LoadDefaultConfig and NewFromConfig of the SDK
	defer srv.Close()
	srv.CreateKey(kmstest.Alias("alias/app"))

	w := awskms.New(client, "alias/app",
		awskms.WithTrustedKeys(kmstest.DefaultAccount)) // only keys of our own account unwrap
	fmt.Println(w.Check(context.Background())) // does the key exist, is it enabled, is it symmetric
	// Output: <nil>
}

func ExampleWrapper_Unwrap() {
	srv, client := connect()
	defer srv.Close()
	id := srv.CreateKey()
	w := awskms.New(client, id)

	ctx := context.Background()
	k, err := w.GenerateDataKey(ctx, nil)
	if err != nil {
		log.Panic(err)
	}
	defer k.Wipe()
	srv.SetState(id, kmstest.StateDisabled)
	_, err = w.Unwrap(ctx, k.Wrapped, nil)
	fmt.Println(errors.Is(err, kms.ErrDenied), kms.ErrorClass(err))
	// Output: true key_disabled
}
