package kmstest_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/colseal/colseal/kms/kmstest"
)

func generate(c *kms.Client, key string) (*kms.GenerateDataKeyOutput, error) {
	return c.GenerateDataKey(context.Background(), &kms.GenerateDataKeyInput{
		KeyId: &key, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"a": "b"}})
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if code(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOperations(t *testing.T) {
	ctx := t.Context()
	s := kmstest.Start(t)
	c := s.Client(t)
	made, err := c.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	if _, err := c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: id}); err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: id})
	wantCode(t, err, "AlreadyExistsException")
	list, err := c.ListAliases(ctx, &kms.ListAliasesInput{})
	if err != nil || len(list.Aliases) != 1 || *list.Aliases[0].AliasName != "alias/app" || *list.Aliases[0].TargetKeyId != *id {
		t.Fatalf("ListAliases: %+v, %v", list, err)
	}

	ec := map[string]string{"k": "v"}
	enc, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("alias/app"), Plaintext: []byte("hello"), EncryptionContext: ec})
	if err != nil {
		t.Fatal(err)
	}
	dec, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, EncryptionContext: ec})
	if err != nil || string(dec.Plaintext) != "hello" || *dec.KeyId != *made.KeyMetadata.Arn {
		t.Fatalf("Decrypt without KeyId: %v", err)
	}
	without, err := c.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: id, NumberOfBytes: aws.Int32(24)})
	if err != nil {
		t.Fatal(err)
	}
	dec, err = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: without.CiphertextBlob, KeyId: id})
	if err != nil || len(dec.Plaintext) != 24 {
		t.Fatalf("GenerateDataKeyWithoutPlaintext: %v", err)
	}

	other := s.CreateKey()
	re, err := c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: enc.CiphertextBlob, SourceKeyId: id, SourceEncryptionContext: ec, DestinationKeyId: &other})
	if err != nil || *re.KeyId != other || *re.SourceKeyId != *made.KeyMetadata.Arn {
		t.Fatalf("ReEncrypt: %v", err)
	}
	if _, err := c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: &other}); err != nil {
		t.Fatal(err)
	}
	got, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("arn:aws:kms:eu-west-1:111122223333:alias/app")})
	if err != nil || *got.KeyMetadata.Arn != other || !got.KeyMetadata.Enabled || got.KeyMetadata.KeySpec != types.KeySpecSymmetricDefault {
		t.Fatalf("DescribeKey: %v", err)
	}
	if _, err := c.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/app")}); err != nil {
		t.Fatal(err)
	}
	_, err = c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: &other})
	wantCode(t, err, "NotFoundException")
}

func TestKeyStatesOverTheProtocol(t *testing.T) {
	ctx := t.Context()
	s := kmstest.Start(t)
	c := s.Client(t)
	key := s.CreateKey()
	if _, err := c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	_, err := generate(c, key)
	wantCode(t, err, "DisabledException")
	if _, err = c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	_, err = generate(c, key)
	wantCode(t, err, "KMSInvalidStateException")
	_, err = c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key})
	wantCode(t, err, "KMSInvalidStateException")
	if _, err = c.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	if _, err = generate(c, key); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsAreThoseOfKMS(t *testing.T) {
	s := kmstest.Start(t)
	c := s.Client(t)
	key, other := s.CreateKey(kmstest.Alias("alias/app")), s.CreateKey()
	made, err := generate(c, "alias/app")
	if err != nil {
		t.Fatal(err)
	}
	decrypt := func(c *kms.Client, blob []byte, key string, ec map[string]string) error {
		in := &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: ec}
		if key != "" {
			in.KeyId = &key
		}
		_, err := c.Decrypt(context.Background(), in)
		return err
	}
	ec := map[string]string{"a": "b"}
	elsewhere := s.Client(t, kmstest.Region("us-east-1"))
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"alias":             {func() error { _, err := generate(c, "alias/none"); return err }(), "NotFoundException"},
		"key id":            {func() error { _, err := generate(c, "1234abcd-12ab-34cd-56ef-1234567890ab"); return err }(), "NotFoundException"},
		"nonsense":          {func() error { _, err := generate(c, "nonsense"); return err }(), "NotFoundException"},
		"other region":      {func() error { _, err := generate(elsewhere, key); return err }(), "NotFoundException"},
		"other account":     {func() error { _, err := generate(c, strings.Replace(key, "1111", "9999", 1)); return err }(), "AccessDeniedException"},
		"signing key":       {func() error { _, err := generate(c, s.CreateKey(kmstest.ForSigning())); return err }(), "InvalidKeyUsageException"},
		"context":           {decrypt(c, made.CiphertextBlob, key, nil), "InvalidCiphertextException"},
		"garbage":           {decrypt(c, []byte("garbage"), key, ec), "InvalidCiphertextException"},
		"incorrect key":     {decrypt(c, made.CiphertextBlob, other, ec), "IncorrectKeyException"},
		"unknown in region": {decrypt(elsewhere, made.CiphertextBlob, "", ec), "AccessDeniedException"},
		"too long":          {decrypt(c, make([]byte, 6145), key, ec), "ValidationException"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.err, c.code) })
	}

	resp, err := http.Post(s.URL(), "application/x-amz-json-1.1", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a request without an operation: %s", resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestMultiRegionAndRotation(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey(kmstest.MultiRegion("us-east-1"), kmstest.Alias("alias/mr"))
	if !strings.Contains(key, ":eu-west-1:") || !strings.Contains(key, "key/mrk-") {
		t.Fatalf("ARN %s", key)
	}
	here, there := s.Client(t), s.Client(t, kmstest.Region("us-east-1"))
	made, err := generate(here, "alias/mr")
	if err != nil {
		t.Fatal(err)
	}
	s.RotateKey("alias/mr")
	replica := strings.Replace(key, "eu-west-1", "us-east-1", 1)
	in := &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob, KeyId: &replica, EncryptionContext: map[string]string{"a": "b"}}
	out, err := there.Decrypt(t.Context(), in)
	if err != nil || !bytes.Equal(out.Plaintext, made.Plaintext) || *out.KeyId != replica {
		t.Fatalf("Decrypt in the replica's Region: %v", err)
	}
	s.SetState(replica, kmstest.StateDisabled)
	_, err = there.Decrypt(t.Context(), in)
	wantCode(t, err, "DisabledException")
	if _, err = generate(here, "alias/mr"); err != nil {
		t.Errorf("the primary is not disabled: %v", err)
	}
}

func TestFaults(t *testing.T) {
	s := kmstest.Start(t)
	c := s.Client(t)
	a, b := s.CreateKey(kmstest.Alias("alias/a")), s.CreateKey()

	s.Throttle(2)
	for _, want := range []string{"ThrottlingException", "ThrottlingException", ""} {
		_, err := generate(c, a)
		wantCode(t, err, want)
	}
	s.Throttle(2)
	if _, err := generate(s.Client(t, kmstest.Attempts(3)), a); err != nil {
		t.Errorf("three attempts against two throttled: %v", err)
	}

	lift := s.Deny("alias/a", "GenerateDataKey")
	_, err := generate(c, a)
	wantCode(t, err, "AccessDeniedException")
	if _, err := generate(c, b); err != nil {
		t.Errorf("another key: %v", err)
	}
	if _, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &a}); err != nil {
		t.Errorf("another operation: %v", err)
	}
	lift()
	lift()

	made, err := generate(c, a)
	if err != nil {
		t.Fatal(err)
	}
	reEncrypt := func() error {
		_, err := c.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: made.CiphertextBlob, SourceKeyId: &a, DestinationKeyId: &b,
			SourceEncryptionContext: map[string]string{"a": "b"}})
		return err
	}
	for action, key := range map[string][2]string{"ReEncryptFrom": {a, b}, "ReEncryptTo": {b, a}} {
		lift := s.Deny(key[1], action)
		if err := reEncrypt(); err != nil {
			t.Errorf("%s on the other key: %v", action, err)
		}
		lift()
		lift = s.Deny(key[0], action)
		wantCode(t, reEncrypt(), "AccessDeniedException")
		lift()
	}
	lift = s.Deny(a, "Decrypt") // no KeyId in the request: the ciphertext names the key
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob, EncryptionContext: map[string]string{"a": "b"}})
	wantCode(t, err, "AccessDeniedException")
	lift()

	for name, f := range map[string]kmstest.Fault{
		"KMSInternalException":       {Code: "KMSInternalException"},
		"DependencyTimeoutException": {Code: "DependencyTimeoutException"},
		"LimitExceededException":     {Code: "LimitExceededException", Status: 400},
	} {
		lift := s.Inject(f)
		_, err := generate(c, a)
		wantCode(t, err, name)
		lift()
	}
}

func TestOutages(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey()
	c := s.Client(t)
	for _, o := range []kmstest.Outage{kmstest.OutageRefused, kmstest.OutageFailing} {
		lift := s.Break(o)
		if _, err := generate(c, key); err == nil {
			t.Errorf("outage %d: no error", o)
		}
		lift()
		if _, err := generate(c, key); err != nil {
			t.Errorf("after outage %d: %v", o, err)
		}
	}
	lift := s.Break(kmstest.OutageUnanswered)
	defer lift()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256})
		failed <- err
	}()
	for s.Calls() < 5 { // the request has arrived
		runtime.Gosched()
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while unanswered: %v", err)
	}
}

func TestCountsAndAudit(t *testing.T) {
	s := kmstest.Start(t)
	c := s.Client(t)
	key := s.CreateKey(kmstest.Alias("alias/app"))
	made, err := generate(c, "alias/app")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: made.CiphertextBlob, KeyId: &key, EncryptionContext: map[string]string{"wrong": "context"}})
	wantCode(t, err, "InvalidCiphertextException")
	lift := s.Break(kmstest.OutageRefused)
	_, _ = generate(c, "alias/app")
	lift()
	if s.Calls() != 3 || s.Calls("GenerateDataKey") != 2 || s.Calls("Decrypt", "ReEncrypt") != 1 {
		t.Errorf("calls: %d, %d, %d", s.Calls(), s.Calls("GenerateDataKey"), s.Calls("Decrypt", "ReEncrypt"))
	}
	e := s.Events()
	if len(e) != 2 || e[0].Operation != "GenerateDataKey" || e[0].KeyID != key || e[0].EncryptionContext["a"] != "b" || e[0].ErrorCode != "" ||
		e[1].Operation != "Decrypt" || e[1].KeyID != key || e[1].ErrorCode != "InvalidCiphertextException" || e[1].EncryptionContext["wrong"] != "context" {
		t.Errorf("events: %+v", e)
	}
	if s.Reset(); s.Calls() != 0 || len(s.Events()) != 0 {
		t.Error("Reset left something")
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	s := kmstest.New()
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("a second Listen worked")
	}
	key := s.CreateKey()
	transport := &http.Transport{}
	c := s.Client(t, func(o *kms.Options) { o.HTTPClient = &http.Client{Transport: transport} })
	if _, err := generate(c, key); err != nil {
		t.Fatal(err)
	}
	s.Break(kmstest.OutageUnanswered)
	failed := make(chan error)
	for range 3 {
		go func() { _, err := generate(c, key); failed <- err }()
	}
	for s.Calls() < 4 {
		runtime.Gosched()
	}
	s.Close()
	s.Close()
	for range 3 {
		if err := <-failed; err == nil {
			t.Error("a hanging request succeeded")
		}
	}
	transport.CloseIdleConnections()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, n, buf[:runtime.Stack(buf, true)])
	}
}

// In a bubble, an hour's hang costs no time: what a simulation needs.
func TestInProcessWithVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kmstest.New()
		defer s.Close()
		key := s.CreateKey()
		c := s.Client(t)
		start := time.Now()
		lift := s.Inject(kmstest.Fault{LatencyFunc: func(op string) time.Duration { return time.Hour }})
		if _, err := generate(c, key); err != nil || time.Since(start) != time.Hour {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		lift()
		s.Break(kmstest.OutageUnanswered)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := kmstest.New()
		key := s.CreateKey()
		c := s.Client(t)
		s.Break(kmstest.OutageUnanswered)
		failed := make(chan error)
		go func() { _, err := generate(c, key); failed <- err }()
		synctest.Wait() // the request hangs
		s.Close()
		if err := <-failed; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("closed while unanswered: %v", err)
		}
	})
	s := kmstest.New()
	key := s.CreateKey()
	s.Break(kmstest.OutageRefused)
	if _, err := generate(s.Client(t), key); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want connection refused", err)
	}
}
