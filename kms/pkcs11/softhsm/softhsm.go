//go:build cgo

package softhsm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	miekg "github.com/miekg/pkcs11"

	"github.com/colseal/colseal/kms/pkcs11"
)

// Token and PIN are those of the token that Main makes.
const (
	Token = "colseal test"
	PIN   = "648219"
)

// Module is the path of SoftHSM; "" if it is not installed.
var Module string

// Main makes a token, runs the tests and removes it. Without SoftHSM it says so loudly, and fails
// if CI is true.
func Main(m *testing.M) int {
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			Module = path
		}
	}
	if Module == "" {
		_, _ = os.Stderr.WriteString("*** SOFTHSM IS NOT INSTALLED: TESTS OF kms/pkcs11 DO NOT RUN (apt-get install softhsm2) ***\n")
		if os.Getenv("CI") == "true" {
			return 1
		}
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "softhsm")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600),
		os.Setenv("SOFTHSM2_CONF", conf)); err != nil {
		panic(err)
	}
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", Token, "--so-pin", "12345678", "--pin", PIN).CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// An Operator administers the token.
type Operator struct {
	*miekg.Ctx
	Session miekg.SessionHandle
	t       *testing.T
}

// Operate logs an operator in.
func Operate(t *testing.T) *Operator {
	t.Helper()
	if Module == "" {
		t.Skip("SoftHSM is not installed")
	}
	o := &Operator{Ctx: miekg.New(Module), t: t}
	if err := o.Initialize(); err != nil && !errors.Is(err, miekg.Error(miekg.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		t.Fatal(err)
	}
	slots, err := o.GetSlotList(true)
	o.Must(err)
	o.Session, err = o.OpenSession(slots[0], miekg.CKF_SERIAL_SESSION|miekg.CKF_RW_SESSION)
	o.Must(err)
	t.Cleanup(func() { _ = o.CloseSession(o.Session) })
	if err := o.Login(o.Session, miekg.CKU_USER, PIN); err != nil && !errors.Is(err, miekg.Error(miekg.CKR_USER_ALREADY_LOGGED_IN)) {
		t.Fatal(err)
	}
	return o
}

// Must ends the test if err is not nil.
func (o *Operator) Must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// MakeKey makes an AES key that does not leave the token.
func (o *Operator) MakeKey(label string, id byte) miekg.ObjectHandle {
	o.t.Helper()
	key, err := o.GenerateKey(o.Session, []*miekg.Mechanism{miekg.NewMechanism(miekg.CKM_AES_KEY_GEN, nil)}, []*miekg.Attribute{
		miekg.NewAttribute(miekg.CKA_TOKEN, true), miekg.NewAttribute(miekg.CKA_LABEL, label), miekg.NewAttribute(miekg.CKA_ID, []byte{id}),
		miekg.NewAttribute(miekg.CKA_VALUE_LEN, 32), miekg.NewAttribute(miekg.CKA_ENCRYPT, true), miekg.NewAttribute(miekg.CKA_DECRYPT, true),
		miekg.NewAttribute(miekg.CKA_SENSITIVE, true), miekg.NewAttribute(miekg.CKA_EXTRACTABLE, false)})
	o.Must(err)
	return key
}

// Find returns the key of a label.
func (o *Operator) Find(label string) miekg.ObjectHandle {
	o.t.Helper()
	o.Must(o.FindObjectsInit(o.Session, []*miekg.Attribute{miekg.NewAttribute(miekg.CKA_LABEL, label)}))
	found, _, err := o.FindObjects(o.Session, 2)
	o.Must(err)
	o.Must(o.FindObjectsFinal(o.Session))
	if len(found) != 1 {
		o.t.Fatalf("%d objects have the label %q", len(found), label)
	}
	return found[0]
}

// Config returns the configuration of a program that uses the key of a label.
func Config(label string) pkcs11.Config {
	return pkcs11.Config{Module: Module, Token: Token, Key: label, PIN: func() (string, error) { return PIN, nil }}
}

// Open makes a key for the test and opens it.
func Open(t *testing.T) *pkcs11.Wrapper {
	t.Helper()
	Operate(t).MakeKey(t.Name(), 1)
	w, err := pkcs11.Open(Config(t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}
