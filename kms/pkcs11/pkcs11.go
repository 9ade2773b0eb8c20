//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

const (
	// DefaultTimeout bounds each operation, with the time that it waits for a session.
	DefaultTimeout = 3 * time.Second
	// DefaultSessions is how many operations run at once.
	DefaultSessions = 4

	nonceSize = 12
	tagBits   = 128
)

// Config names a key of a token.
type Config struct {
	// Module is the path of the PKCS#11 module, a shared library. Required.
	Module string
	// Token is the label of the token. Required.
	Token string
	// PIN returns the PIN of the token's user, when the program logs in. Required.
	PIN func() (string, error)
	// Key is the label of the AES key. Required.
	Key string
	// ID is the CKA_ID of the key that wraps. Keys with the same label and other ids still unwrap.
	// If nil, the label must have one key.
	ID []byte
	// Sessions is how many operations run at once. If zero, DefaultSessions.
	Sessions int
	// Timeout bounds each operation. A module that hangs keeps its session until it answers. If
	// zero, DefaultTimeout.
	Timeout time.Duration
}

func init() { kms.Register("pkcs11", openURL) }

// A Wrapper is a [kms.Wrapper] on a token.
type Wrapper struct {
	*envelope.Wrapper
	service *service
}

// Close logs out and ends the sessions. It waits for operations that run.
func (w *Wrapper) Close() { w.service.close() }

// Open loads the module, logs in and finds the key.
func Open(cfg Config) (*Wrapper, error) {
	switch {
	case cfg.Module == "":
		return nil, errors.New("pkcs11: Config.Module is not set")
	case cfg.Token == "" || cfg.Key == "":
		return nil, errors.New("pkcs11: Config.Token or Config.Key is not set")
	case cfg.PIN == nil:
		return nil, errors.New("pkcs11: Config.PIN is not set")
	}
	if cfg.Sessions <= 0 {
		cfg.Sessions = DefaultSessions
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	m, err := load(cfg.Module)
	if err != nil {
		return nil, err
	}
	s := &service{cfg: cfg, module: m, handles: map[string]pkcs11.ObjectHandle{}, sessions: make(chan pkcs11.SessionHandle, cfg.Sessions)}
	if err := s.open(); err != nil {
		s.close()
		return nil, fmt.Errorf("pkcs11: token %q: %w", cfg.Token, err)
	}
	return &Wrapper{envelope.New(s, envelope.Config{Domain: "colseal pkcs11 v1", Timeout: cfg.Timeout, MaxBlob: nonceSize + kms.DataKeySize + tagBits/8}), s}, nil
}

// openURL opens a PKCS #11 URI (RFC 7512),
// pkcs11:token=T;object=K;id=%01?module-path=/PATH&pin-source=/PATH. Without pin-source, the PIN is
// that of PKCS11_PIN.
func openURL(_ context.Context, u *url.URL) (kms.Wrapper, error) {
	cfg := Config{PIN: func() (string, error) {
		if pin := os.Getenv("PKCS11_PIN"); pin != "" {
			return pin, nil
		}
		return "", errors.New("neither pin-source nor PKCS11_PIN is set")
	}}
	for attribute := range strings.SplitSeq(u.Opaque, ";") {
		name, value, _ := strings.Cut(attribute, "=")
		value, err := url.PathUnescape(value)
		switch {
		case err != nil:
			return nil, errors.New("pkcs11: the URI cannot be parsed")
		case name == "token":
			cfg.Token = value
		case name == "object":
			cfg.Key = value
		case name == "id":
			cfg.ID = []byte(value)
		case name != "type" || value != "secret-key":
			return nil, fmt.Errorf("pkcs11: the URI has an attribute %q; known are token, object, id and type=secret-key", name)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("pkcs11: the URI's parameters cannot be parsed")
	}
	for name, values := range query {
		switch name {
		case "module-path":
			cfg.Module = values[0]
		case "pin-source":
			path := strings.TrimPrefix(values[0], "file:")
			cfg.PIN = func() (string, error) {
				b, err := os.ReadFile(path)
				return strings.TrimRight(string(b), "\r\n"), err
			}
		default:
			return nil, fmt.Errorf("pkcs11: the URI has a parameter %q; known are module-path and pin-source", name)
		}
	}
	w, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// modules are the loaded modules: a process may initialize each only once. They stay loaded.
var modules struct {
	mu     sync.Mutex // guards loaded
	loaded map[string]module
}

func load(path string) (module, error) {
	modules.mu.Lock()
	defer modules.mu.Unlock()
	if m := modules.loaded[path]; m != nil {
		return m, nil
	}
	m := pkcs11.New(path)
	if m == nil {
		return nil, fmt.Errorf("pkcs11: %s cannot be loaded as a PKCS#11 module", path)
	}
	if err := m.Initialize(); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return nil, fmt.Errorf("pkcs11: %s cannot be initialized: %w", path, err)
	}
	if modules.loaded == nil {
		modules.loaded = map[string]module{}
	}
	modules.loaded[path] = m
	return m, nil
}

// module is what is used of [pkcs11.Ctx].
type module interface {
	GetSlotList(tokenPresent bool) ([]uint, error)
	GetTokenInfo(slot uint) (pkcs11.TokenInfo, error)
	OpenSession(slot, flags uint) (pkcs11.SessionHandle, error)
	CloseSession(pkcs11.SessionHandle) error
	Login(sh pkcs11.SessionHandle, user uint, pin string) error
	FindObjectsInit(pkcs11.SessionHandle, []*pkcs11.Attribute) error
	FindObjects(pkcs11.SessionHandle, int) ([]pkcs11.ObjectHandle, bool, error)
	FindObjectsFinal(pkcs11.SessionHandle) error
	GetAttributeValue(pkcs11.SessionHandle, pkcs11.ObjectHandle, []*pkcs11.Attribute) ([]*pkcs11.Attribute, error)
	EncryptInit(pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	Encrypt(pkcs11.SessionHandle, []byte) ([]byte, error)
	DecryptInit(pkcs11.SessionHandle, []*pkcs11.Mechanism, pkcs11.ObjectHandle) error
	Decrypt(pkcs11.SessionHandle, []byte) ([]byte, error)
}

type service struct {
	cfg      Config
	module   module
	slot     uint
	login    pkcs11.SessionHandle // keeps the user logged in
	sessions chan pkcs11.SessionHandle
	opened   int // sessions made; all come back before close returns

	mu      sync.Mutex // guards handles
	handles map[string]pkcs11.ObjectHandle
}

func (s *service) open() error {
	slots, err := s.module.GetSlotList(true)
	if err != nil {
		return err
	}
	found := false
	for _, slot := range slots {
		info, err := s.module.GetTokenInfo(slot)
		if err == nil && strings.TrimRight(info.Label, " \x00") == s.cfg.Token {
			if found {
				return errors.New("two tokens have this label")
			}
			s.slot, found = slot, true
		}
	}
	if !found {
		return errors.New("it is in no slot")
	}
	if s.login, err = s.module.OpenSession(s.slot, pkcs11.CKF_SERIAL_SESSION); err != nil {
		return err
	}
	s.opened++
	if err := s.logIn(); err != nil {
		return err
	}
	for range s.cfg.Sessions {
		session, err := s.module.OpenSession(s.slot, pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			return err
		}
		s.sessions <- session
		s.opened++
	}
	if s.cfg.ID == nil {
		if s.cfg.ID, err = s.onlyID(); err != nil {
			return err
		}
	}
	_, err = s.find(s.login, s.cfg.ID)
	return err
}

func (s *service) logIn() error {
	pin, err := s.cfg.PIN()
	if err != nil {
		return fmt.Errorf("there is no PIN: %w", err)
	}
	err = s.module.Login(s.login, pkcs11.CKU_USER, pin)
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
		return nil
	}
	return err
}

func (s *service) close() {
	for range s.opened - 1 {
		_ = s.module.CloseSession(<-s.sessions)
	}
	if s.opened > 0 {
		_ = s.module.CloseSession(s.login)
	}
	s.opened = 0
}

// template matches the key of an id, or all keys of the label.
func (s *service) template(id []byte) []*pkcs11.Attribute {
	t := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES), pkcs11.NewAttribute(pkcs11.CKA_LABEL, s.cfg.Key)}
	if id != nil {
		t = append(t, pkcs11.NewAttribute(pkcs11.CKA_ID, id))
	}
	return t
}

func (s *service) objects(session pkcs11.SessionHandle, id []byte) ([]pkcs11.ObjectHandle, error) {
	if err := s.module.FindObjectsInit(session, s.template(id)); err != nil {
		return nil, err
	}
	found, _, err := s.module.FindObjects(session, 2)
	if end := s.module.FindObjectsFinal(session); err == nil {
		err = end
	}
	return found, err
}

func (s *service) onlyID() ([]byte, error) {
	found, err := s.objects(s.login, nil)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("not one AES key has the label %q; name the id of the one that wraps", s.cfg.Key)
	}
	got, err := s.module.GetAttributeValue(s.login, found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, nil)})
	if err != nil || len(got) != 1 || len(got[0].Value) == 0 {
		return nil, fmt.Errorf("the key %q has no id", s.cfg.Key)
	}
	return bytes.Clone(got[0].Value), nil
}

// find returns the key of an id.
func (s *service) find(session pkcs11.SessionHandle, id []byte) (pkcs11.ObjectHandle, error) {
	s.mu.Lock()
	handle, ok := s.handles[string(id)]
	s.mu.Unlock()
	if ok {
		return handle, nil
	}
	found, err := s.objects(session, id)
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, &kms.Error{Class: kms.ErrKeyNotFound, Reason: fmt.Sprintf("%d AES keys have this label and id", len(found)), Hint: "check the label and the id, or restore the key from the HSM's backup"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handles[string(id)] = found[0]
	return found[0], nil
}

func (s *service) name() string {
	return "pkcs11:token=" + url.PathEscape(s.cfg.Token) + ";object=" + url.PathEscape(s.cfg.Key)
}

// KeyID implements [envelope.Service].
func (s *service) KeyID() string { return s.name() + ";id=" + hex.EncodeToString(s.cfg.ID) }

// Matches implements [envelope.Service].
func (s *service) Matches(w kms.Wrapped) bool { return s.id(w.KeyID) != nil }

// id returns the CKA_ID in a key id; nil if that is of another key.
func (s *service) id(keyID string) []byte {
	text, ok := strings.CutPrefix(keyID, s.name()+";id=")
	id, err := hex.DecodeString(text)
	if !ok || err != nil || len(id) == 0 || hex.EncodeToString(id) != text {
		return nil
	}
	return id
}

// Check implements [envelope.Service].
func (s *service) Check(ctx context.Context) error {
	_, err := s.use(ctx, s.cfg.ID, nil, func(session pkcs11.SessionHandle, key pkcs11.ObjectHandle) ([]byte, error) {
		got, err := s.module.GetAttributeValue(session, key, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, nil), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, nil)})
		for _, a := range got {
			if len(a.Value) != 1 || a.Value[0] == 0 {
				return nil, &kms.Error{Class: kms.ErrKeyDisabled, Hint: "allow the key to encrypt and decrypt"}
			}
		}
		return nil, err
	}, kms.ErrDenied)
	return err
}

// Encrypt implements [envelope.Service].
func (s *service) Encrypt(ctx context.Context, plaintext, aad []byte) (kms.Wrapped, error) {
	plaintext = bytes.Clone(plaintext) // the module may go on after the caller has given up
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	sealed, err := s.use(ctx, s.cfg.ID, plaintext, func(session pkcs11.SessionHandle, key pkcs11.ObjectHandle) ([]byte, error) {
		params := pkcs11.NewGCMParams(nonce, aad, tagBits)
		defer params.Free()
		if err := s.module.EncryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
			return nil, err
		}
		return s.module.Encrypt(session, plaintext)
	}, kms.ErrDenied)
	if err != nil {
		return kms.Wrapped{}, err
	}
	return kms.Wrapped{KeyID: s.KeyID(), Blob: append(nonce, sealed...)}, nil
}

// Decrypt implements [envelope.Service].
func (s *service) Decrypt(ctx context.Context, w kms.Wrapped, aad []byte) ([]byte, error) {
	if len(w.Blob) != nonceSize+kms.DataKeySize+tagBits/8 {
		return nil, &kms.Error{Class: kms.ErrInvalidWrapped, Reason: fmt.Sprintf("it has %d bytes", len(w.Blob))}
	}
	blob := bytes.Clone(w.Blob)
	return s.use(ctx, s.id(w.KeyID), nil, func(session pkcs11.SessionHandle, key pkcs11.ObjectHandle) ([]byte, error) {
		params := pkcs11.NewGCMParams(blob[:nonceSize], aad, tagBits)
		defer params.Free()
		if err := s.module.DecryptInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
			return nil, err
		}
		plaintext, err := s.module.Decrypt(session, blob[nonceSize:])
		if errors.Is(err, pkcs11.Error(pkcs11.CKR_GENERAL_ERROR)) && s.works(session, key) {
			// What modules say of a tag that is wrong is not the same everywhere.
			err = pkcs11.Error(pkcs11.CKR_ENCRYPTED_DATA_INVALID)
		}
		return plaintext, err
	}, kms.ErrInvalidWrapped)
}

// works reports whether the token decrypts what it encrypts.
func (s *service) works(session pkcs11.SessionHandle, key pkcs11.ObjectHandle) bool {
	text, nonce := make([]byte, kms.DataKeySize), make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	params := pkcs11.NewGCMParams(nonce, nil, tagBits)
	defer params.Free()
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}
	if s.module.EncryptInit(session, mechanism, key) != nil {
		return false
	}
	sealed, err := s.module.Encrypt(session, text)
	if err != nil || s.module.DecryptInit(session, mechanism, key) != nil {
		return false
	}
	opened, err := s.module.Decrypt(session, sealed)
	return err == nil && bytes.Equal(opened, text)
}

// use runs an operation in a session. It waits for a module only as long as its context allows. The
// session comes back when the module answers. secret, which the operation works on, is wiped then
// and not by the operation, which may run twice.
func (s *service) use(ctx context.Context, id, secret []byte, do func(pkcs11.SessionHandle, pkcs11.ObjectHandle) ([]byte, error), bad error) ([]byte, error) {
	var session pkcs11.SessionHandle
	select {
	case session = <-s.sessions:
	case <-ctx.Done():
		clear(secret)
		return nil, ctx.Err()
	}
	type answer struct {
		result []byte
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		result, err := s.attempt(session, id, do)
		clear(secret)
		s.sessions <- session
		done <- answer{result, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			clear(a.result)
			return nil, refused(a.err, bad)
		}
		return a.result, nil
	case <-ctx.Done():
		go func() { clear((<-done).result) }()
		return nil, ctx.Err()
	}
}

// attempt runs an operation. If it fails, attempt logs in, finds the key again and runs it once
// more: a user who is logged out sees no private keys, and a handle may be stale.
func (s *service) attempt(session pkcs11.SessionHandle, id []byte, do func(pkcs11.SessionHandle, pkcs11.ObjectHandle) ([]byte, error)) ([]byte, error) {
	for last := false; ; last = true {
		key, err := s.find(session, id)
		var result []byte
		if err == nil {
			result, err = do(session, key)
		}
		var code pkcs11.Error
		switch {
		case err == nil || last:
			return result, err
		case errors.As(err, &code):
			if code != pkcs11.CKR_USER_NOT_LOGGED_IN && code != pkcs11.CKR_KEY_HANDLE_INVALID && code != pkcs11.CKR_OBJECT_HANDLE_INVALID {
				return result, err
			}
		case !errors.Is(err, kms.ErrKeyNotFound):
			return result, err
		}
		if err := s.logIn(); err != nil {
			return nil, err
		}
		s.mu.Lock()
		delete(s.handles, string(id))
		s.mu.Unlock()
	}
}

// refused sorts the errors of the module; bad is the class of data that it could not use.
func refused(err, bad error) error {
	var own *kms.Error
	if errors.As(err, &own) {
		return own
	}
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return &kms.Error{Class: kms.ErrUnavailable, Reason: fmt.Sprintf("the module failed with an error of type %T", err), Hint: "check Config.PIN"}
	}
	e := &kms.Error{Class: kms.ErrUnavailable, Reason: code.Error()}
	switch code {
	case pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED:
		e.Class, e.Hint = kms.ErrKeyDisabled, "allow the key to encrypt and decrypt"
	case pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID:
		e.Class = kms.ErrKeyNotFound
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_ACTION_PROHIBITED:
		e.Class, e.Hint = kms.ErrDenied, "use a token and a key that support CKM_AES_GCM"
	case pkcs11.CKR_ENCRYPTED_DATA_INVALID, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE, pkcs11.CKR_DATA_INVALID, pkcs11.CKR_DATA_LEN_RANGE:
		e.Class = bad
	case pkcs11.CKR_PIN_LOCKED:
		e.Class, e.Hint = kms.ErrDenied, "have the token's security officer set a new PIN"
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_USER_NOT_LOGGED_IN:
		e.Hint = "check the PIN of this program"
	default:
		e.Hint = "check that the HSM is there"
	}
	return e
}
