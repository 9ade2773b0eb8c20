package cells

import (
	"crypto/cipher"
	"strings"

	"github.com/colseal/colseal/bench/internal/world"
	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// The columns that the cells belong to.
var (
	random        = keycache.Column{Identity: "customers.note", Suite: codec.SuiteRandomized}
	deterministic = keycache.Column{Identity: "customers.email", Suite: codec.SuiteDeterministic}
)

// A fixture is what the subjects of one size share.
type fixture struct {
	plain []byte
	text  string
	value any // text, boxed once, as an argument of a statement is
	ad    []byte

	fixed, drawn   cipher.AEAD
	tink, envelope tink.AEAD
	cache          *keycache.Cache
	key, det       *codec.Key
	err            error // the first of a timed loop
}

func newFixture(size int) (*fixture, error) {
	f := &fixture{text: strings.Repeat("x", size), ad: []byte("customers.note")}
	f.plain, f.value = []byte(f.text), f.text
	var err error
	if f.fixed, f.drawn, err = bare(); err != nil {
		return nil, err
	}
	if f.tink, err = newTink(); err != nil {
		return nil, err
	}
	kek, err := newTink()
	if err != nil {
		return nil, err
	}
	f.envelope = aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), kek)
	f.cache = keycache.New(world.NewKeyring(0, nil), world.NewKMS(world.Latency{}, nil), keycache.Config{})
	if f.key, err = f.cache.Sealer(background, random, 1); err != nil {
		return nil, err
	}
	keys, err := f.cache.SearchKeys(background, deterministic)
	if err != nil {
		return nil, err
	}
	f.det = keys[0]
	return f, nil
}

func (f *fixture) close() { f.note(f.cache.Close()) }

func newTink() (tink.AEAD, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	return aead.New(handle)
}

// seals are the ways to seal the value.
func (f *fixture) seals() []subject {
	nonce := make([]byte, f.fixed.NonceSize())
	buf := make([]byte, 0, len(f.plain)+128)
	raw := func(k *codec.Key, dst []byte) func() {
		return func() {
			_, err := k.Seal(dst, codec.KindText, f.plain)
			f.note(err)
		}
	}
	value := func(k *codec.Key) func() {
		return func() {
			_, err := k.SealValue(codec.KindText, f.value)
			f.note(err)
		}
	}
	peer := func(a tink.AEAD) func() {
		return func() {
			_, err := a.Encrypt(f.plain, f.ad)
			f.note(err)
		}
	}
	const r, d = codec.OverheadRandomized, codec.OverheadDeterministic
	return []subject{
		{bareName, f.fixed.Overhead() + f.fixed.NonceSize(), func() { f.fixed.Seal(buf, nonce, f.plain, nil) }},
		{randomName, f.drawn.Overhead(), func() { f.drawn.Seal(buf, nil, f.plain, nil) }},
		{"cell, bytes into a prepared buffer", r, raw(f.key, buf)},
		{"cell, bytes, allocating", r, raw(f.key, nil)},
		{"cell, Go value", r, value(f.key)},
		{looked, r, func() {
			k, err := f.cache.Sealer(background, random, 1)
			f.note(err)
			_, err = k.SealValue(codec.KindText, f.value)
			f.note(err)
		}},
		{lookedBlock, r, func() { // one allocation for all cells of a statement: the driver's way
			k, err := f.cache.Sealer(background, random, 1)
			f.note(err)
			_, err = k.AppendSealed(buf, codec.KindText, f.value)
			f.note(err)
		}},
		{"deterministic cell, bytes into a prepared buffer", d, raw(f.det, buf)},
		{"deterministic cell, Go value", d, value(f.det)},
		{"deterministic cell, Go value, incl. key lookup", d, func() {
			keys, err := f.cache.SearchKeys(background, deterministic)
			f.note(err)
			_, err = keys[0].SealValue(codec.KindText, f.value)
			f.note(err)
		}},
		{tinkName, f.added(f.tink), peer(f.tink)},
		{"Tink KMS envelope, KEK in memory", f.added(f.envelope), peer(f.envelope)},
	}
}

func (f *fixture) added(a tink.AEAD) int {
	sealed, err := a.Encrypt(f.plain, f.ad)
	f.note(err)
	return len(sealed) - len(f.plain)
}

// opens are the ways to open it. What opens in place destroys the cell, so it pays
// for a copy of it each time, as does the bare row beside it.
func (f *fixture) opens() []subject {
	nonce := make([]byte, f.fixed.NonceSize())
	bareCell := f.fixed.Seal(nil, nonce, f.plain, nil)
	cell, det := f.sealed(f.key), f.sealed(f.det)
	buf, scratch := make([]byte, 0, len(f.plain)+128), make([]byte, len(f.plain)+128)
	raw := func(k *codec.Key, dst, cell []byte) func() {
		return func() {
			_, err := k.Open(dst, codec.KindText, cell)
			f.note(err)
		}
	}
	inPlace := func(k *codec.Key, cell []byte) func() {
		return func() {
			_, err := k.OpenInPlace(codec.KindText, scratch[:copy(scratch, cell)])
			f.note(err)
		}
	}
	value := func(k *codec.Key, cell []byte) func() {
		return func() {
			_, err := k.OpenValue(codec.KindText, cell, false)
			f.note(err)
		}
	}
	subjects := []subject{
		{bareName, -1, func() {
			_, err := f.fixed.Open(buf, nonce, bareCell, nil)
			f.note(err)
		}},
		{"bare AES-256-GCM, in place, incl. the copy", -1, func() {
			n := copy(scratch, bareCell)
			_, err := f.fixed.Open(scratch[:0], nonce, scratch[:n], nil)
			f.note(err)
		}},
		{"cell, bytes in place, incl. the copy", -1, inPlace(f.key, cell)},
		{"cell, bytes into a prepared buffer", -1, raw(f.key, buf, cell)},
		{"cell, bytes, allocating", -1, raw(f.key, nil, cell)},
		{"cell, Go value", -1, value(f.key, cell)},
		{inPlaceText, -1, func() {
			_, err := f.key.OpenValue(codec.KindText, scratch[:copy(scratch, cell)], true)
			f.note(err)
		}},
		{"cell, Go value, incl. key lookup", -1, f.openLooked(cell)},
		{"deterministic cell, bytes in place, incl. the copy", -1, inPlace(f.det, det)},
		{"deterministic cell, bytes, allocating", -1, raw(f.det, nil, det)},
		{"deterministic cell, Go value", -1, value(f.det, det)},
	}
	return append(subjects, f.peersOpen()...)
}

func (f *fixture) openLooked(cell []byte) func() {
	return func() {
		h, err := codec.Recognize(cell)
		f.note(err)
		k, err := f.cache.Opener(background, random, h.KeyID)
		f.note(err)
		_, err = k.OpenValue(codec.KindText, cell, false)
		f.note(err)
	}
}

func (f *fixture) peersOpen() []subject {
	open := func(a tink.AEAD) func() {
		sealed, err := a.Encrypt(f.plain, f.ad)
		f.note(err)
		return func() {
			_, err := a.Decrypt(sealed, f.ad)
			f.note(err)
		}
	}
	return []subject{
		{tinkName, -1, open(f.tink)},
		{"Tink KMS envelope, KEK in memory", -1, open(f.envelope)},
	}
}

func (f *fixture) sealed(k *codec.Key) []byte {
	cell, err := k.Seal(nil, codec.KindText, f.plain)
	f.note(err)
	return cell
}
