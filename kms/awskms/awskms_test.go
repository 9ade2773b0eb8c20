package awskms_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/logging"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

var ec = kms.EncryptionContext{"keyring": "app", "purpose": "data"}

func TestConformance(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey(kmstest.Alias("alias/app"))
	c := s.Client(t)
	for name, keyID := range map[string]string{
		"key ARN":      key,
		"key id":       key[strings.LastIndex(key, "/")+1:],
		"alias":        "alias/app",
		"alias ARN":    "arn:aws:kms:eu-west-1:111122223333:alias/app",
		"multi-Region": s.CreateKey(kmstest.MultiRegion("us-east-1")),
	} {
		t.Run(name, func(t *testing.T) {
			w := awskms.New(c, keyID)
			kmstest.Conformance(t, w)
			if err := w.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// The conditions of AWS KMS that kmstest has. A disabled key and what answers hold are in the tests of errors.
func TestConditions(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey()
	w := awskms.New(s.Client(t), key, awskms.WithTimeout(500*time.Millisecond))
	faults := map[kmstest.Condition]kmstest.Fault{
		kmstest.ConditionAccessDenied:       {Code: "AccessDeniedException"},
		kmstest.ConditionKeyDisabled:        {Code: "DisabledException"},
		kmstest.ConditionKeyDestroyed:       {Code: "KMSInvalidStateException", Message: key + " is pending deletion."},
		kmstest.ConditionKeyMissing:         {Code: "NotFoundException"},
		kmstest.ConditionCredentialsExpired: {Code: "ExpiredTokenException"},
		kmstest.ConditionThrottling:         {Code: "ThrottlingException"},
		kmstest.ConditionServerError:        {Code: "KMSInternalException"},
		kmstest.ConditionHanging:            {Outage: kmstest.OutageUnanswered},
		kmstest.ConditionUnreachable:        {Outage: kmstest.OutageRefused},
		kmstest.ConditionAnswerMalformed:    {Outage: kmstest.OutageFailing},
		kmstest.ConditionHealthy:            {},
	}
	lift := func() {}
	kmstest.Conditions(t, w, func(c kmstest.Condition) bool {
		lift()
		f, ok := faults[c]
		lift = s.Inject(f)
		return ok
	})
}

func generate(t *testing.T, w kms.Wrapper) kms.DataKey {
	t.Helper()
	k, err := w.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unwraps(t *testing.T, w kms.Wrapper, wrapped kms.Wrapped, plaintext []byte) {
	t.Helper()
	got, err := w.Unwrap(t.Context(), wrapped, ec)
	if err != nil || !bytes.Equal(got, plaintext) {
		t.Errorf("Unwrap: same key %v, %v", bytes.Equal(got, plaintext), err)
	}
}

// What is stored is the ARN of the key, so an alias may move on.
func TestAliasMoves(t *testing.T) {
	s := kmstest.Start(t)
	old := s.CreateKey(kmstest.Alias("alias/app"))
	w := awskms.New(s.Client(t), "alias/app")
	k := generate(t, w)
	if k.Wrapped.KeyID != old {
		t.Fatalf("stored %q, want %q", k.Wrapped.KeyID, old)
	}
	next := s.CreateKey(kmstest.Alias("alias/app"))
	unwraps(t, w, k.Wrapped, k.Plaintext)
	if k2 := generate(t, w); k2.Wrapped.KeyID != next {
		t.Errorf("new keys are under %q, want %q", k2.Wrapped.KeyID, next)
	}
	re, err := w.Rewrap(t.Context(), k.Wrapped, ec, ec)
	if err != nil || re.KeyID != next {
		t.Fatalf("Rewrap to %q, want %q: %v", re.KeyID, next, err)
	}
	s.SetState(old, kmstest.StatePendingDeletion)
	unwraps(t, w, re, k.Plaintext)
	if _, err := w.Unwrap(t.Context(), k.Wrapped, ec); !errors.Is(err, kms.ErrKeyPendingDeletion) {
		t.Errorf("under the old key: %v", err)
	}
	for _, e := range s.Events() {
		if !maps.Equal(e.EncryptionContext, ec) {
			t.Errorf("%s without its encryption context: %v", e.Operation, e.EncryptionContext)
		}
	}
}

// A wrapped key of one key does not open under the name of another.
func TestStoredKeyIDIsEnforced(t *testing.T) {
	s := kmstest.Start(t)
	w := awskms.New(s.Client(t), s.CreateKey())
	k := generate(t, w)
	k.Wrapped.KeyID = s.CreateKey()
	if _, err := w.Unwrap(t.Context(), k.Wrapped, ec); !errors.Is(err, kms.ErrInvalidWrapped) {
		t.Errorf("got %v", err)
	}
}

func TestMultiRegion(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey(kmstest.MultiRegion("us-east-1"))
	plain := s.CreateKey()
	home := awskms.New(s.Client(t), key)
	k := generate(t, home)
	east := s.Client(t, kmstest.Region("us-east-1"))

	away := awskms.New(east, key) // configured with the ARN of the other Region, too
	unwraps(t, away, k.Wrapped, k.Plaintext)
	k2 := generate(t, away)
	if !strings.Contains(k2.Wrapped.KeyID, ":us-east-1:") {
		t.Errorf("made under %s", k2.Wrapped.KeyID)
	}
	unwraps(t, home, k2.Wrapped, k2.Plaintext)
	re, err := away.Rewrap(t.Context(), k.Wrapped, ec, ec)
	if err != nil {
		t.Fatal(err)
	}
	unwraps(t, home, re, k.Plaintext)
	if err := away.Check(t.Context()); err != nil {
		t.Error(err)
	}

	// A Client of another type needs to be told its Region.
	wrapped := struct{ awskms.Client }{east}
	if _, err := awskms.New(wrapped, key).Unwrap(t.Context(), k.Wrapped, ec); !errors.Is(err, kms.ErrKeyNotFound) {
		t.Errorf("without WithRegion: %v", err)
	}
	unwraps(t, awskms.New(wrapped, key, awskms.WithRegion("us-east-1")), k.Wrapped, k.Plaintext)

	// A key of one Region stays there, and the error says so.
	_, err = awskms.New(east, plain).GenerateDataKey(t.Context(), ec)
	if !errors.Is(err, kms.ErrKeyNotFound) || !strings.Contains(fmt.Sprintf("%+v", err), "is in Region eu-west-1 but the client asks in us-east-1") {
		t.Errorf("got %v", err)
	}
}

func TestTrustedKeys(t *testing.T) {
	s := kmstest.Start(t)
	mine, theirs := s.CreateKey(), s.CreateKey()
	mr := s.CreateKey(kmstest.MultiRegion("us-east-1"))
	replica := strings.Replace(mr, "eu-west-1", "us-east-1", 1)
	for _, c := range []struct {
		name, key string
		trust     []string
		ok        bool
	}{
		{"no list", theirs, nil, true},
		{"listed", mine, []string{theirs, mine}, true},
		{"not listed", theirs, []string{mine}, false},
		{"account", theirs, []string{"111122223333"}, true},
		{"other account", theirs, []string{"999999999999"}, false},
		{"replica of listed", mr, []string{replica}, true},
		{"replica, but not the key", mine, []string{strings.Replace(mine, "eu-west-1", "us-east-1", 1)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var opts []awskms.Option
			if c.trust != nil {
				opts = append(opts, awskms.WithTrustedKeys(c.trust...))
			}
			w := awskms.New(s.Client(t), c.key, opts...)
			k := generate(t, awskms.New(s.Client(t), c.key))
			s.Reset()
			_, err1 := w.Unwrap(t.Context(), k.Wrapped, ec)
			_, err2 := w.Rewrap(t.Context(), k.Wrapped, ec, ec)
			for _, err := range []error{err1, err2} {
				if c.ok && err != nil || !c.ok && !errors.Is(err, kms.ErrDenied) {
					t.Errorf("got %v", err)
				}
			}
			if !c.ok && s.Calls() != 0 {
				t.Error("KMS was asked")
			}
		})
	}
}

// An alias that is moved to a key that is not trusted has KMS answer under that key.
func TestTrustedKeysOfAnswers(t *testing.T) {
	s := kmstest.Start(t)
	mine, theirs := s.CreateKey(kmstest.Alias("alias/app")), s.CreateKey()
	w := awskms.New(s.Client(t), "alias/app", awskms.WithTrustedKeys(mine))
	k := generate(t, w)
	s.SetAlias("alias/app", theirs)
	dk, generated := w.GenerateDataKey(t.Context(), ec)
	_, rewrapped := w.Rewrap(t.Context(), k.Wrapped, ec, ec)
	_, wrapped := w.Wrap(t.Context(), k.Plaintext, ec)
	for op, err := range map[string]error{"generate": generated, "rewrap": rewrapped, "wrap": wrapped} {
		if !errors.Is(err, kms.ErrDenied) || !strings.Contains(err.Error(), theirs) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if dk.Plaintext != nil {
		t.Error("a key was handed out")
	}
}

// recorder keeps what was sent.
type recorder struct {
	awskms.Client
	decrypt   *sdk.DecryptInput
	generate  *sdk.GenerateDataKeyInput
	reEncrypt *sdk.ReEncryptInput
}

func (r *recorder) GenerateDataKey(ctx context.Context, in *sdk.GenerateDataKeyInput, o ...func(*sdk.Options)) (*sdk.GenerateDataKeyOutput, error) {
	r.generate = in
	return r.Client.GenerateDataKey(ctx, in, o...)
}

func (r *recorder) Decrypt(ctx context.Context, in *sdk.DecryptInput, o ...func(*sdk.Options)) (*sdk.DecryptOutput, error) {
	r.decrypt = in
	return r.Client.Decrypt(ctx, in, o...)
}

func (r *recorder) ReEncrypt(ctx context.Context, in *sdk.ReEncryptInput, o ...func(*sdk.Options)) (*sdk.ReEncryptOutput, error) {
	r.reEncrypt = in
	return r.Client.ReEncrypt(ctx, in, o...)
}

func TestWhatIsSent(t *testing.T) {
	s := kmstest.Start(t)
	key := s.CreateKey(kmstest.Alias("alias/app"))
	r := &recorder{Client: s.Client(t)}
	w := awskms.New(r, "alias/app", awskms.WithGrantTokens("token-1", "token-2"))
	k := generate(t, w)
	unwraps(t, w, k.Wrapped, k.Plaintext)
	if _, err := w.Rewrap(t.Context(), k.Wrapped, ec, ec); err != nil {
		t.Fatal(err)
	}
	if aws.ToString(r.generate.KeyId) != "alias/app" || aws.ToString(r.decrypt.KeyId) != key ||
		aws.ToString(r.reEncrypt.SourceKeyId) != key || aws.ToString(r.reEncrypt.DestinationKeyId) != "alias/app" {
		t.Error("a request names another key than it should")
	}
	if r.generate.KeySpec != "AES_256" || r.generate.NumberOfBytes != nil {
		t.Errorf("key spec %q", r.generate.KeySpec)
	}
	for _, got := range []map[string]string{r.generate.EncryptionContext, r.decrypt.EncryptionContext, r.reEncrypt.SourceEncryptionContext, r.reEncrypt.DestinationEncryptionContext} {
		if !maps.Equal(got, ec) {
			t.Errorf("encryption context %v", got)
		}
	}
	for _, got := range [][]string{r.generate.GrantTokens, r.decrypt.GrantTokens, r.reEncrypt.GrantTokens} {
		if strings.Join(got, " ") != "token-1 token-2" {
			t.Errorf("grant tokens %v", got)
		}
	}
}

// Debug logging of the SDK prints bodies: but never those that hold a key.
func TestSDKLogHoldsNoKey(t *testing.T) {
	s := kmstest.Start(t)
	var log bytes.Buffer
	c := s.Client(t, func(o *sdk.Options) {
		o.Logger = logging.NewStandardLogger(&log)
		o.ClientLogMode = aws.LogRequestWithBody | aws.LogResponseWithBody | aws.LogRetries | aws.LogSigning
	})
	w := awskms.New(c, s.CreateKey())
	k := generate(t, w)
	unwraps(t, w, k.Wrapped, k.Plaintext)
	if _, err := w.Rewrap(t.Context(), k.Wrapped, ec, ec); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "TrentService.Decrypt") {
		t.Fatal("nothing was logged")
	}
	kmstest.RequireNoKey(t, errors.New(log.String()), k.Plaintext)
}

// shortKeys answers with plaintexts of the wrong length, and keeps them.
type shortKeys struct {
	awskms.Client
	given []byte
}

func (c *shortKeys) GenerateDataKey(context.Context, *sdk.GenerateDataKeyInput, ...func(*sdk.Options)) (*sdk.GenerateDataKeyOutput, error) {
	c.given = bytes.Repeat([]byte{7}, 16)
	return &sdk.GenerateDataKeyOutput{Plaintext: c.given, KeyId: aws.String("k"), CiphertextBlob: []byte{1}}, nil
}

func (c *shortKeys) Decrypt(context.Context, *sdk.DecryptInput, ...func(*sdk.Options)) (*sdk.DecryptOutput, error) {
	c.given = bytes.Repeat([]byte{7}, 33)
	return &sdk.DecryptOutput{Plaintext: c.given, KeyId: aws.String("k")}, nil
}

func TestRefusedPlaintextIsWiped(t *testing.T) {
	c := &shortKeys{}
	w := awskms.New(c, "k")
	if _, err := w.GenerateDataKey(t.Context(), ec); !errors.Is(err, kms.ErrUnavailable) || !bytes.Equal(c.given, make([]byte, 16)) {
		t.Errorf("GenerateDataKey: %v; left %d", err, c.given)
	}
	if _, err := w.Unwrap(t.Context(), kms.Wrapped{KeyID: "k", Blob: []byte{1}}, ec); !errors.Is(err, kms.ErrInvalidWrapped) || !bytes.Equal(c.given, make([]byte, 33)) {
		t.Errorf("Unwrap: %v; left %d", err, c.given)
	}
}
