// Package azurekv wraps data keys under a key of Azure Key Vault or of a Managed HSM.
//
// The key encryption key stays in the vault. The program needs the key permissions wrapKey and
// unwrapKey, and get for [kms.Checker]: the role "Key Vault Crypto Service Encryption User" has
// exactly these. Data keys are bound to their encryption context by a second envelope
// (docs/formats.md), because the service's wrapKey has no associated data.
package azurekv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

// DefaultTimeout bounds each request.
const DefaultTimeout = 3 * time.Second

// Config names a key.
type Config struct {
	// VaultURL is the URL of the vault or HSM, such as https://app.vault.azure.net. Required.
	VaultURL string
	// Key is the name of the key. Its current version wraps; a key is unwrapped by the version that
	// wrapped it. Required.
	Key string
	// Algorithm is the one that wraps: RSA-OAEP-256 or, in a Managed HSM, A256KW. If empty,
	// RSA-OAEP-256. All versions of the key must have a type that fits.
	Algorithm azkeys.EncryptionAlgorithm
	// Credential authenticates the program. Required.
	Credential azcore.TokenCredential
	// ClientOptions are those of the service's client. If nil, its defaults, but without retries:
	// callers retry.
	ClientOptions *azkeys.ClientOptions
	// Timeout bounds each request. If zero, DefaultTimeout.
	Timeout time.Duration
}

func init() { kms.Register("azurekv", openURL) }

// New returns a Wrapper. It makes no request.
func New(cfg Config) (*envelope.Wrapper, error) {
	u, err := url.Parse(cfg.VaultURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("azurekv: Config.VaultURL is no URL such as https://app.vault.azure.net")
	}
	if cfg.Key == "" || strings.ContainsFunc(cfg.Key, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return nil, fmt.Errorf("azurekv: Config.Key %q is no name of a key: it has letters, digits and hyphens", cfg.Key)
	}
	switch cfg.Algorithm {
	case "":
		cfg.Algorithm = azkeys.EncryptionAlgorithmRSAOAEP256
	case azkeys.EncryptionAlgorithmRSAOAEP256, azkeys.EncryptionAlgorithmA256KW:
	default:
		return nil, fmt.Errorf("azurekv: Config.Algorithm %q is neither %s nor %s", cfg.Algorithm, azkeys.EncryptionAlgorithmRSAOAEP256, azkeys.EncryptionAlgorithmA256KW)
	}
	if cfg.Credential == nil {
		return nil, errors.New("azurekv: Config.Credential is not set")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	options := azkeys.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	if cfg.ClientOptions != nil {
		options = *cfg.ClientOptions
	}
	base := "https://" + u.Host
	client, err := azkeys.NewClient(base, cfg.Credential, &options)
	if err != nil {
		return nil, fmt.Errorf("azurekv: %w", err)
	}
	s := &service{client: client, key: cfg.Key, algorithm: cfg.Algorithm, keyID: base + "/keys/" + cfg.Key}
	return envelope.New(s, envelope.Config{Domain: "colseal azurekv v1", Timeout: cfg.Timeout, Double: true, MaxBlob: 1024}), nil
}

// openURL opens azurekv://VAULT-HOST/KEY with the default credential of the Azure SDK.
func openURL(_ context.Context, u *url.URL) (kms.Wrapper, error) {
	key := strings.TrimPrefix(u.Path, "/")
	if u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Host == "" || key == "" || strings.Contains(key, "/") {
		return nil, errors.New("azurekv: write the URL as azurekv://app.vault.azure.net/KEY")
	}
	cfg := Config{VaultURL: "https://" + u.Host, Key: key}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("azurekv: the URL's parameters cannot be parsed")
	}
	for name, values := range query {
		switch name {
		case "algorithm":
			cfg.Algorithm = azkeys.EncryptionAlgorithm(values[0])
		case "timeout":
			if cfg.Timeout, err = time.ParseDuration(values[0]); err != nil {
				return nil, errors.New("azurekv: the URL's parameter timeout is no duration such as 3s")
			}
		default:
			return nil, fmt.Errorf("azurekv: the URL has an unknown parameter %q; known are algorithm and timeout", name)
		}
	}
	if cfg.Credential, err = azidentity.NewDefaultAzureCredential(nil); err != nil {
		return nil, errors.New("azurekv: the environment names no credential; see DefaultAzureCredential of the Azure SDK")
	}
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return w, nil
}

type service struct {
	client    *azkeys.Client
	key       string
	algorithm azkeys.EncryptionAlgorithm
	keyID     string // without the version
}

// KeyID implements [envelope.Service].
func (s *service) KeyID() string { return s.keyID }

// Matches implements [envelope.Service].
func (s *service) Matches(w kms.Wrapped) bool { return s.version(w.KeyID) != "" }

// version returns the version in the id of a version of this key, and "" for any other id.
func (s *service) version(id string) string {
	version, ok := strings.CutPrefix(id, s.keyID+"/")
	if !ok || strings.ContainsFunc(version, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') }) {
		return ""
	}
	return version
}

// Encrypt implements [envelope.Service].
func (s *service) Encrypt(ctx context.Context, plaintext, _ []byte) (kms.Wrapped, error) {
	r, err := s.client.WrapKey(ctx, s.key, "", azkeys.KeyOperationParameters{Algorithm: &s.algorithm, Value: plaintext}, nil)
	if err != nil {
		return kms.Wrapped{}, refused(err, kms.ErrDenied)
	}
	if r.KID == nil || s.version(string(*r.KID)) == "" {
		return kms.Wrapped{}, &kms.Error{Class: kms.ErrUnavailable, Reason: "the answer is of another key"}
	}
	return kms.Wrapped{KeyID: string(*r.KID), Blob: r.Result}, nil
}

// Decrypt implements [envelope.Service].
func (s *service) Decrypt(ctx context.Context, w kms.Wrapped, _ []byte) ([]byte, error) {
	r, err := s.client.UnwrapKey(ctx, s.key, s.version(w.KeyID), azkeys.KeyOperationParameters{Algorithm: &s.algorithm, Value: w.Blob}, nil)
	if err != nil {
		return nil, refused(err, kms.ErrInvalidWrapped)
	}
	if r.KID == nil || string(*r.KID) != w.KeyID {
		clear(r.Result)
		return nil, &kms.Error{Class: kms.ErrUnavailable, Reason: "the answer is of another key"}
	}
	return r.Result, nil
}

// Check implements [envelope.Service].
func (s *service) Check(ctx context.Context) error {
	r, err := s.client.GetKey(ctx, s.key, "", nil)
	if err != nil {
		return refused(err, kms.ErrDenied)
	}
	if r.Attributes != nil && r.Attributes.Enabled != nil && !*r.Attributes.Enabled {
		return &kms.Error{Class: kms.ErrKeyDisabled, Hint: "enable the key in the vault"}
	}
	return nil
}

// refused sorts the errors of the client; bad is the class of a request that the service could not
// use. What the client prints of an answer may be long, so only its codes are kept.
func refused(err, bad error) error {
	var credential *azidentity.AuthenticationFailedError
	var answer *azcore.ResponseError
	switch {
	case errors.As(err, &credential):
		return &kms.Error{Class: kms.ErrUnavailable, Reason: "the program's credential was not accepted", Hint: "check the identity of this program and the identity service"}
	case !errors.As(err, &answer):
		return &kms.Error{Class: kms.ErrUnavailable, Reason: envelope.TransportReason(err), Hint: "check the URL of the vault and the network path to it"}
	}
	inner := innerCode(answer.RawResponse)
	e := &kms.Error{Class: kms.ErrUnavailable, Reason: envelope.OneLine(fmt.Sprintf("HTTP status %d %s %s", answer.StatusCode, answer.ErrorCode, inner))}
	switch {
	case answer.StatusCode == http.StatusUnauthorized:
		e.Hint = "check the identity of this program"
	case inner == "KeyDisabled":
		e.Class, e.Hint = kms.ErrKeyDisabled, "enable the key in the vault"
	case answer.StatusCode == http.StatusForbidden:
		e.Class, e.Hint = kms.ErrDenied, `give the program the role "Key Vault Crypto Service Encryption User", and check the vault's firewall and the key's dates`
	case answer.StatusCode == http.StatusNotFound:
		e.Class, e.Hint = kms.ErrKeyNotFound, "check the name of the key, or recover it if it was deleted"
	case answer.StatusCode == http.StatusConflict:
		e.Class, e.Hint = kms.ErrKeyPendingDeletion, "recover the key"
	case answer.StatusCode == http.StatusTooManyRequests:
		e.Class = kms.ErrThrottled
	case answer.StatusCode == http.StatusBadRequest:
		e.Class, e.Hint = bad, "check that the algorithm fits the type of the key"
	}
	return e
}

// innerCode returns the finer code of an error of the service.
func innerCode(r *http.Response) string {
	if r == nil || r.Body == nil {
		return ""
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return ""
	}
	var answer struct {
		Error struct {
			InnerError struct{ Code string } `json:"innererror"`
		}
	}
	_ = json.Unmarshal(body, &answer)
	return answer.Error.InnerError.Code
}
