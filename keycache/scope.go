package keycache

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

type scopeKey struct{}

// WithScope returns a context whose cells are sealed under data keys of their
// own, which can be destroyed together: "tenant:42", say. The empty scope, which
// is what a context without WithScope has, is an ordinary one.
//
// Opening needs no scope: a cell names its key. Scope names are stored in the
// clear, in the keyring and in the audit log of KMS. An equality search finds
// only what was sealed in the scope it is made in. A scope is at most 256 bytes
// of UTF-8 without control characters.
func WithScope(ctx context.Context, scope string) context.Context {
	return context.WithValue(ctx, scopeKey{}, scope)
}

// ScopeOf returns the scope of ctx; "" when there is none.
func ScopeOf(ctx context.Context) string {
	scope, _ := ctx.Value(scopeKey{}).(string)
	return scope
}

// maxScope keeps an encryption context well within the 8 KB that AWS allows.
const maxScope = 256

var errScope = errors.New("keycache: scope name is too long or not plain text; use at most 256 bytes of UTF-8 without control characters")

func checkScope(scope string) error {
	control := strings.ContainsFunc(scope, func(r rune) bool { return r < ' ' || r == 0x7f })
	if len(scope) > maxScope || control || !utf8.ValidString(scope) {
		return errScope
	}
	return nil
}
