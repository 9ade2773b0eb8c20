package kms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/colseal/colseal/kms"
)

func TestDataKeyIsNeverPrinted(t *testing.T) {
	k := kms.DataKey{Plaintext: bytes.Repeat([]byte{'Q'}, kms.DataKeySize), Wrapped: kms.Wrapped{KeyID: "alias/app"}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b"} {
		fmt.Fprintf(&out, verb+" "+verb, k, &k)
	}
	js, err := json.Marshal(map[string]any{"key": k, "ptr": &k})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(js)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("made", "key", k)
	slog.New(slog.NewTextHandler(&out, nil)).Info("made", "key", k)
	for _, secret := range []string{"QQQ", "5151", "81 81", "UVFR", "1010001"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("output holds %q:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "alias/app") {
		t.Error("output does not name the key")
	}
}

func TestWipe(t *testing.T) {
	b := []byte{1, 2, 3}
	k := kms.DataKey{Plaintext: b}
	k.Wipe()
	k.Wipe()
	if k.Plaintext != nil || !bytes.Equal(b, make([]byte, 3)) {
		t.Errorf("after Wipe: %v, %v", k.Plaintext, b)
	}
}

func TestErrorClasses(t *testing.T) {
	for _, c := range []struct {
		err   error
		is    error
		class string
	}{
		{kms.ErrDenied, kms.ErrDenied, "denied"},
		{kms.ErrUnavailable, kms.ErrUnavailable, "unavailable"},
		{kms.ErrInvalidWrapped, kms.ErrInvalidWrapped, "invalid_wrapped"},
		{kms.ErrKeyDisabled, kms.ErrDenied, "key_disabled"},
		{kms.ErrKeyPendingDeletion, kms.ErrDenied, "key_pending_deletion"},
		{kms.ErrKeyNotFound, kms.ErrDenied, "key_not_found"},
		{kms.ErrThrottled, kms.ErrUnavailable, "throttled"},
		{kms.ErrTimeout, kms.ErrUnavailable, "timeout"},
	} {
		wrapped := fmt.Errorf("outer: %w", &kms.Error{Op: "unwrap data key", Class: c.err, Cause: context.DeadlineExceeded})
		if !errors.Is(wrapped, c.err) || !errors.Is(wrapped, c.is) || !errors.Is(wrapped, context.DeadlineExceeded) {
			t.Errorf("%v is not what it wraps", wrapped)
		}
		if got := kms.ErrorClass(wrapped); got != c.class {
			t.Errorf("ErrorClass(%v) = %q, want %q", wrapped, got, c.class)
		}
		others := 0
		for _, class := range []error{kms.ErrDenied, kms.ErrUnavailable, kms.ErrInvalidWrapped} {
			if errors.Is(wrapped, class) {
				others++
			}
		}
		if others != 1 {
			t.Errorf("%v is in %d classes", wrapped, others)
		}
	}
	for want, err := range map[string]error{"": nil, "canceled": fmt.Errorf("x: %w", context.Canceled), "other": errors.New("x")} {
		if got := kms.ErrorClass(err); got != want {
			t.Errorf("ErrorClass(%v) = %q, want %q", err, got, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	err := &kms.Error{Op: "unwrap data key", KeyID: "alias/app", Class: kms.ErrDenied, Reason: "AccessDeniedException", Hint: "allow kms:Decrypt", Cause: errors.New("not printed")}
	const want = "kms: unwrap data key with alias/app: refused by the key management service: AccessDeniedException"
	if err.Error() != want || fmt.Sprintf("%+v", err) != want+"\nhint: allow kms:Decrypt" || fmt.Sprintf("%q", err) != strconv.Quote(want) {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if got := (&kms.Error{Op: "check key"}).Error(); got != "kms: check key" {
		t.Errorf("bare error: %s", got)
	}
}

type fakeWrapper struct{ kms.Wrapper }

var got *url.URL // what the opener of fakekms was given

// As an implementation does; once, so that -count works.
func init() {
	kms.Register("fakekms", func(_ context.Context, u *url.URL) (kms.Wrapper, error) {
		got = u
		return fakeWrapper{}, nil
	})
}

func TestOpenAndRegister(t *testing.T) {
	w, err := kms.Open(t.Context(), "fakekms:///some/key?a=b")
	if _, ok := w.(fakeWrapper); err != nil || !ok || got.Path != "/some/key" || got.RawQuery != "a=b" {
		t.Errorf("Open: %T, %v, URL %v", w, err, got)
	}
	if s := kms.Schemes(); !slices.Equal(s, []string{"fakekms", "localkms"}) { // the Examples import localkms
		t.Errorf("Schemes() = %v", s)
	}
	for name, register := range map[string]func(){
		"twice": func() {
			kms.Register("fakekms", func(context.Context, *url.URL) (kms.Wrapper, error) { return nil, nil })
		},
		"nil": func() { kms.Register("nilkms", nil) },
		"bad scheme": func() {
			kms.Register("Bad Scheme", func(context.Context, *url.URL) (kms.Wrapper, error) { return nil, nil })
		},
		"empty": func() { kms.Register("", func(context.Context, *url.URL) (kms.Wrapper, error) { return nil, nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("Register did not panic")
				}
			}()
			register()
		})
	}
}

func TestOpenErrors(t *testing.T) {
	for in, want := range map[string]string{
		"awskms:///alias/app":         `add the import _ "github.com/colseal/colseal/kms/awskms"`,
		"gcpkms:///x":                 `scheme "gcpkms" is not registered`,
		"alias/app":                   "has no scheme",
		"":                            "is empty",
		"awskms://user:hunter2@\x7f/": "cannot be parsed",
		"awskms://user:hunter2@[::1/": "cannot be parsed",
		"awskms://user:hunter2/alias": "cannot be parsed", // as for a port
	} {
		_, err := kms.Open(t.Context(), in)
		if err == nil || !strings.Contains(fmt.Sprintf("%+v", err), want) {
			t.Errorf("Open(%q): %v, want %q", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q): the error holds a password", in)
		}
	}
}
