//go:build goexperiment.runtimesecret

package keycache

import "runtime/secret"

// inSecret runs f, which starts no goroutine. With GOEXPERIMENT=runtimesecret Go
// erases the registers and the stack that f used when it returns, and what f
// allocated when the garbage collector finds it unused: the expanded keys
// themselves, and whatever the standard library made on the way to them.
func inSecret(f func()) { secret.Do(f) }
