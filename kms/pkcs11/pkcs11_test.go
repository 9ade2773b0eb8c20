//go:build cgo

package pkcs11_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	miekg "github.com/miekg/pkcs11"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/kmstest"
	"github.com/colseal/colseal/kms/pkcs11"
)

const (
	token = "colseal test"
	pin   = "648219"
)

// softHSM is the path of SoftHSM's module. Its tokens lie in a folder that TestMain made.
var softHSM string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	for _, path := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(path); err == nil {
			softHSM = path
		}
	}
	if softHSM == "" {
		os.Stderr.WriteString("*** SOFTHSM IS NOT INSTALLED: NO TEST OF kms/pkcs11 RAN (apt-get install softhsm2) ***\n")
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
	if err := errors.Join(os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600), os.Setenv("SOFTHSM2_CONF", conf)); err != nil {
		panic(err)
	}
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", token, "--so-pin", "12345678", "--pin", pin).CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// hsm is what an operator of the HSM does.
type hsm struct {
	t       *testing.T
	ctx     *miekg.Ctx
	session miekg.SessionHandle
}

func openHSM(t *testing.T) *hsm {
	t.Helper()
	if softHSM == "" {
		t.Skip("SoftHSM is not installed")
	}
	h := &hsm{t: t, ctx: miekg.New(softHSM)}
	if err := h.ctx.Initialize(); err != nil && !errors.Is(err, miekg.Error(miekg.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		t.Fatal(err)
	}
	slots, err := h.ctx.GetSlotList(true)
	h.must(err)
	h.session, err = h.ctx.OpenSession(slots[0], miekg.CKF_SERIAL_SESSION|miekg.CKF_RW_SESSION)
	h.must(err)
	t.Cleanup(func() { _ = h.ctx.CloseSession(h.session) })
	if err := h.ctx.Login(h.session, miekg.CKU_USER, pin); err != nil && !errors.Is(err, miekg.Error(miekg.CKR_USER_ALREADY_LOGGED_IN)) {
		t.Fatal(err)
	}
	return h
}

func (h *hsm) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// makeKey makes an AES key that does not leave the token.
func (h *hsm) makeKey(label string, id byte) miekg.ObjectHandle {
	h.t.Helper()
	key, err := h.ctx.GenerateKey(h.session, []*miekg.Mechanism{miekg.NewMechanism(miekg.CKM_AES_KEY_GEN, nil)}, []*miekg.Attribute{
		miekg.NewAttribute(miekg.CKA_TOKEN, true), miekg.NewAttribute(miekg.CKA_LABEL, label), miekg.NewAttribute(miekg.CKA_ID, []byte{id}),
		miekg.NewAttribute(miekg.CKA_VALUE_LEN, 32), miekg.NewAttribute(miekg.CKA_ENCRYPT, true), miekg.NewAttribute(miekg.CKA_DECRYPT, true),
		miekg.NewAttribute(miekg.CKA_SENSITIVE, true), miekg.NewAttribute(miekg.CKA_EXTRACTABLE, false)})
	h.must(err)
	return key
}

func (h *hsm) find(label string) miekg.ObjectHandle {
	h.t.Helper()
	h.must(h.ctx.FindObjectsInit(h.session, []*miekg.Attribute{miekg.NewAttribute(miekg.CKA_LABEL, label)}))
	found, _, err := h.ctx.FindObjects(h.session, 2)
	h.must(err)
	h.must(h.ctx.FindObjectsFinal(h.session))
	if len(found) != 1 {
		h.t.Fatalf("%d objects have the label %q", len(found), label)
	}
	return found[0]
}

func config(label string) pkcs11.Config {
	return pkcs11.Config{Module: softHSM, Token: token, Key: label, PIN: func() (string, error) { return pin, nil }}
}

func open(t *testing.T, cfg pkcs11.Config) *pkcs11.Wrapper {
	t.Helper()
	w, err := pkcs11.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestConformance(t *testing.T) {
	h := openHSM(t)
	key := h.makeKey("conformance", 1)
	w := open(t, config("conformance"))
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	kmstest.Conformance(t, w)
	kmstest.Conditions(t, w, func(c kmstest.Condition) bool {
		switch c {
		case kmstest.Healthy, kmstest.KeyDisabled:
			h.must(h.ctx.SetAttributeValue(h.session, key, []*miekg.Attribute{
				miekg.NewAttribute(miekg.CKA_ENCRYPT, c == kmstest.Healthy), miekg.NewAttribute(miekg.CKA_DECRYPT, c == kmstest.Healthy)}))
			return true
		}
		return false
	})
}

// A key is replaced by one of the same label and another id: the old one still unwraps.
func TestRotation(t *testing.T) {
	h := openHSM(t)
	h.makeKey("rotated", 1)
	k, err := open(t, config("rotated")).GenerateDataKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.makeKey("rotated", 2)
	if _, err := pkcs11.Open(config("rotated")); err == nil {
		t.Error("Open takes one of two keys by itself")
	}
	cfg := config("rotated")
	cfg.ID = []byte{2}
	w := open(t, cfg)
	re, err := w.Rewrap(t.Context(), k.Wrapped, nil)
	if err != nil || re.KeyID == k.Wrapped.KeyID {
		t.Fatalf("Rewrap: key id %q, %v", re.KeyID, err)
	}
	for _, wrapped := range []kms.Wrapped{k.Wrapped, re} {
		if _, err := w.Unwrap(t.Context(), wrapped, nil); err != nil {
			t.Error(err)
		}
	}
}

// A program goes on after its user was logged out, and says so when its key is gone.
func TestLoggedOutAndDestroyed(t *testing.T) {
	h := openHSM(t)
	h.makeKey("short-lived", 1)
	w := open(t, config("short-lived"))
	k, err := w.GenerateDataKey(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.must(h.ctx.Logout(h.session)) // of the process, in all its sessions
	if _, err := w.Unwrap(t.Context(), k.Wrapped, nil); err != nil {
		t.Errorf("Unwrap after a logout: %v", err)
	}
	h.must(h.ctx.DestroyObject(h.session, h.find("short-lived"))) // its handle is another since
	if _, err := w.Unwrap(t.Context(), k.Wrapped, nil); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("Unwrap with a destroyed key: %v, want ErrKeyNotFound", err)
	}
}

func TestOpen(t *testing.T) {
	h := openHSM(t)
	h.makeKey("by uri", 7)
	t.Setenv("PKCS11_PIN", pin)
	file := filepath.Join(t.TempDir(), "pin")
	h.must(os.WriteFile(file, []byte(pin+"\n"), 0o600))
	for _, uri := range []string{
		"pkcs11:token=colseal%20test;object=by%20uri?module-path=" + softHSM,
		"pkcs11:token=colseal%20test;object=by%20uri;type=secret-key;id=%07?module-path=" + softHSM + "&pin-source=file:" + file,
	} {
		w, err := kms.Open(t.Context(), uri)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.GenerateDataKey(t.Context(), nil); err != nil {
			t.Error(err)
		}
		w.(*pkcs11.Wrapper).Close()
	}
	for _, bad := range []string{
		"pkcs11:token=colseal%20test;object=by%20uri", "pkcs11:object=by%20uri?module-path=" + softHSM,
		"pkcs11:token=none;object=by%20uri?module-path=" + softHSM, "pkcs11:token=colseal%20test;object=none?module-path=" + softHSM,
		"pkcs11:token=colseal%20test;object=by%20uri?module-path=/none", "pkcs11:token=colseal%20test;x=y?module-path=" + softHSM,
		"pkcs11:token=colseal%20test;object=by%20uri?module-path=" + softHSM + "&pin-value=" + pin,
	} {
		if w, err := kms.Open(t.Context(), bad); err == nil || strings.Contains(err.Error(), pin) {
			t.Errorf("Open(%q) = %v, %v", bad, w, err)
		}
	}
}
