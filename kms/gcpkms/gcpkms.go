// Package gcpkms wraps data keys under a key of Google Cloud KMS, software, HSM or external.
//
// The key encryption key stays in the service. The program needs the permissions
// cloudkms.cryptoKeyVersions.useToEncrypt and useToDecrypt on the key (the role
// roles/cloudkms.cryptoKeyEncrypterDecrypter), and cloudkms.cryptoKeys.get for [kms.Checker]. Data
// keys are bound to their encryption context by the service's additional authenticated data. Both
// directions carry CRC32C checksums, and an answer whose checksum is wrong or missing is not used.
package gcpkms

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"regexp"
	"strings"
	"time"

	gcp "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

// DefaultTimeout bounds each request.
const DefaultTimeout = 3 * time.Second

// Config names a key.
type Config struct {
	// Key is the resource name of the key, projects/P/locations/L/keyRings/R/cryptoKeys/K, without
	// a version: its primary version wraps. Required.
	Key string
	// Timeout bounds each request. If zero, DefaultTimeout.
	Timeout time.Duration
}

func init() { kms.Register("gcpkms", openURL) }

var keyName = regexp.MustCompile(`^projects/[^/\s]+/locations/[^/\s]+/keyRings/[\w-]+/cryptoKeys/[\w-]+$`)

// New returns a Wrapper on a client, which stays the caller's to close. It makes no request.
func New(client *gcp.KeyManagementClient, cfg Config) (*envelope.Wrapper, error) {
	if client == nil {
		return nil, errors.New("gcpkms: the client is nil")
	}
	if !keyName.MatchString(cfg.Key) {
		return nil, fmt.Errorf("gcpkms: Config.Key %q is no name such as projects/P/locations/L/keyRings/R/cryptoKeys/K", cfg.Key)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	return envelope.New(&service{client, cfg.Key}, envelope.Config{Domain: "colseal gcpkms v1", Timeout: cfg.Timeout, MaxBlob: 4096}), nil
}

// openURL opens gcpkms:///projects/P/locations/L/keyRings/R/cryptoKeys/K with the application
// default credentials. The client lives as long as the process.
func openURL(ctx context.Context, u *url.URL) (kms.Wrapper, error) {
	if u.Opaque != "" || u.Host != "" || u.User != nil || u.Fragment != "" || len(u.Path) < 2 || !keyName.MatchString(u.Path[1:]) {
		return nil, errors.New("gcpkms: write the URL as gcpkms:///projects/P/locations/L/keyRings/R/cryptoKeys/K")
	}
	cfg := Config{Key: u.Path[1:]}
	var options []option.ClientOption
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("gcpkms: the URL's parameters cannot be parsed")
	}
	for name, values := range query {
		switch name {
		case "endpoint":
			options = append(options, option.WithEndpoint(values[0]))
		case "timeout":
			if cfg.Timeout, err = time.ParseDuration(values[0]); err != nil {
				return nil, errors.New("gcpkms: the URL's parameter timeout is no duration such as 3s")
			}
		default:
			return nil, fmt.Errorf("gcpkms: the URL has an unknown parameter %q; known are endpoint and timeout", name)
		}
	}
	client, err := gcp.NewKeyManagementClient(ctx, options...)
	if err != nil {
		// The error may repeat a file of credentials.
		return nil, errors.New("gcpkms: no client can be made; check the application default credentials of this program")
	}
	w, err := New(client, cfg)
	if err != nil {
		return nil, err
	}
	return w, nil
}

type service struct {
	client *gcp.KeyManagementClient
	key    string
}

// KeyID implements [envelope.Service].
func (s *service) KeyID() string { return s.key }

// Matches implements [envelope.Service]. The version that wrapped is named in the ciphertext.
func (s *service) Matches(w kms.Wrapped) bool { return w.KeyID == s.key }

// once leaves it to the caller to try again.
var once = gax.WithRetry(func() gax.Retryer { return nil })

func checksum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}

// Encrypt implements [envelope.Service].
func (s *service) Encrypt(ctx context.Context, plaintext, aad []byte) (kms.Wrapped, error) {
	r, err := s.client.Encrypt(ctx, &kmspb.EncryptRequest{Name: s.key, Plaintext: plaintext, PlaintextCrc32C: checksum(plaintext),
		AdditionalAuthenticatedData: aad, AdditionalAuthenticatedDataCrc32C: checksum(aad)}, once)
	if err != nil {
		return kms.Wrapped{}, refused(err, kms.ErrDenied)
	}
	if !r.VerifiedPlaintextCrc32C || !r.VerifiedAdditionalAuthenticatedDataCrc32C || r.CiphertextCrc32C == nil ||
		r.CiphertextCrc32C.Value != checksum(r.Ciphertext).Value {
		return kms.Wrapped{}, corrupt()
	}
	version, ok := strings.CutPrefix(r.Name, s.key+"/cryptoKeyVersions/")
	if !ok || version == "" {
		return kms.Wrapped{}, &kms.Error{Class: kms.ErrUnavailable, Reason: "the answer is of another key"}
	}
	return kms.Wrapped{KeyID: s.key, Blob: r.Ciphertext}, nil
}

// Decrypt implements [envelope.Service].
func (s *service) Decrypt(ctx context.Context, w kms.Wrapped, aad []byte) ([]byte, error) {
	r, err := s.client.Decrypt(ctx, &kmspb.DecryptRequest{Name: s.key, Ciphertext: w.Blob, CiphertextCrc32C: checksum(w.Blob),
		AdditionalAuthenticatedData: aad, AdditionalAuthenticatedDataCrc32C: checksum(aad)}, once)
	if err != nil {
		return nil, refused(err, kms.ErrInvalidWrapped)
	}
	if r.PlaintextCrc32C == nil || r.PlaintextCrc32C.Value != checksum(r.Plaintext).Value {
		clear(r.Plaintext)
		return nil, corrupt()
	}
	return r.Plaintext, nil
}

func corrupt() error {
	return &kms.Error{Class: kms.ErrUnavailable, Reason: "a checksum is wrong or missing, so the request or the answer was damaged on its way"}
}

// Check implements [envelope.Service].
func (s *service) Check(ctx context.Context) error {
	key, err := s.client.GetCryptoKey(ctx, &kmspb.GetCryptoKeyRequest{Name: s.key}, once)
	if err != nil {
		return refused(err, kms.ErrDenied)
	}
	switch {
	case key.Purpose != kmspb.CryptoKey_ENCRYPT_DECRYPT:
		return &kms.Error{Class: kms.ErrDenied, Reason: "its purpose is " + key.Purpose.String(), Hint: "make a key of purpose ENCRYPT_DECRYPT"}
	case key.Primary == nil || key.Primary.State != kmspb.CryptoKeyVersion_ENABLED:
		return &kms.Error{Class: kms.ErrKeyDisabled, Reason: "it has no enabled primary version", Hint: "enable its primary version, or make another the primary one"}
	}
	return nil
}

// violations are the types of the service's PreconditionFailure.
var violations = map[string]error{
	"KEY_DISABLED":          kms.ErrKeyDisabled,
	"KEY_DESTROYED":         kms.ErrKeyPendingDeletion,
	"KEY_DESTROY_SCHEDULED": kms.ErrKeyPendingDeletion,
}

// refused sorts the errors of the client; bad is the class of a request that the service could not
// use.
func refused(err, bad error) error {
	st, ok := status.FromError(err)
	if !ok {
		return &kms.Error{Class: kms.ErrUnavailable, Reason: envelope.TransportReason(err), Hint: "check the credentials of this program and the network path to the service"}
	}
	e := &kms.Error{Class: kms.ErrUnavailable, Reason: envelope.OneLine(st.Code().String())}
	switch st.Code() {
	case codes.PermissionDenied:
		e.Class, e.Hint = kms.ErrDenied, "give the program the role roles/cloudkms.cryptoKeyEncrypterDecrypter on the key"
	case codes.NotFound:
		e.Class, e.Hint = kms.ErrKeyNotFound, "check the name of the key, its project and its location"
	case codes.Unauthenticated:
		e.Hint = "check the credentials of this program"
	case codes.ResourceExhausted:
		e.Class, e.Hint = kms.ErrThrottled, "check the quota of cryptographic requests of the project"
	case codes.DeadlineExceeded:
		e.Class = kms.ErrTimeout
	case codes.InvalidArgument:
		e.Class = bad
	case codes.FailedPrecondition:
		e.Class, e.Hint = kms.ErrDenied, "check the state of the key's versions"
		for _, detail := range st.Details() {
			failure, ok := detail.(*errdetails.PreconditionFailure)
			if !ok {
				continue
			}
			for _, v := range failure.Violations {
				if class := violations[v.Type]; class != nil {
					e.Class = class
				}
				e.Reason += envelope.OneLine(" " + v.Type)
			}
		}
	}
	return e
}
