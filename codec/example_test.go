package codec_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"

	"github.com/colseal/colseal/codec"
)

// newKey makes a key of the column users.email. Programs get theirs from a key service.
func newKey(suite codec.Suite) *codec.Key {
	dataKey := make([]byte, 32)
	_, _ = rand.Read(dataKey) // never fails
	k, err := codec.NewKey(dataKey, 7, suite, "users.email")
	if err != nil {
		log.Fatal(err)
	}
	return k
}

func ExampleKey() {
	k := newKey(codec.SuiteRandomized)
	cell, err := k.Seal(nil, codec.KindText, []byte("ana@example.com"))
	if err != nil {
		log.Fatal(err)
	}
	text, err := k.Open(nil, codec.KindText, cell)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes hold %s\n", len(cell), text)

	cell[len(cell)-1] ^= 1
	_, err = k.Open(nil, codec.KindText, cell)
	fmt.Println(errors.Is(err, codec.ErrAuth))
	// Output:
	// 52 bytes hold ana@example.com
	// true
}

func ExampleParseHeader() {
	k := newKey(codec.SuiteDeterministic) // of the column users.email
	cell, err := k.Seal(nil, codec.KindText, []byte("ana@example.com"))
	if err != nil {
		log.Fatal(err)
	}
	h, err := codec.ParseHeader(cell)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(h.Suite == codec.SuiteDeterministic, h.KeyID, h.Tag == codec.ColumnTag("users.email"))
	// Output: true 7 true
}
