package awskms

import (
	"slices"
	"time"
)

// An Option changes how [New] sets a Wrapper up.
type Option func(*Wrapper)

// WithRegion tells the Region that the client calls, for the translation of
// multi-Region key ARNs. It is needed only for a Client that is not the SDK's
// *kms.Client, whose Region is known.
func WithRegion(region string) Option { return func(w *Wrapper) { w.region = region } }

// WithGrantTokens sends grant tokens with every call, for grants so new that they
// have not reached all of KMS.
func WithGrantTokens(tokens ...string) Option {
	return func(w *Wrapper) { w.grantTokens = slices.Clone(tokens) }
}

// WithTimeout bounds each call, the SDK's retries included; an earlier deadline of
// the caller's context still counts. The default is [DefaultTimeout]; zero or less
// means that only the caller's context bounds it.
func WithTimeout(d time.Duration) Option { return func(w *Wrapper) { w.timeout = d } }

// WithTrustedKeys refuses, as [kms.ErrDenied] and without a call, to unwrap or
// rewrap under any key but these. Each is a key ARN, which for a multi-Region key
// stands for its replicas too, or a 12-digit account id, which stands for every key
// of that account. Without it, IAM alone decides. The key that New was given is
// not trusted implicitly: data keys are stored under its ARN, which New may not
// know.
func WithTrustedKeys(keys ...string) Option {
	return func(w *Wrapper) { w.trusted = slices.Clone(keys) }
}
