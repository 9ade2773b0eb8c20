// Package transit wraps data keys under a key of the transit secrets engine of HashiCorp Vault or
// OpenBao.
//
// The key encryption key stays in the engine. A second envelope binds data keys to their encryption
// context (docs/formats.md), because servers that do not know the parameter associated_data ignore
// it.
//
// The program needs a token whose policy allows it to update MOUNT/encrypt/KEY and
// MOUNT/decrypt/KEY, and to read MOUNT/keys/KEY for [kms.Checker]. The policy must not allow
// create: the engine makes a key that it does not know for a caller who may, so a misspelled name
// would become a new key.
package transit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

const (
	// DefaultTimeout bounds each request.
	DefaultTimeout = 3 * time.Second

	maxAnswer     = 64 << 10
	maxCiphertext = 1024 // vault:vN: and 80 characters
)

// Config names a key of a transit engine.
type Config struct {
	// Address is the URL of the server, such as https://vault.example:8200. Required.
	Address string
	// Mount is the path of the engine. If empty, "transit".
	Mount string
	// Key is the name of the key. Required.
	Key string
	// Namespace is the namespace of the engine. If empty, none is sent.
	Namespace string
	// Token returns the token of each request. It is called often, and safe for concurrent use.
	// Required.
	Token func(context.Context) (string, error)
	// Client makes the requests. If nil, one with the default transport. Its CheckRedirect is not
	// used.
	Client *http.Client
	// Timeout bounds each request. If zero, DefaultTimeout.
	Timeout time.Duration
}

func init() { kms.Register("transit", openURL) }

// New returns a Wrapper. It makes no request.
func New(cfg Config) (*envelope.Wrapper, error) {
	u, err := url.Parse(cfg.Address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("transit: Config.Address is no URL such as https://vault.example:8200")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, errors.New("transit: Config.Address must begin with https://, because tokens and data keys are sent there")
	}
	if cfg.Mount == "" {
		cfg.Mount = "transit"
	}
	cfg.Mount = strings.Trim(cfg.Mount, "/")
	if cfg.Key == "" || strings.ContainsAny(cfg.Key, "/:?#%") || cfg.Mount == "" || strings.ContainsAny(cfg.Mount, ":?#%") {
		return nil, fmt.Errorf("transit: Config.Mount %q and Config.Key %q name no key of a transit engine", cfg.Mount, cfg.Key)
	}
	if cfg.Token == nil {
		return nil, errors.New("transit: Config.Token is not set")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	client := &http.Client{}
	if cfg.Client != nil {
		*client = *cfg.Client
	}
	// The header with the token would go along to any other host.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &service{cfg: cfg, base: strings.TrimRight(cfg.Address, "/") + "/v1/", client: client}
	return envelope.New(s, envelope.Config{Domain: "colseal transit v1", Timeout: cfg.Timeout, Double: true, MaxBlob: maxCiphertext}), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// openURL opens transit://HOST:PORT/MOUNT/KEY, or transit:///MOUNT/KEY at VAULT_ADDR or BAO_ADDR.
func openURL(_ context.Context, u *url.URL) (kms.Wrapper, error) {
	if u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("transit: write the URL as transit://HOST:PORT/MOUNT/KEY, or transit:///MOUNT/KEY with VAULT_ADDR set")
	}
	i := strings.LastIndexByte(u.Path, '/')
	if i <= 0 || i == len(u.Path)-1 {
		return nil, errors.New("transit: the URL's path must be /MOUNT/KEY")
	}
	cfg := Config{Mount: u.Path[1:i], Key: u.Path[i+1:], Token: environmentToken, Namespace: environment("NAMESPACE")}
	if u.Host != "" {
		cfg.Address = "https://" + u.Host
	} else if cfg.Address = environment("ADDR"); cfg.Address == "" {
		return nil, errors.New("transit: the URL names no host; add it, or set VAULT_ADDR or BAO_ADDR")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("transit: the URL's parameters cannot be parsed")
	}
	for name, values := range query {
		switch name {
		case "namespace":
			cfg.Namespace = values[0]
		case "timeout":
			if cfg.Timeout, err = time.ParseDuration(values[0]); err != nil {
				return nil, errors.New("transit: the URL's parameter timeout is no duration such as 3s")
			}
		default:
			return nil, fmt.Errorf("transit: the URL has an unknown parameter %q; known are namespace and timeout", name)
		}
	}
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// environment returns the variable of Vault or of OpenBao.
func environment(name string) string {
	if v := os.Getenv("VAULT_" + name); v != "" {
		return v
	}
	return os.Getenv("BAO_" + name)
}

// environmentToken reads the token each time: from the file that VAULT_TOKEN_FILE or BAO_TOKEN_FILE
// names, where an agent renews it, or from VAULT_TOKEN or BAO_TOKEN.
func environmentToken(context.Context) (string, error) {
	if path := environment("TOKEN_FILE"); path != "" {
		b, err := os.ReadFile(path)
		return strings.TrimSpace(string(b)), err
	}
	if token := environment("TOKEN"); token != "" {
		return token, nil
	}
	return "", errors.New("neither VAULT_TOKEN_FILE nor VAULT_TOKEN is set")
}

type service struct {
	cfg    Config
	base   string
	client *http.Client
}

// KeyID implements [envelope.Service].
func (s *service) KeyID() string { return "transit:" + s.cfg.Mount + "/" + s.cfg.Key }

// Matches implements [envelope.Service].
func (s *service) Matches(w kms.Wrapped) bool {
	version, ok := strings.CutPrefix(w.KeyID, s.KeyID()+":v")
	_, err := strconv.ParseUint(version, 10, 32)
	return ok && err == nil
}

// Encrypt implements [envelope.Service].
func (s *service) Encrypt(ctx context.Context, plaintext, _ []byte) (kms.Wrapped, error) {
	var answer struct{ Ciphertext string }
	if err := s.do(ctx, http.MethodPost, s.cfg.Mount+"/encrypt/"+s.cfg.Key,
		map[string]any{"plaintext": plaintext}, &answer); err != nil {
		return kms.Wrapped{}, err
	}
	version, body, ok := cutCiphertext(answer.Ciphertext)
	if !ok {
		return kms.Wrapped{}, notTransit()
	}
	return kms.Wrapped{KeyID: s.KeyID() + ":" + version, Blob: body}, nil
}

// cutCiphertext splits vault:vN:BASE64.
func cutCiphertext(text string) (version string, body []byte, ok bool) {
	rest, ok := strings.CutPrefix(text, "vault:")
	version, encoded, ok2 := strings.Cut(rest, ":")
	body, err := base64.StdEncoding.Strict().DecodeString(encoded)
	_, err2 := strconv.ParseUint(strings.TrimPrefix(version, "v"), 10, 32)
	return version, body, ok && ok2 && err == nil && err2 == nil && strings.HasPrefix(version, "v")
}

// Decrypt implements [envelope.Service].
func (s *service) Decrypt(ctx context.Context, w kms.Wrapped, _ []byte) ([]byte, error) {
	version := strings.TrimPrefix(w.KeyID, s.KeyID()+":")
	var answer struct{ Plaintext []byte }
	err := s.do(ctx, http.MethodPost, s.cfg.Mount+"/decrypt/"+s.cfg.Key,
		map[string]any{"ciphertext": "vault:" + version + ":" + base64.StdEncoding.EncodeToString(w.Blob)}, &answer)
	return answer.Plaintext, err
}

// Check implements [envelope.Service].
func (s *service) Check(ctx context.Context) error {
	var key struct {
		Derived            bool
		SupportsEncryption *bool `json:"supports_encryption"`
		SupportsDecryption *bool `json:"supports_decryption"`
	}
	if err := s.do(ctx, http.MethodGet, s.cfg.Mount+"/keys/"+s.cfg.Key, nil, &key); err != nil {
		return err
	}
	for _, can := range []*bool{key.SupportsEncryption, key.SupportsDecryption} {
		if can == nil || !*can {
			return &kms.Error{Class: kms.ErrDenied, Reason: "its type does not encrypt and decrypt", Hint: "make a key of type aes256-gcm96"}
		}
	}
	if key.Derived {
		return &kms.Error{Class: kms.ErrDenied, Reason: "it derives keys from a context", Hint: "make a key with derived=false"}
	}
	return nil
}

// do makes a request and decodes the field data of its answer.
func (s *service) do(ctx context.Context, method, path string, in, out any) error {
	status, body, err := s.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer clear(body) // it may hold a key
	if status != http.StatusOK {
		return s.refused(ctx, method, status, body)
	}
	var answer struct{ Data json.RawMessage }
	defer func() { clear(answer.Data) }()
	// The decoder's errors may hold a part of the answer.
	if json.Unmarshal(body, &answer) != nil || len(answer.Data) == 0 || json.Unmarshal(answer.Data, out) != nil {
		return notTransit()
	}
	return nil
}

func notTransit() error {
	return &kms.Error{Class: kms.ErrUnavailable, Reason: "the answer is not that of a transit engine", Hint: "check the address and the path of the engine"}
}

func (s *service) send(ctx context.Context, method, path string, in any) (status int, body []byte, _ error) {
	token, err := s.cfg.Token(ctx)
	if err != nil || token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return 0, nil, &kms.Error{Class: kms.ErrUnavailable, Reason: "there is no token", Hint: "check Config.Token, VAULT_TOKEN_FILE or VAULT_TOKEN", Cause: err}
	}
	var sent []byte
	if in != nil {
		if sent, err = json.Marshal(in); err != nil {
			return 0, nil, err
		}
		defer clear(sent)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Token", token)
	req.Header.Set("X-Vault-Request", "true")
	if s.cfg.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", s.cfg.Namespace)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, &kms.Error{Class: kms.ErrUnavailable, Reason: envelope.TransportReason(err), Hint: "check the address of the server and the network path to it"}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		clear(body)
		return 0, nil, &kms.Error{Class: kms.ErrUnavailable, Reason: "the answer is cut off or too long"}
	}
	return resp.StatusCode, body, nil
}

// refused returns the error of a failed request. Vault has only HTTP's codes, so its words tell
// apart what it answers with 400.
func (s *service) refused(ctx context.Context, method string, status int, body []byte) error {
	var answer struct{ Errors []string }
	_ = json.Unmarshal(body, &answer)
	reason := envelope.OneLine(fmt.Sprintf("HTTP status %d: %s", status, strings.Join(answer.Errors, "; ")))
	says := func(words string) bool { return strings.Contains(reason, words) }
	switch {
	case status == http.StatusForbidden && s.tokenIsBad(ctx):
		return &kms.Error{Class: kms.ErrUnavailable, Reason: "the token has expired or is not valid", Hint: "give the program a new token; an agent can renew it"}
	case status == http.StatusForbidden:
		return &kms.Error{Class: kms.ErrDenied, Reason: reason, Hint: "allow update of the engine's encrypt and decrypt, and read of its keys, in the token's policy"}
	case status == http.StatusNotFound, says("key not found"), says("policy not found"):
		return &kms.Error{Class: kms.ErrKeyNotFound, Reason: reason, Hint: "check the path of the engine and the name of the key"}
	case status == http.StatusTooManyRequests:
		return &kms.Error{Class: kms.ErrThrottled, Reason: reason}
	case status == http.StatusBadRequest && says("disallowed by policy"):
		return &kms.Error{Class: kms.ErrKeyDisabled, Reason: reason, Hint: "lower min_decryption_version of the key"}
	case status == http.StatusBadRequest && (says("ciphertext") || says("authentication failed")):
		return &kms.Error{Class: kms.ErrInvalidWrapped, Reason: reason}
	case status == http.StatusBadRequest:
		return &kms.Error{Class: kms.ErrDenied, Reason: reason, Hint: "check the type of the key: aes256-gcm96, not derived"}
	case status/100 == 3:
		return &kms.Error{Class: kms.ErrUnavailable, Reason: reason, Hint: "the server is a standby that redirects; name the active one or a load balancer"}
	}
	return &kms.Error{Class: kms.ErrUnavailable, Reason: reason, Hint: "check that the server is there and unsealed"}
}

// tokenIsBad asks the engine whether it refused the token: it answers 403 both to a token that has
// expired and to one whose policy does not allow the request.
func (s *service) tokenIsBad(ctx context.Context) bool {
	status, body, err := s.send(ctx, http.MethodGet, "auth/token/lookup-self", nil)
	clear(body)
	return err == nil && status == http.StatusForbidden
}
