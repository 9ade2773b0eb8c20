package kmstest

import (
	"crypto/rand"
	"strings"
)

// call is one request: what is known of it before and after it is handled.
type call struct {
	op     string
	region string
	in     request
	key    string // ARN of the key that was used, for the audit list
	source string // ReEncrypt: ARN of the source key
}

// request holds the parameters of every operation.
type request struct {
	KeyId, SourceKeyId, DestinationKeyId string //nolint:revive // as on the wire
	TargetKeyId, AliasName               string
	KeySpec, KeyUsage                    string
	NumberOfBytes                        *int
	MultiRegion                          bool
	ReplicaRegion                        string
	Plaintext, CiphertextBlob            []byte
	EncryptionContext                    map[string]string
	SourceEncryptionContext              map[string]string
	DestinationEncryptionContext         map[string]string
}

// context returns the encryption context that CloudTrail would record.
func (r *request) context() map[string]string {
	if r.DestinationEncryptionContext != nil {
		return r.DestinationEncryptionContext
	}
	return r.EncryptionContext
}

type object = map[string]any

// operations are the handlers by operation. Each is called with Server.mu held.
var operations = map[string]func(*Server, *call) (any, *apiError){
	"GenerateDataKey":                 (*Server).generateDataKey,
	"GenerateDataKeyWithoutPlaintext": (*Server).generateDataKey,
	"Encrypt":                         (*Server).encrypt,
	"Decrypt":                         (*Server).decrypt,
	"ReEncrypt":                       (*Server).reEncrypt,
	"DescribeKey":                     (*Server).describeKey,
	"CreateKey":                       (*Server).createKey,
	"ReplicateKey":                    (*Server).replicateKey,
	"EnableKey":                       (*Server).changeState,
	"DisableKey":                      (*Server).changeState,
	"ScheduleKeyDeletion":             (*Server).changeState,
	"CancelKeyDeletion":               (*Server).changeState,
	"CreateAlias":                     (*Server).createAlias,
	"UpdateAlias":                     (*Server).updateAlias,
	"DeleteAlias":                     (*Server).deleteAlias,
	"ListAliases":                     (*Server).listAliases,
}

func (s *Server) generateDataKey(c *call) (any, *apiError) {
	n := 0
	switch {
	case (c.in.KeySpec == "") == (c.in.NumberOfBytes == nil):
		return nil, validation("Please specify either number of bytes or key spec.")
	case c.in.KeySpec == "AES_256":
		n = 32
	case c.in.KeySpec == "AES_128":
		n = 16
	case c.in.KeySpec != "":
		return nil, validation("1 validation error detected: Value at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]")
	default:
		n = *c.in.NumberOfBytes
	}
	if n < 1 || n > 1024 {
		return nil, validation("1 validation error detected: Value at 'numberOfBytes' failed to satisfy constraint: Member must have value between 1 and 1024")
	}
	k, fail := s.usable(c.region, c.in.KeyId)
	if fail != nil {
		return nil, fail
	}
	c.key = s.arn(k, c.region)
	plaintext := make([]byte, n)
	_, _ = rand.Read(plaintext) // never fails
	out := object{"KeyId": c.key, "CiphertextBlob": seal(k, plaintext, c.in.EncryptionContext)}
	if c.op == "GenerateDataKey" {
		out["Plaintext"] = plaintext
	}
	return out, nil
}

func (s *Server) encrypt(c *call) (any, *apiError) {
	if len(c.in.Plaintext) < 1 || len(c.in.Plaintext) > 4096 {
		return nil, validation("1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length between 1 and 4096")
	}
	k, fail := s.usable(c.region, c.in.KeyId)
	if fail != nil {
		return nil, fail
	}
	c.key = s.arn(k, c.region)
	return object{"KeyId": c.key, "CiphertextBlob": seal(k, c.in.Plaintext, c.in.EncryptionContext), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

func (s *Server) decrypt(c *call) (any, *apiError) {
	k, plaintext, fail := s.openBlob(c, c.in.KeyId, c.in.EncryptionContext)
	if k != nil {
		c.key = s.arn(k, c.region)
	}
	if fail != nil {
		return nil, fail
	}
	return object{"KeyId": c.key, "Plaintext": plaintext, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

// openBlob opens the request's ciphertext with the key that it names, which must
// be the one that the caller expects, if it says so. The key is returned with a
// failure when it is known.
func (s *Server) openBlob(c *call, expected string, ec map[string]string) (*key, []byte, *apiError) {
	if n := len(c.in.CiphertextBlob); n < 1 || n > 6144 {
		return nil, nil, validation("1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length between 1 and 6144")
	}
	var want *key
	if expected != "" {
		k, fail := s.usable(c.region, expected)
		if fail != nil {
			return k, nil, fail
		}
		want = k
	}
	id := sealedBy(c.in.CiphertextBlob)
	if id == "" {
		return want, nil, errCiphertext
	}
	k := s.keys[id]
	switch {
	case want != nil && k != want:
		return want, nil, errIncorrectKey
	case k == nil || k.states[c.region] == "":
		return nil, nil, errUnknownSource
	}
	if fail := s.checkState(k, c.region); fail != nil {
		return k, nil, fail
	}
	plaintext, fail := open(k, c.in.CiphertextBlob, ec)
	return k, plaintext, fail
}

func (s *Server) reEncrypt(c *call) (any, *apiError) {
	source, plaintext, fail := s.openBlob(c, c.in.SourceKeyId, c.in.SourceEncryptionContext)
	if source != nil {
		c.source = s.arn(source, c.region)
	}
	if fail != nil {
		return nil, fail
	}
	k, fail := s.usable(c.region, c.in.DestinationKeyId)
	if fail != nil {
		return nil, fail
	}
	c.key = s.arn(k, c.region)
	return object{
		"CiphertextBlob": seal(k, plaintext, c.in.DestinationEncryptionContext),
		"KeyId":          c.key, "SourceKeyId": c.source,
		"SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT", "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
	}, nil
}

func (s *Server) describeKey(c *call) (any, *apiError) {
	k, fail := s.find(c.region, c.in.KeyId)
	if fail != nil {
		return nil, fail
	}
	c.key = s.arn(k, c.region)
	return object{"KeyMetadata": s.metadata(k, c.region)}, nil
}

func (s *Server) metadata(k *key, region string) object {
	usage, spec := "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"
	if k.signing {
		usage, spec = "SIGN_VERIFY", "ECC_NIST_P256"
	}
	return object{
		"AWSAccountId": s.account, "KeyId": k.id, "Arn": s.arn(k, region), "CreationDate": k.created.Unix(),
		"Enabled": k.states[region] == StateEnabled, "KeyState": k.states[region], "KeyUsage": usage, "KeySpec": spec,
		"KeyManager": "CUSTOMER", "Origin": "AWS_KMS", "MultiRegion": strings.HasPrefix(k.id, "mrk-"),
	}
}

func (s *Server) createKey(c *call) (any, *apiError) {
	signing := c.in.KeyUsage != "" && c.in.KeyUsage != "ENCRYPT_DECRYPT"
	k := s.newKey(keyPlan{region: c.region, multi: c.in.MultiRegion, signing: signing})
	c.key = s.arn(k, c.region)
	return object{"KeyMetadata": s.metadata(k, c.region)}, nil
}

func (s *Server) replicateKey(c *call) (any, *apiError) {
	k, fail := s.find(c.region, c.in.KeyId)
	if fail != nil {
		return nil, fail
	}
	c.key = s.arn(k, c.region)
	if !strings.HasPrefix(k.id, "mrk-") || c.in.ReplicaRegion == "" {
		return nil, &apiError{Code: "UnsupportedOperationException", Message: c.key + " is not a multi-Region primary key."}
	}
	if k.states[c.in.ReplicaRegion] != "" {
		return nil, &apiError{Code: "AlreadyExistsException", Message: s.arn(k, c.in.ReplicaRegion) + " already exists."}
	}
	k.states[c.in.ReplicaRegion] = StateEnabled
	return object{"ReplicaKeyMetadata": s.metadata(k, c.in.ReplicaRegion)}, nil
}

// changeState serves EnableKey, DisableKey, ScheduleKeyDeletion and
// CancelKeyDeletion.
func (s *Server) changeState(c *call) (any, *apiError) {
	k, fail := s.find(c.region, c.in.KeyId)
	if fail != nil {
		return nil, fail
	}
	c.key = s.arn(k, c.region)
	pending := k.states[c.region] == StatePendingDeletion
	if pending != (c.op == "CancelKeyDeletion") {
		word := " is pending deletion."
		if !pending {
			word = " is not pending deletion."
		}
		return nil, &apiError{Code: "KMSInvalidStateException", Message: c.key + word}
	}
	k.states[c.region] = map[string]State{
		"EnableKey": StateEnabled, "DisableKey": StateDisabled, "ScheduleKeyDeletion": StatePendingDeletion, "CancelKeyDeletion": StateDisabled,
	}[c.op]
	if strings.Contains(c.op, "Deletion") {
		return object{"KeyId": c.key, "KeyState": k.states[c.region]}, nil
	}
	return object{}, nil
}

func (s *Server) createAlias(c *call) (any, *apiError) {
	name := aliasIn{c.region, c.in.AliasName}
	if !strings.HasPrefix(name.name, "alias/") {
		return nil, validation("Invalid identifier")
	}
	if s.aliases[name] != nil {
		return nil, &apiError{Code: "AlreadyExistsException", Message: "An alias with the name " + s.aliasARN(name) + " already exists"}
	}
	return s.pointAlias(c, name)
}

func (s *Server) updateAlias(c *call) (any, *apiError) {
	name := aliasIn{c.region, c.in.AliasName}
	if s.aliases[name] == nil {
		return nil, notFound("Alias " + s.aliasARN(name) + " is not found.")
	}
	return s.pointAlias(c, name)
}

func (s *Server) pointAlias(c *call, name aliasIn) (any, *apiError) {
	k, fail := s.find(c.region, c.in.TargetKeyId)
	if fail != nil {
		return nil, fail
	}
	c.key = s.arn(k, c.region)
	s.aliases[name] = k
	return object{}, nil
}

func (s *Server) deleteAlias(c *call) (any, *apiError) {
	name := aliasIn{c.region, c.in.AliasName}
	if s.aliases[name] == nil {
		return nil, notFound("Alias " + s.aliasARN(name) + " is not found.")
	}
	delete(s.aliases, name)
	return object{}, nil
}

func (s *Server) listAliases(c *call) (any, *apiError) {
	list := []object{}
	for _, name := range s.aliasNames(c.region) {
		a := aliasIn{c.region, name}
		list = append(list, object{"AliasName": name, "AliasArn": s.aliasARN(a), "TargetKeyId": s.aliases[a].id})
	}
	return object{"Aliases": list, "Truncated": false}, nil
}

func (s *Server) aliasARN(a aliasIn) string {
	return "arn:aws:kms:" + a.region + ":" + s.account + ":" + a.name
}
