package awskms_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

func TestErrorCodes(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey(kmstest.Alias("alias/app"))
	w := awskms.New(s.Client(t), "alias/app")
	k := generate(t, w)
	for _, c := range []struct {
		code, message string
		status        int
		class         error
		text          string
	}{
		{"AccessDeniedException", "User: x is not authorized", 0, kms.ErrDenied, "allow kms:Decrypt on this key"},
		{"DisabledException", key + " is disabled.", 0, kms.ErrKeyDisabled, "kms:EnableKey"},
		{"DisabledException", key + " is pending deletion.", 0, kms.ErrKeyPendingDeletion, "kms:CancelKeyDeletion"},
		{"KMSInvalidStateException", key + " is pending deletion.", 0, kms.ErrKeyPendingDeletion, "kms:CancelKeyDeletion"},
		{"KMSInvalidStateException", key + " is pending replica deletion.", 0, kms.ErrKeyPendingDeletion, "kms:CancelKeyDeletion"},
		{"KMSInvalidStateException", key + " is pending import.", 0, kms.ErrDenied, "pending import"},
		{"KMSInvalidStateException", key + " is unavailable.", 0, kms.ErrUnavailable, "is unavailable"},
		{"NotFoundException", "Key '" + key + "' does not exist", 0, kms.ErrKeyNotFound, "check the key id or alias"},
		{"InvalidKeyUsageException", "", 0, kms.ErrDenied, "symmetric encryption key"},
		{"InvalidGrantTokenException", "", 0, kms.ErrDenied, ""},
		{"ValidationException", "1 validation error detected", 0, kms.ErrDenied, "check the key id or alias"},
		{"InvalidCiphertextException", "", 0, kms.ErrInvalidWrapped, "restore the row"},
		{"IncorrectKeyException", "", 0, kms.ErrInvalidWrapped, "restore the row"},
		{"ThrottlingException", "Rate exceeded", 0, kms.ErrThrottled, "request quota"},
		{"LimitExceededException", "", 0, kms.ErrThrottled, ""},
		{"TooManyRequestsException", "", 429, kms.ErrThrottled, ""},
		{"KMSInternalException", "", 0, kms.ErrUnavailable, "try again later"},
		{"KeyUnavailableException", "", 0, kms.ErrUnavailable, ""},
		{"DependencyTimeoutException", "", 0, kms.ErrTimeout, ""},
		{"ServiceUnavailable", "", 0, kms.ErrUnavailable, ""},
		{"RequestTimeout", "", 408, kms.ErrTimeout, ""},
		{"SomethingNew", "", 500, kms.ErrUnavailable, ""},
		{"SomethingNew", "", 400, kms.ErrDenied, ""},
		{"ExpiredTokenException", "", 0, kms.ErrUnavailable, "check the AWS credentials"},
		{"MissingAuthenticationTokenException", "", 0, kms.ErrUnavailable, "check the AWS credentials"},
		{"AccessDeniedException", "not \x1b[2J for you", 0, kms.ErrDenied, "not ?[2J for you"},
		{"UnrecognizedClientException", "", 0, kms.ErrUnavailable, "check the AWS credentials"},
		{"InvalidSignatureException", "", 0, kms.ErrUnavailable, "the clock"},
	} {
		t.Run(c.code+" "+c.message, func(t *testing.T) {
			defer s.Inject(kmstest.Fault{Code: c.code, Message: c.message, Status: c.status})()
			_, err := w.Unwrap(t.Context(), k.Wrapped, ec)
			if !errors.Is(err, c.class) || kms.ErrorClass(err) != kms.ErrorClass(c.class) {
				t.Errorf("class %q, want %q", kms.ErrorClass(err), kms.ErrorClass(c.class))
			}
			for _, want := range []string{c.text, c.code, key, "kms: unwrap data key with ", "request id"} {
				if !strings.Contains(fmt.Sprintf("%+v", err), want) {
					t.Errorf("the text lacks %q: %v", want, err)
				}
			}
			kmstest.RequireNoKey(t, err, k.Plaintext)
		})
	}
}

func TestSDKErrorTypesAreReachable(t *testing.T) {
	s := kmstest.Start(t)
	_, err := awskms.New(s.Client(t), "alias/none").GenerateDataKey(t.Context(), ec)
	var nf *types.NotFoundException
	if !errors.As(err, &nf) || !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestHintsNameTheAction(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey(kmstest.Alias("alias/app"))
	w := awskms.New(s.Client(t), "alias/app")
	k := generate(t, w)
	s.Deny(key)
	_, generateErr := w.GenerateDataKey(t.Context(), ec)
	_, unwrapErr := w.Unwrap(t.Context(), k.Wrapped, ec)
	_, rewrapErr := w.Rewrap(t.Context(), k.Wrapped, ec, ec)
	for _, c := range []struct {
		err   error
		wants []string
	}{
		{generateErr, []string{"kms:GenerateDataKey", "alias/app"}},
		{unwrapErr, []string{"kms:Decrypt", key}},
		{rewrapErr, []string{"kms:ReEncryptFrom on " + key, "kms:ReEncryptTo on alias/app"}},
		{w.Check(t.Context()), []string{"kms:DescribeKey", "alias/app"}},
	} {
		for _, want := range c.wants {
			if c.err == nil || !errors.Is(c.err, kms.ErrDenied) || !strings.Contains(fmt.Sprintf("%+v", c.err), want) {
				t.Errorf("lacks %q: %v", want, c.err)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	s := kmstest.Start(t)
	c := s.Client(t)
	key := s.CreateKey()
	for state, want := range map[kmstest.State]error{
		kmstest.StateEnabled: nil, kmstest.StateDisabled: kms.ErrKeyDisabled, kmstest.StatePendingDeletion: kms.ErrKeyPendingDeletion,
		kmstest.StatePendingImport: kms.ErrDenied, kmstest.StateUnavailable: kms.ErrUnavailable,
	} {
		s.SetState(key, state)
		if err := awskms.New(c, key).Check(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v", state, err)
		}
	}
	if err := awskms.New(c, s.CreateKey(kmstest.ForSigning())).Check(t.Context()); !errors.Is(err, kms.ErrDenied) {
		t.Errorf("signing key: %v", err)
	}
	if err := awskms.New(c, "alias/none").Check(t.Context()); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("no key: %v", err)
	}
	if err := awskms.New(c, "").Check(t.Context()); !errors.Is(err, kms.ErrDenied) {
		t.Errorf("key not configured: %v", err)
	}
}

func TestOutages(t *testing.T) {
	s := kmstest.Start(t)
	w := awskms.New(s.Client(t), s.CreateKey())
	for _, o := range []kmstest.Outage{kmstest.OutageRefused, kmstest.OutageFailing} {
		lift := s.Break(o)
		_, err := w.GenerateDataKey(t.Context(), ec)
		if !errors.Is(err, kms.ErrUnavailable) {
			t.Errorf("outage %d: %v", o, err)
		}
		t.Log(err)
		lift()
	}
	s.Close()
	if _, err := w.GenerateDataKey(t.Context(), ec); !errors.Is(err, kms.ErrUnavailable) || !strings.Contains(fmt.Sprintf("%+v", err), "check the endpoint") {
		t.Errorf("no server: %v", err)
	}
}

// With nobody at the other end, time is virtual.
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kmstest.New()
		defer s.Close()
		key := s.CreateKey()
		c := s.Client(t)
		s.Break(kmstest.OutageUnanswered)
		try := func(ctx context.Context, opts ...awskms.Option) (time.Duration, error) {
			start := time.Now()
			_, err := awskms.New(c, key, opts...).GenerateDataKey(ctx, ec)
			return time.Since(start), err
		}
		if d, err := try(t.Context()); d != awskms.DefaultTimeout || !errors.Is(err, kms.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("default: after %v: %v", d, err)
		}
		if d, err := try(t.Context(), awskms.WithTimeout(time.Second)); d != time.Second || !errors.Is(err, kms.ErrTimeout) {
			t.Errorf("WithTimeout: after %v: %v", d, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if d, err := try(ctx, awskms.WithTimeout(0)); d != time.Hour || !errors.Is(err, kms.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("caller's deadline: after %v: %v", d, err)
		}
		ctx2, cancel2 := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel2)
		if d, err := try(ctx2); d != time.Second || err != context.Canceled { //nolint:errorlint // as itself
			t.Errorf("cancelled: after %v: %v", d, err)
		}
	})
}

func TestRetriesAreTheSDKs(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey()
	w := awskms.New(s.Client(t, kmstest.Attempts(3), func(o *sdk.Options) {
		o.Retryer = fastRetry{o.Retryer}
	}), key)
	s.Throttle(2)
	generate(t, w)
	if s.Calls() != 3 {
		t.Errorf("%d calls", s.Calls())
	}
	s.Deny(key)
	s.Reset()
	if _, err := w.GenerateDataKey(t.Context(), ec); !errors.Is(err, kms.ErrDenied) || s.Calls() != 1 {
		t.Errorf("%d calls, %v", s.Calls(), err)
	}
}

type fastRetry struct{ aws.Retryer }

func (fastRetry) RetryDelay(int, error) (time.Duration, error) { return 0, nil }

func TestNoCredentials(t *testing.T) {
	s := kmstest.Start(t)
	c := s.Client(t, func(o *sdk.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no role on this instance")
		})
	})
	_, err := awskms.New(c, s.CreateKey()).GenerateDataKey(t.Context(), ec)
	if !errors.Is(err, kms.ErrUnavailable) || !strings.Contains(err.Error(), "no role on this instance") || !strings.Contains(fmt.Sprintf("%+v", err), "check the AWS credentials") {
		t.Errorf("got %v", err)
	}
}

// Answers that KMS would not give, each holding a plaintext key.
func TestStrangeAnswersLeakNothing(t *testing.T) {
	secret := []byte("CANARY-0123456789-abcdefghijklmn")
	b64 := base64.StdEncoding.EncodeToString(secret)
	answer := func(fields map[string]any) string {
		all := map[string]any{"Plaintext": b64, "KeyId": "arn:aws:kms:eu-west-1:1:key/x", "CiphertextBlob": "AAAA"}
		for name, v := range fields {
			all[name] = v
		}
		b, _ := json.Marshal(all)
		return string(b)
	}
	good := answer(nil)
	for name, a := range map[string]struct {
		status int
		body   string
	}{
		"truncated":        {200, good[:len(good)-2]},
		"cut in the key":   {200, `{"Plaintext":"` + b64[:30]},
		"not base64":       {200, answer(map[string]any{"Plaintext": "!" + string(secret)})},
		"wrong type":       {200, answer(map[string]any{"KeyId": []string{string(secret)}})},
		"short key":        {200, answer(map[string]any{"Plaintext": b64[:40]})},
		"long key":         {200, answer(map[string]any{"Plaintext": base64.StdEncoding.EncodeToString(append(secret, 1))})},
		"no key id":        {200, answer(map[string]any{"KeyId": ""})},
		"no blob":          {200, answer(map[string]any{"CiphertextBlob": nil})},
		"empty":            {200, ``},
		"empty object":     {200, `{}`},
		"html":             {200, `<html>` + string(secret)},
		"error with a key": {500, good},
		"refusal":          {403, good},
		"redirect":         {302, good},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(a.status)
				fmt.Fprint(w, a.body)
			}))
			defer srv.Close()
			o := kmstest.New().Options()
			o.BaseEndpoint, o.HTTPClient = &srv.URL, srv.Client()
			w := awskms.New(sdk.New(o), "alias/app")
			_, generateErr := w.GenerateDataKey(t.Context(), ec)
			if !errors.Is(generateErr, kms.ErrUnavailable) {
				t.Errorf("GenerateDataKey: %v", generateErr)
			}
			wrapped := kms.Wrapped{KeyID: "alias/app", Blob: []byte("x")}
			_, unwrapErr := w.Unwrap(t.Context(), wrapped, ec)
			if unwrapErr == nil && name != "no key id" && name != "no blob" {
				t.Error("Unwrap worked")
			}
			_, rewrapErr := w.Rewrap(t.Context(), wrapped, ec, ec)
			for _, err := range []error{generateErr, unwrapErr, rewrapErr} {
				for e := err; e != nil; e = unwrapLast(e) {
					kmstest.RequireNoKey(t, e, secret)
					kmstest.RequireNoKey(t, e, secret[:20])
				}
			}
		})
	}
}

// unwrapLast walks the causes: kms.Error gives class and cause, in this order.
func unwrapLast(err error) error {
	if m, ok := err.(interface{ Unwrap() []error }); ok {
		all := m.Unwrap()
		return all[len(all)-1]
	}
	return errors.Unwrap(err)
}
