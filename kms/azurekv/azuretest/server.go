// Package azuretest is a server of the key operations of Azure Key Vault, for tests.
package azuretest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/colseal/colseal/kms/azurekv"
	"github.com/colseal/colseal/kms/kmstest"
)

const token = "test-token"

// A Server has one key, app. It is safe for concurrent use.
type Server struct {
	*httptest.Server
	mu       sync.Mutex // guards what is below
	versions []*rsa.PrivateKey
	in       kmstest.Condition
	last     []byte // the plaintext that was seen last, which hostile answers repeat
	stop     chan struct{}
}

// New starts a server. Close ends it.
func New() *Server {
	s := &Server{stop: make(chan struct{}), in: kmstest.ConditionHealthy}
	s.rotate()
	s.Server = httptest.NewTLSServer(s)
	return s
}

// Close ends the server and the requests that hang.
func (s *Server) Close() {
	close(s.stop)
	s.Server.Close()
}

// Config returns the configuration of a program that uses the key.
func (s *Server) Config() azurekv.Config {
	return azurekv.Config{VaultURL: s.URL, Key: "app", Credential: credential{}, Timeout: 500 * time.Millisecond,
		ClientOptions: &azkeys.ClientOptions{DisableChallengeResourceVerification: true,
			ClientOptions: azcore.ClientOptions{Transport: s.Client(), Retry: policy.RetryOptions{MaxRetries: -1}}}}
}

type credential struct{}

func (credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (s *Server) rotate() {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	s.versions = append(s.versions, k)
}

// Set puts the server into a condition. It reports whether there is such a one.
func (s *Server) Set(c kmstest.Condition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c {
	case kmstest.ConditionAnswerCorrupt: // answers have no checksum
		return false
	case kmstest.ConditionKeyRotated:
		s.rotate()
		c = kmstest.ConditionHealthy
	}
	s.in = c
	return true
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	in := s.in
	s.mu.Unlock()
	switch in {
	case kmstest.ConditionHanging:
		select {
		case <-r.Context().Done():
		case <-s.stop:
		}
		return
	case kmstest.ConditionUnreachable:
		panic(http.ErrAbortHandler)
	case kmstest.ConditionThrottling:
		refuse(w, http.StatusTooManyRequests, "Throttled", "")
		return
	case kmstest.ConditionServerError:
		refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "")
		return
	case kmstest.ConditionAccessDenied:
		refuse(w, http.StatusForbidden, "Forbidden", "ForbiddenByRbac")
		return
	case kmstest.ConditionKeyDisabled:
		refuse(w, http.StatusForbidden, "Forbidden", "KeyDisabled")
		return
	case kmstest.ConditionKeyDestroyed:
		refuse(w, http.StatusConflict, "Conflict", "ObjectIsDeletedButRecoverable")
		return
	case kmstest.ConditionKeyMissing:
		refuse(w, http.StatusNotFound, "KeyNotFound", "")
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+token || in == kmstest.ConditionCredentialsExpired {
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.windows.net/tenant", resource="https://vault.azure.net"`)
		refuse(w, http.StatusUnauthorized, "Unauthorized", "")
		return
	}
	s.serveKey(w, r, in)
}

func (s *Server) serveKey(w http.ResponseWriter, r *http.Request, in kmstest.Condition) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // keys/NAME/[VERSION/]VERB
	if len(parts) < 2 || parts[0] != "keys" || parts[1] != "app" {
		refuse(w, http.StatusNotFound, "KeyNotFound", "")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		answer(w, map[string]any{"key": map[string]any{"kid": s.kid(len(s.versions)), "kty": "RSA"}, "attributes": map[string]any{"enabled": true}})
		return
	}
	var body struct{ Alg, Value string }
	value, err := []byte(nil), json.NewDecoder(r.Body).Decode(&body)
	if err == nil {
		value, err = base64.RawURLEncoding.DecodeString(body.Value)
	}
	if err != nil || body.Alg != string(azkeys.EncryptionAlgorithmRSAOAEP256) {
		refuse(w, http.StatusBadRequest, "BadParameter", "")
		return
	}
	n := len(s.versions)
	switch verb := parts[len(parts)-1]; {
	case verb == "wrapkey":
		s.last = value
		result, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &s.versions[n-1].PublicKey, value, nil)
		if err != nil {
			refuse(w, http.StatusBadRequest, "BadParameter", "")
			return
		}
		s.give(w, in, n, result)
	case verb == "unwrapkey" && len(parts) == 4:
		if _, err := fmt.Sscanf(parts[2], "v%d", &n); err != nil || n < 1 || n > len(s.versions) {
			refuse(w, http.StatusNotFound, "KeyNotFound", "")
			return
		}
		result, err := rsa.DecryptOAEP(sha256.New(), nil, s.versions[n-1], value, nil)
		if err != nil {
			refuse(w, http.StatusBadRequest, "BadParameter", "")
			return
		}
		s.last = result
		if in == kmstest.ConditionAnswerTooShort {
			result = result[:31]
		}
		s.give(w, in, n, result)
	default:
		refuse(w, http.StatusNotFound, "NotFound", "")
	}
}

func (s *Server) kid(version int) string { return fmt.Sprintf("%s/keys/app/v%d", s.URL, version) }

func (s *Server) give(w http.ResponseWriter, in kmstest.Condition, version int, result []byte) {
	kid := s.kid(version)
	switch in {
	case kmstest.ConditionAnswerOfOtherKey:
		kid = s.URL + "/keys/other/v1"
	case kmstest.ConditionAnswerHuge:
		result = append(result, make([]byte, 1<<20)...)
	case kmstest.ConditionAnswerMalformed:
		_, _ = w.Write([]byte("<html>" + base64.StdEncoding.EncodeToString(s.last)))
		return
	}
	answer(w, map[string]any{"kid": kid, "value": base64.RawURLEncoding.EncodeToString(result)})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code, inner string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": code, "message": "no", "innererror": map[string]any{"code": inner}}})
}
