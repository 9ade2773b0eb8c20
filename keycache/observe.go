package keycache

import (
	"context"

	"github.com/colseal/colseal/kms"
)

// The operations of a KMSCall.
const (
	OpGenerate = "generate"
	OpUnwrap   = "unwrap"
	OpRewrap   = "rewrap"
)

// A KMSCall is one request to KMS; a retry is another one.
type KMSCall struct {
	Op      string // OpGenerate, OpUnwrap or OpRewrap
	Keyring string
	KeyID   uint32 // the data key's
	Purpose Purpose
	Scope   string
	Epoch   int64
	KEK     string // the KEK that wraps the key; "" when it is yet to be generated
}

// A KMSAnswer is what became of a KMSCall.
type KMSAnswer struct {
	KEK string // the KEK that wraps the key now; "" when it is not known
	Err error  // in one of the classes of package kms, or a cancellation
}

// A KMSObserver is called when a request to KMS begins, and returns what is called when it
// is over. The context that it returns is the request's. It is given no key, and is called
// from many goroutines. Nil observes nothing.
type KMSObserver func(ctx context.Context, call KMSCall) (context.Context, func(KMSAnswer))

func (o KMSObserver) begin(ctx context.Context, call KMSCall) (context.Context, func(KMSAnswer)) {
	if o == nil {
		return ctx, func(KMSAnswer) {}
	}
	return o(ctx, call)
}

func callFor(op, keyring string, rec Record) KMSCall {
	return KMSCall{
		Op: op, Keyring: keyring, KeyID: rec.ID, Purpose: rec.Purpose,
		Scope: rec.Scope, Epoch: rec.Epoch, KEK: rec.Wrapped.KeyID,
	}
}

func (c KMSCall) record() Record {
	return Record{ID: c.KeyID, Purpose: c.Purpose, Scope: c.Scope, Epoch: c.Epoch, Wrapped: kms.Wrapped{KeyID: c.KEK}}
}

// kekOf returns the KEK that an answer names, or the one that the call did.
func kekOf(call KMSCall, answer any) string {
	kek := ""
	switch v := answer.(type) {
	case kms.DataKey:
		kek = v.Wrapped.KeyID
	case kms.Wrapped:
		kek = v.KeyID
	}
	if kek == "" {
		return call.KEK
	}
	return kek
}
