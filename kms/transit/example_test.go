package transit_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/kms/transit"
	"github.com/colseal/colseal/kms/transit/transittest"
)

func ExampleNew() {
	srv := transittest.New() // instead of Vault or OpenBao
	defer srv.Close()

	w, err := transit.New(transit.Config{Address: srv.URL, Key: "app", Token: transittest.GiveToken})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(w.Check(context.Background()))
	// Output: <nil>
}

func ExampleNew_denied() {
	srv := transittest.New()
	defer srv.Close()

	w, err := transit.New(transit.Config{Address: srv.URL, Key: "app", Token: transittest.GiveToken})
	if err != nil {
		log.Panic(err)
	}
	srv.Set(kmstest.ConditionAccessDenied)
	_, err = w.GenerateDataKey(context.Background(), nil)
	fmt.Println(errors.Is(err, kms.ErrDenied))
	// Output: true
}
