// Package transittest is a server of the protocol of a transit secrets engine, for tests.
package transittest

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"

	"github.com/colseal/colseal/kms/kmstest"
)

// Token is what the server accepts.
const Token = "hvs.test"

// GiveToken returns Token, as Config.Token does.
func GiveToken(context.Context) (string, error) { return Token, nil }

// A Server has one key, transit/app. It is safe for concurrent use.
type Server struct {
	*httptest.Server
	mu       sync.Mutex // guards what is below
	versions []cipher.AEAD
	in       kmstest.Condition
	last     []byte // the plaintext that was seen last, which hostile answers repeat
	stop     chan struct{}
}

// New starts a server. Close ends it.
func New() *Server {
	s := &Server{stop: make(chan struct{}), in: kmstest.ConditionHealthy}
	s.rotate()
	s.Server = httptest.NewServer(s)
	return s
}

// Close ends the server and the requests that hang.
func (s *Server) Close() {
	close(s.stop)
	s.Server.Close()
}

func (s *Server) rotate() { s.versions = append(s.versions, kmstest.NewAEAD()) }

// Set puts the server into a condition. It reports whether there is such a one.
func (s *Server) Set(c kmstest.Condition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c {
	case kmstest.ConditionAnswerCorrupt, kmstest.ConditionKeyDestroyed: // answers have no checksum; a key that is deleted is missing
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
	case kmstest.ConditionUnreachable, kmstest.ConditionAnswerMalformed:
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		if in == kmstest.ConditionAnswerMalformed {
			s.mu.Lock()
			_, _ = fmt.Fprintf(c, "%s\r\n\r\n", base64.StdEncoding.EncodeToString(s.last))
			s.mu.Unlock()
		}
		_ = c.Close()
		return
	case kmstest.ConditionThrottling:
		refuse(w, http.StatusTooManyRequests, "request path \"transit\": rate limit quota exceeded")
		return
	case kmstest.ConditionServerError:
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
		return
	}
	if r.Header.Get("X-Vault-Token") != Token || in == kmstest.ConditionCredentialsExpired {
		refuse(w, http.StatusForbidden, "permission denied")
		return
	}
	if r.URL.Path == "/v1/auth/token/lookup-self" {
		answer(w, map[string]any{"ttl": 3600})
		return
	}
	s.serveKey(w, r, in)
}

func (s *Server) serveKey(w http.ResponseWriter, r *http.Request, in kmstest.Condition) {
	verb, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/")
	var body struct {
		Plaintext  []byte
		Ciphertext string
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			refuse(w, http.StatusBadRequest, "failed to parse JSON input")
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case in == kmstest.ConditionAccessDenied:
		refuse(w, http.StatusForbidden, "permission denied")
	case in == kmstest.ConditionKeyMissing || key != "app":
		refuse(w, http.StatusBadRequest, "encryption key not found")
	case in == kmstest.ConditionKeyDisabled:
		refuse(w, http.StatusBadRequest, "ciphertext or signature version is disallowed by policy (too old)")
	case verb == "keys" && r.Method == http.MethodGet:
		answer(w, map[string]any{"name": key, "type": "aes256-gcm96", "derived": false, "latest_version": len(s.versions),
			"supports_encryption": true, "supports_decryption": true})
	case verb == "encrypt" && r.Method == http.MethodPost:
		s.last = body.Plaintext
		n := len(s.versions)
		text := fmt.Sprintf("vault:v%d:%s", n, base64.StdEncoding.EncodeToString(s.versions[n-1].Seal(nil, nil, body.Plaintext, nil)))
		switch in {
		case kmstest.ConditionAnswerOfOtherKey:
			text = "other" + text
		case kmstest.ConditionAnswerHuge:
			text += strings.Repeat("A", 1<<20)
		}
		answer(w, map[string]any{"ciphertext": text, "key_version": n})
	case verb == "decrypt" && r.Method == http.MethodPost:
		plaintext, why := s.decrypt(body.Ciphertext)
		if why != "" {
			refuse(w, http.StatusBadRequest, why)
			return
		}
		s.last = plaintext
		switch in {
		case kmstest.ConditionAnswerOfOtherKey:
			plaintext = make([]byte, 32)
		case kmstest.ConditionAnswerTooShort:
			plaintext = plaintext[:31]
		case kmstest.ConditionAnswerHuge:
			plaintext = append(plaintext, make([]byte, 1<<20)...)
		}
		answer(w, map[string]any{"plaintext": plaintext})
	default:
		refuse(w, http.StatusNotFound, "no handler for route")
	}
}

func (s *Server) decrypt(text string) (plaintext []byte, why string) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] != "vault" {
		return nil, "invalid ciphertext: no prefix"
	}
	n, err := strconv.Atoi(strings.TrimPrefix(parts[1], "v"))
	body, err2 := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || err2 != nil || n < 1 {
		return nil, "invalid ciphertext: could not decode"
	}
	if n > len(s.versions) {
		return nil, "invalid ciphertext: version is too new"
	}
	if plaintext, err = s.versions[n-1].Open(nil, nil, body, nil); err != nil {
		return nil, "cipher: message authentication failed"
	}
	return plaintext, ""
}

func answer(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "test", "data": data})
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{why}})
}
