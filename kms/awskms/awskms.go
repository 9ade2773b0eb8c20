// Package awskms wraps data keys with AWS KMS, on the official SDK.
//
// GenerateDataKey makes a data key, Decrypt unwraps it, ReEncrypt moves it to
// another KMS key without its plaintext leaving KMS. The encryption context goes
// with every call. Nothing is cached here, and no plaintext key is kept, logged
// or put into an error; the SDK's logging of bodies (aws.LogRequestWithBody,
// aws.LogResponseWithBody) is switched off for the calls that carry a key.
// What cannot be helped is that the SDK reads answers into pooled buffers, which
// hold a key in base64 until they are used again.
//
// The caller's role needs kms:GenerateDataKey and kms:Decrypt on the key;
// kms:ReEncryptFrom and kms:ReEncryptTo to rewrap; kms:DescribeKey for Check;
// kms:Encrypt for Wrap, which only [kms.Multi] calls.
//
// # Which key is asked for
//
// New data keys are wrapped under the key that New was given: a key id, a key
// ARN, an alias name ("alias/app") or an alias ARN. What is stored beside the
// wrapped key is the ARN of the key that KMS says it used, never the alias: an
// alias may point to another key tomorrow, and the data keys of today must still
// be unwrapped with the key that wrapped them. Unwrap names that ARN to KMS, so
// that a ciphertext made under any other key is refused there.
//
// A multi-Region key (its id begins with "mrk-") has the same key material in
// each of its Regions. When the stored ARN names a replica in another Region than
// the client's, its ARN in the client's Region is asked for instead, so a
// database that is replicated or restored elsewhere opens there.
//
// The stored ARN comes from the database. Someone who can write there could name
// a KMS key of their own; the role's IAM policy should therefore name the keys it
// may use, and [WithTrustedKeys] refuses others before KMS is asked.
package awskms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/envelope"
)

// DefaultTimeout bounds each call, the SDK's retries included, unless
// [WithTimeout] says otherwise.
const DefaultTimeout = 10 * time.Second

// maxBlob is the longest CiphertextBlob, in bytes, that KMS accepts.
const maxBlob = 6144

// Client is what is used of the SDK's *kms.Client. An implementation must be safe
// for concurrent use, as the SDK's is.
type Client interface {
	GenerateDataKey(context.Context, *awskms.GenerateDataKeyInput, ...func(*awskms.Options)) (*awskms.GenerateDataKeyOutput, error)
	Decrypt(context.Context, *awskms.DecryptInput, ...func(*awskms.Options)) (*awskms.DecryptOutput, error)
	ReEncrypt(context.Context, *awskms.ReEncryptInput, ...func(*awskms.Options)) (*awskms.ReEncryptOutput, error)
	DescribeKey(context.Context, *awskms.DescribeKeyInput, ...func(*awskms.Options)) (*awskms.DescribeKeyOutput, error)
}

// Encrypter is what Wrap uses besides, if the client has it.
type Encrypter interface {
	Encrypt(context.Context, *awskms.EncryptInput, ...func(*awskms.Options)) (*awskms.EncryptOutput, error)
}

// Wrapper is a [kms.Wrapper] and a [kms.Checker] on AWS KMS. It is made by [New]
// and safe for concurrent use.
type Wrapper struct {
	client      Client
	keyID       string // as given, for people; see localize for what is sent
	region      string // the client's Region, "" when it is not known
	grantTokens []string
	trusted     []string
	timeout     time.Duration
}

var (
	_ kms.Importer = (*Wrapper)(nil)
	_ kms.Checker  = (*Wrapper)(nil)
	_ kms.Matcher  = (*Wrapper)(nil)
	_ kms.Truster  = (*Wrapper)(nil)
	_ Client       = (*awskms.Client)(nil)
	_ Encrypter    = (*awskms.Client)(nil)
)

// New returns a Wrapper that wraps new data keys under keyID: a key id, a key
// ARN, an alias name ("alias/app") or an alias ARN. It makes no call; use
// [Wrapper.Check] to learn at start-up whether the key can be used.
func New(client Client, keyID string, opts ...Option) *Wrapper {
	w := &Wrapper{client: client, keyID: keyID, timeout: DefaultTimeout}
	if c, ok := client.(interface{ Options() awskms.Options }); ok {
		w.region = c.Options().Region
	}
	for _, opt := range opts {
		opt(w)
	}
	return w
}

// GenerateDataKey implements [kms.Wrapper] by GenerateDataKey (AES_256).
func (w *Wrapper) GenerateDataKey(ctx context.Context, ec kms.EncryptionContext) (kms.DataKey, error) {
	op := operation{name: "generate data key", keyID: w.keyID, action: "kms:GenerateDataKey"}
	cctx, cancel, err := w.begin(ctx, op)
	if err != nil {
		return kms.DataKey{}, err
	}
	defer cancel()
	out, err := w.client.GenerateDataKey(cctx, &awskms.GenerateDataKeyInput{
		KeyId:             aws.String(w.localize(w.keyID)),
		KeySpec:           types.DataKeySpecAes256,
		EncryptionContext: ec,
		GrantTokens:       w.grantTokens,
	}, withoutBodyLog)
	if err != nil {
		return kms.DataKey{}, w.classify(ctx, op, err)
	}
	if len(out.Plaintext) != kms.DataKeySize || aws.ToString(out.KeyId) == "" || len(out.CiphertextBlob) == 0 {
		clear(out.Plaintext)
		return kms.DataKey{}, op.notKMS(fmt.Sprintf("the answer holds a plaintext of %d bytes (%d are right), a wrapped key of %d bytes and key id %q",
			len(out.Plaintext), kms.DataKeySize, len(out.CiphertextBlob), aws.ToString(out.KeyId)))
	}
	if !w.trusts(*out.KeyId) {
		clear(out.Plaintext)
		return kms.DataKey{}, op.distrusted(*out.KeyId)
	}
	return kms.DataKey{
		Plaintext: out.Plaintext,
		Wrapped:   kms.Wrapped{KeyID: *out.KeyId, Blob: out.CiphertextBlob},
	}, nil
}

// Unwrap implements [kms.Wrapper] by Decrypt with the KeyId that is stored in
// wrapped.
func (w *Wrapper) Unwrap(ctx context.Context, wrapped kms.Wrapped, ec kms.EncryptionContext) ([]byte, error) {
	op := operation{name: "unwrap data key", keyID: wrapped.KeyID, action: "kms:Decrypt"}
	if err := w.admit(op, wrapped); err != nil {
		return nil, err
	}
	cctx, cancel, err := w.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	out, err := w.client.Decrypt(cctx, &awskms.DecryptInput{
		CiphertextBlob:    wrapped.Blob,
		KeyId:             aws.String(w.localize(wrapped.KeyID)),
		EncryptionContext: ec,
		GrantTokens:       w.grantTokens,
	}, withoutBodyLog)
	if err != nil {
		return nil, w.classify(ctx, op, err)
	}
	if len(out.Plaintext) == 0 {
		return nil, op.notKMS("the answer holds no plaintext")
	}
	if len(out.Plaintext) != kms.DataKeySize {
		n := len(out.Plaintext)
		clear(out.Plaintext)
		return nil, op.fail(kms.ErrInvalidWrapped, nil, fmt.Sprintf("it holds %d bytes, a data key has %d", n, kms.DataKeySize),
			"this ciphertext was not made as a data key of Colseal; restore the row of the key table")
	}
	return out.Plaintext, nil
}

// Wrap implements [kms.Importer] by Encrypt, for keys that are wrapped under several KEKs.
// The client must have that method, as the SDK's has.
func (w *Wrapper) Wrap(ctx context.Context, plaintext []byte, ec kms.EncryptionContext) (kms.Wrapped, error) {
	op := operation{name: "wrap data key", keyID: w.keyID, action: "kms:Encrypt"}
	client, ok := w.client.(Encrypter)
	if !ok {
		return kms.Wrapped{}, op.fail(kms.ErrDenied, nil, "the client has no method Encrypt", "give awskms.New the SDK's client, or one that has it")
	}
	if len(plaintext) != kms.DataKeySize {
		return kms.Wrapped{}, op.fail(kms.ErrDenied, nil, fmt.Sprintf("%d bytes are no data key", len(plaintext)), "")
	}
	cctx, cancel, err := w.begin(ctx, op)
	if err != nil {
		return kms.Wrapped{}, err
	}
	defer cancel()
	out, err := client.Encrypt(cctx, &awskms.EncryptInput{
		KeyId:             aws.String(w.localize(w.keyID)),
		Plaintext:         plaintext,
		EncryptionContext: ec,
		GrantTokens:       w.grantTokens,
	}, withoutBodyLog)
	if err != nil {
		return kms.Wrapped{}, w.classify(ctx, op, err)
	}
	return w.wrapped(op, out.KeyId, out.CiphertextBlob)
}

// wrapped returns a wrapped key as KMS answered it.
func (w *Wrapper) wrapped(op operation, keyID *string, blob []byte) (kms.Wrapped, error) {
	if aws.ToString(keyID) == "" || len(blob) == 0 {
		return kms.Wrapped{}, op.notKMS(fmt.Sprintf("the answer holds a wrapped key of %d bytes and key id %q", len(blob), aws.ToString(keyID)))
	}
	if !w.trusts(*keyID) {
		return kms.Wrapped{}, op.distrusted(*keyID)
	}
	return kms.Wrapped{KeyID: *keyID, Blob: blob}, nil
}

// distrusted refuses an answer under a key that is not trusted: an alias was moved there.
func (op operation) distrusted(keyID string) error {
	return op.fail(kms.ErrDenied, nil, "KMS used the key "+envelope.OneLine(keyID)+", which is not among the trusted keys",
		"if it is yours, add it to awskms.WithTrustedKeys; if not, find out who moved the alias")
}

// Matches implements [kms.Matcher]: a key of another Region cannot be asked for in the
// client's, unless it is a multi-Region key; and the ids of other key services are no
// ARNs. An id without a colon or slash may be that of a server that speaks KMS's
// protocol.
func (w *Wrapper) Matches(wrapped kms.Wrapped) bool {
	if _, ok := parseKeyARN(wrapped.KeyID); !ok {
		return !strings.ContainsAny(wrapped.KeyID, ":/")
	}
	return w.otherRegion(wrapped.KeyID) == ""
}

// Trusts implements [kms.Truster] by [WithTrustedKeys].
func (w *Wrapper) Trusts(kek string) bool { return w.trusted != nil && w.trusts(kek) }

// Rewrap implements [kms.Wrapper] by ReEncrypt from the stored key to the one that
// New was given. Both must be reachable in the client's Region.
func (w *Wrapper) Rewrap(ctx context.Context, wrapped kms.Wrapped, from, to kms.EncryptionContext) (kms.Wrapped, error) {
	op := operation{name: "rewrap data key", keyID: wrapped.KeyID, to: w.keyID, action: "kms:ReEncryptFrom"}
	if err := w.admit(op, wrapped); err != nil {
		return kms.Wrapped{}, err
	}
	cctx, cancel, err := w.begin(ctx, op)
	if err != nil {
		return kms.Wrapped{}, err
	}
	defer cancel()
	out, err := w.client.ReEncrypt(cctx, &awskms.ReEncryptInput{
		CiphertextBlob:               wrapped.Blob,
		SourceKeyId:                  aws.String(w.localize(wrapped.KeyID)),
		SourceEncryptionContext:      from,
		DestinationKeyId:             aws.String(w.localize(w.keyID)),
		DestinationEncryptionContext: to,
		GrantTokens:                  w.grantTokens,
	})
	if err != nil {
		return kms.Wrapped{}, w.classify(ctx, op, err)
	}
	return w.wrapped(op, out.KeyId, out.CiphertextBlob)
}

// Check asks KMS whether the key that New was given exists, is enabled, and is a
// symmetric key for encryption. It needs kms:DescribeKey, and does not prove that
// the other actions are allowed.
func (w *Wrapper) Check(ctx context.Context) error {
	op := operation{name: "check key", keyID: w.keyID, action: "kms:DescribeKey"}
	cctx, cancel, err := w.begin(ctx, op)
	if err != nil {
		return err
	}
	defer cancel()
	out, err := w.client.DescribeKey(cctx, &awskms.DescribeKeyInput{
		KeyId:       aws.String(w.localize(w.keyID)),
		GrantTokens: w.grantTokens,
	})
	if err != nil {
		return w.classify(ctx, op, err)
	}
	if out.KeyMetadata == nil {
		return op.notKMS("the answer holds no key metadata")
	}
	return op.checkMetadata(out.KeyMetadata)
}

// withoutBodyLog keeps the plaintext in a request or an answer out of the SDK's debug log.
func withoutBodyLog(o *awskms.Options) {
	o.ClientLogMode &^= aws.LogRequestWithBody | aws.LogResponseWithBody
}

// begin refuses what can be refused without asking, and bounds the call.
func (w *Wrapper) begin(ctx context.Context, op operation) (context.Context, context.CancelFunc, error) {
	if w.keyID == "" {
		return nil, nil, op.fail(kms.ErrDenied, nil, "no key is configured", "give awskms.New a key id, key ARN or alias")
	}
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return nil, nil, err
	}
	if w.timeout <= 0 {
		return ctx, func() {}, nil
	}
	cctx, cancel := context.WithTimeout(ctx, w.timeout)
	return cctx, cancel, nil
}

// admit refuses a wrapped key that KMS could not, or must not be asked to, open.
func (w *Wrapper) admit(op operation, wrapped kms.Wrapped) error {
	switch {
	case wrapped.KeyID == "":
		return op.fail(kms.ErrInvalidWrapped, nil, "it names no KMS key", "restore the row of the key table")
	case strings.Contains(wrapped.KeyID, ", "): // see kms.Multi
		return op.fail(kms.ErrInvalidWrapped, nil, "it is wrapped under several keys", "configure them together, with kms.NewMulti or kms.OpenAll")
	case len(wrapped.Blob) == 0 || len(wrapped.Blob) > maxBlob:
		return op.fail(kms.ErrInvalidWrapped, nil, fmt.Sprintf("it has %d bytes, a KMS ciphertext has 1 to %d", len(wrapped.Blob), maxBlob),
			"restore the row of the key table")
	case !w.trusts(wrapped.KeyID):
		return op.fail(kms.ErrDenied, nil, "this key is not among the trusted keys",
			"if it is yours, add it to awskms.WithTrustedKeys; if not, someone changed the key table")
	}
	return nil
}
