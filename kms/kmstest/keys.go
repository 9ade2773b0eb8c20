package kmstest

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// newUUID returns a random UUID: the id of a key or a request.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// State is the state of a key in one Region.
type State string

// The states that matter to whoever uses a key.
const (
	StateEnabled         State = "Enabled"
	StateDisabled        State = "Disabled"
	StatePendingDeletion State = "PendingDeletion"
	StatePendingImport   State = "PendingImport" // its key material was removed
	StateUnavailable     State = "Unavailable"   // its custom key store is disconnected
)

// key is a KMS key with its replicas, which share id and material.
type key struct {
	id       string
	primary  string           // Region
	states   map[string]State // by Region, one for each replica
	material [][]byte         // every version; the last one encrypts
	signing  bool
	created  time.Time
}

type aliasIn struct{ region, name string }

// A KeyOption changes what [Server.CreateKey] makes.
type KeyOption func(*keyPlan)

type keyPlan struct {
	region   string
	aliases  []string
	multi    bool
	replicas []string
	signing  bool
}

// Alias gives the key an alias, such as "alias/app", in each of its Regions.
func Alias(name string) KeyOption {
	return func(p *keyPlan) { p.aliases = append(p.aliases, name) }
}

// InRegion makes the key in a Region other than the server's own.
func InRegion(region string) KeyOption { return func(p *keyPlan) { p.region = region } }

// MultiRegion makes a multi-Region key with replicas in these further Regions.
func MultiRegion(replicas ...string) KeyOption {
	return func(p *keyPlan) { p.multi, p.replicas = true, append(p.replicas, replicas...) }
}

// ForSigning makes a key that cannot encrypt.
func ForSigning() KeyOption { return func(p *keyPlan) { p.signing = true } }

// CreateKey makes an enabled symmetric key and returns its ARN in its (primary)
// Region. An alias that exists is moved to the new key.
func (s *Server) CreateKey(opts ...KeyOption) string {
	p := keyPlan{region: s.region}
	for _, opt := range opts {
		opt(&p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.newKey(p)
	return s.arn(k, k.primary)
}

func (s *Server) newKey(p keyPlan) *key {
	k := &key{id: newUUID(), primary: p.region, signing: p.signing, created: time.Now(), states: map[string]State{p.region: StateEnabled}}
	if p.multi {
		k.id = "mrk-" + strings.ReplaceAll(k.id, "-", "")
	}
	for _, region := range p.replicas {
		k.states[region] = StateEnabled
	}
	k.rotate()
	s.keys[k.id] = k
	for _, name := range p.aliases {
		for region := range k.states {
			s.aliases[aliasIn{region, name}] = k
		}
	}
	return k
}

func (k *key) rotate() {
	m := make([]byte, 32)
	_, _ = rand.Read(m) // never fails
	k.material = append(k.material, m)
}

// RotateKey gives a key new material, as KMS's automatic rotation does: the ARN
// stays, and what was wrapped before still unwraps.
func (s *Server) RotateKey(keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustFind(keyID).rotate()
}

// SetState changes the state of a key: in one Region if keyID is an ARN, else in
// all of its Regions.
func (s *Server) SetState(keyID string, state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.mustFind(keyID)
	a, err := arn.Parse(keyID)
	for region := range k.states {
		if err != nil || a.Region == region {
			k.states[region] = state
		}
	}
}

// SetAlias points an alias to a key, in each of the key's Regions.
func (s *Server) SetAlias(name, keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.mustFind(keyID)
	for region := range k.states {
		s.aliases[aliasIn{region, name}] = k
	}
}

// mustFind is for the test's own calls: a key that is not there is a mistake in
// the test.
func (s *Server) mustFind(keyID string) *key {
	region := s.region
	if a, err := arn.Parse(keyID); err == nil {
		region = a.Region
	}
	k, fail := s.find(region, keyID)
	if fail != nil {
		panic(fmt.Sprintf("kmstest: key %q: %s", keyID, fail.Message))
	}
	return k
}

func (s *Server) arn(k *key, region string) string {
	return "arn:aws:kms:" + region + ":" + s.account + ":key/" + k.id
}

// find resolves what a request may name a key by: key id, key ARN, alias name or
// alias ARN.
func (s *Server) find(region, name string) (*key, *apiError) {
	resource := name
	if strings.HasPrefix(name, "arn:") {
		a, err := arn.Parse(name)
		if err != nil || a.Service != "kms" || a.Region != region {
			return nil, notFound("Invalid arn " + a.Region)
		}
		if a.AccountID != s.account {
			return nil, denied(s.account, "*", name)
		}
		resource = strings.TrimPrefix(a.Resource, "key/")
	}
	if strings.HasPrefix(resource, "alias/") {
		if k := s.aliases[aliasIn{region, resource}]; k != nil {
			return k, nil
		}
		return nil, notFound("Alias arn:aws:kms:" + region + ":" + s.account + ":" + resource + " is not found.")
	}
	k := s.keys[resource]
	if k == nil || k.states[region] == "" {
		if !uuidForm.MatchString(strings.TrimPrefix(resource, "mrk-")) {
			return nil, notFound("Invalid keyId '" + resource + "'")
		}
		return nil, notFound("Key 'arn:aws:kms:" + region + ":" + s.account + ":key/" + resource + "' does not exist")
	}
	return k, nil
}

// usable resolves a key for a cryptographic operation and checks its state.
func (s *Server) usable(region, name string) (*key, *apiError) {
	k, fail := s.find(region, name)
	if fail != nil {
		return nil, fail
	}
	return k, s.checkState(k, region)
}

func (s *Server) checkState(k *key, region string) *apiError {
	id := s.arn(k, region)
	switch k.states[region] {
	case StateDisabled:
		return &apiError{Code: "DisabledException", Message: id + " is disabled."}
	case StatePendingDeletion:
		return &apiError{Code: "KMSInvalidStateException", Message: id + " is pending deletion."}
	case StatePendingImport:
		return &apiError{Code: "KMSInvalidStateException", Message: id + " is pending import."}
	case StateUnavailable:
		return &apiError{Code: "KMSInvalidStateException", Message: id + " is unavailable."}
	}
	if k.signing {
		return &apiError{Code: "InvalidKeyUsageException", Message: id + " key usage is SIGN_VERIFY which is not valid for this operation."}
	}
	return nil
}

// aliasNames returns the sorted alias names of a Region.
func (s *Server) aliasNames(region string) []string {
	var names []string
	for a := range s.aliases {
		if a.region == region {
			names = append(names, a.name)
		}
	}
	slices.Sort(names)
	return names
}
