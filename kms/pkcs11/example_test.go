//go:build cgo

package pkcs11_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/colseal/colseal/kms/pkcs11"
)

func ExampleOpen() {
	w, err := pkcs11.Open(pkcs11.Config{
		Module: "/usr/lib/softhsm/libsofthsm2.so",
		Token:  "app",
		PIN:    func() (string, error) { return os.Getenv("PKCS11_PIN"), nil },
		Key:    "colseal",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	fmt.Println(w.Check(context.Background()))
}

func ExampleOpen_noModule() {
	_, err := pkcs11.Open(pkcs11.Config{
		Module: "/no/such/module.so",
		Token:  "app",
		PIN:    func() (string, error) { return os.Getenv("PKCS11_PIN"), nil },
		Key:    "colseal",
	})
	fmt.Println(err != nil)
	// Output: true
}
