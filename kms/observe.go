package kms

import (
	"context"
	"fmt"
)

// The operations of a Call.
const (
	OpGenerate = "generate"
	OpUnwrap   = "unwrap"
	OpRewrap   = "rewrap"
)

// A Call is one request to a key management service about one data key. A retry
// is another Call.
type Call struct {
	Op      string // OpGenerate, OpUnwrap or OpRewrap
	Keyring string // id of the keyring
	KeyID   uint32 // id of the data key
	Purpose string // "data" or "search"
	Scope   string
	Epoch   int64
	KEK     string // the KEK that wraps the key; "" for OpGenerate
}

// EncryptionContext binds a wrapped key to its row of the keyring: the service
// refuses to unwrap it under another id, purpose, scope or keyring. AWS records
// it in CloudTrail, and key policies can test it. The empty scope is left out.
func (c Call) EncryptionContext() EncryptionContext {
	ec := EncryptionContext{
		"colseal:key-id":  fmt.Sprintf("%08x", c.KeyID),
		"colseal:purpose": c.Purpose,
		"colseal:keyring": c.Keyring,
	}
	if c.Scope != "" {
		ec["colseal:scope"] = c.Scope
	}
	return ec
}

// An Answer is the result of a Call.
type Answer struct {
	KEK string // the KEK that wraps the key now; "" when it is not known
	Err error  // in one of the classes of this package, or a cancellation
}

// An Observer is called when a Call begins and returns the function that is
// called when it ends. The context it returns is used for the request. It never
// sees a key, and it is called from many goroutines. Nil observes nothing.
type Observer func(ctx context.Context, call Call) (context.Context, func(Answer))

// Begin calls o, if it is not nil.
func (o Observer) Begin(ctx context.Context, call Call) (context.Context, func(Answer)) {
	if o == nil {
		return ctx, func(Answer) {}
	}
	return o(ctx, call)
}
