package awskms_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// terseKMS is a server of the KMS protocol that is as unlike AWS as the protocol
// allows: no request ids, no content type, key ids that are not ARNs, ciphertexts
// in a form of its own, and nothing in an answer that need not be there.
type terseKMS struct {
	mu   sync.Mutex // guards the following
	keys map[string]terseKey
	fail func(http.ResponseWriter) // instead of an answer
}

type terseKey struct {
	plain []byte
	ec    string
}

func (s *terseKMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		KeyId, SourceKeyId                                                       string
		CiphertextBlob, Plaintext                                                []byte
		EncryptionContext, SourceEncryptionContext, DestinationEncryptionContext map[string]string
	}
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if s.fail != nil {
		s.fail(w)
		return
	}
	w.Header()["Content-Type"] = nil
	switch r.Header.Get("X-Amz-Target") {
	case "TrentService.GenerateDataKey":
		plain := make([]byte, 32)
		_, _ = rand.Read(plain)
		_, _ = fmt.Fprintf(w, `{"KeyId":"k1","Plaintext":%q,"CiphertextBlob":%q}`, base64.StdEncoding.EncodeToString(plain), s.wrap(plain, in.EncryptionContext))
	case "TrentService.Decrypt":
		k, ok := s.keys[string(in.CiphertextBlob)]
		if !ok || in.KeyId != "k1" || k.ec != fmt.Sprint(in.EncryptionContext) {
			invalidCiphertext(w)
			return
		}
		_, _ = fmt.Fprintf(w, `{"Plaintext":%q}`, base64.StdEncoding.EncodeToString(k.plain))
	case "TrentService.ReEncrypt":
		k, ok := s.keys[string(in.CiphertextBlob)]
		if !ok || in.SourceKeyId != "k1" || k.ec != fmt.Sprint(in.SourceEncryptionContext) {
			invalidCiphertext(w)
			return
		}
		_, _ = fmt.Fprintf(w, `{"KeyId":"k1","CiphertextBlob":%q}`, s.wrap(k.plain, in.DestinationEncryptionContext))
	case "TrentService.Encrypt":
		_, _ = fmt.Fprintf(w, `{"KeyId":"k1","CiphertextBlob":%q}`, s.wrap(in.Plaintext, in.EncryptionContext))
	case "TrentService.DescribeKey":
		_, _ = io.WriteString(w, `{"KeyMetadata":{"KeyId":"k1"}}`)
	}
}

func (s *terseKMS) wrap(plain []byte, ec map[string]string) string {
	ref := rand.Text()
	s.keys[ref] = terseKey{plain, fmt.Sprint(ec)}
	return base64.StdEncoding.EncodeToString([]byte(ref))
}

func invalidCiphertext(w http.ResponseWriter) {
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type":"InvalidCiphertextException"}`)
}

// serve returns the server and a Wrapper that knows it by its endpoint alone.
func (s *terseKMS) serve(t *testing.T) kms.Wrapper {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	w, err := kms.Open(t.Context(), "awskms:///k1?region=here&endpoint="+server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAnotherServerOfTheProtocol(t *testing.T) {
	s := &terseKMS{keys: map[string]terseKey{}}
	w := s.serve(t)
	kmstest.Conformance(t, w)
	if err := w.(*awskms.Wrapper).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// Errors come in the forms that servers of the protocol give them, with statuses
// of their own choice.
func TestErrorsOfAnotherServer(t *testing.T) {
	s := &terseKMS{keys: map[string]terseKey{}}
	w := s.serve(t)
	k, err := w.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatal(err)
	}
	for code, class := range map[string]error{
		"AccessDeniedException": kms.ErrDenied, "DisabledException": kms.ErrKeyDisabled, "NotFoundException": kms.ErrKeyNotFound,
		"InvalidCiphertextException": kms.ErrInvalidWrapped, "IncorrectKeyException": kms.ErrInvalidWrapped,
		"ThrottlingException": kms.ErrThrottled, "KMSInternalException": kms.ErrUnavailable, "DependencyTimeoutException": kms.ErrTimeout,
	} {
		for form, body := range map[string]struct{ header, text string }{
			"type":                     {"", `{"__type":"` + code + `"}`},
			"type, message":            {"", `{"__type":"` + code + `","message":"no"}`},
			"type, Message":            {"", `{"__type":"` + code + `","Message":"no"}`},
			"namespace":                {"", `{"__type":"com.amazonaws.kms#` + code + `","message":"no"}`},
			"type with a URI":          {"", `{"__type":"` + code + `:http://kms.example/","message":"no"}`},
			"code":                     {"", `{"code":"` + code + `","message":"no"}`},
			"header, empty body":       {code, ``},
			"header, empty object":     {code, `{}`},
			"header with a URI":        {code + ":http://kms.example/", `{"message":"no"}`},
			"header with a namespace":  {"com.amazonaws.kms#" + code, `{"message":"no"}`},
			"header and type together": {code, `{"__type":"` + code + `"}`},
		} {
			for _, status := range []int{400, 403, 404, 500} {
				s.mu.Lock()
				s.fail = func(w http.ResponseWriter) {
					if body.header != "" {
						w.Header().Set("X-Amzn-ErrorType", body.header)
					}
					w.WriteHeader(status)
					_, _ = io.WriteString(w, body.text)
				}
				s.mu.Unlock()
				if _, err := w.Unwrap(t.Context(), k.Wrapped, ec); !errors.Is(err, class) {
					t.Errorf("%s, %s, status %d: %v, want %v", code, form, status, err, class)
				}
			}
		}
	}
}

// What is no answer of KMS at all is unavailable: it must not drop keys that serve.
func TestAnswersThatAreNotKMS(t *testing.T) {
	s := &terseKMS{keys: map[string]terseKey{}}
	w := s.serve(t)
	k, err := w.GenerateDataKey(t.Context(), ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, fail := range map[string]func(http.ResponseWriter){
		"empty":        func(http.ResponseWriter) {},
		"empty object": func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{}`) },
		"page":         func(w http.ResponseWriter) { _, _ = io.WriteString(w, `<html>Welcome</html>`) },
		"null":         func(w http.ResponseWriter) { _, _ = io.WriteString(w, `null`) },
		"gateway":      func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"gateway, page": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `<html>`)
		},
		"too many": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
	} {
		t.Run(name, func(t *testing.T) {
			s.mu.Lock()
			s.fail = fail
			s.mu.Unlock()
			if _, err := w.Unwrap(t.Context(), k.Wrapped, ec); !errors.Is(err, kms.ErrUnavailable) {
				t.Errorf("Unwrap: %v", err)
			}
			if _, err := w.GenerateDataKey(t.Context(), ec); !errors.Is(err, kms.ErrUnavailable) {
				t.Errorf("GenerateDataKey: %v", err)
			}
			if _, err := w.Rewrap(t.Context(), k.Wrapped, ec, ec); !errors.Is(err, kms.ErrUnavailable) {
				t.Errorf("Rewrap: %v", err)
			}
		})
	}
}
