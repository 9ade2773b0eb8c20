//go:build !goexperiment.runtimesecret

package keycache

// inSecret runs f. Go erases what it leaves behind only with
// GOEXPERIMENT=runtimesecret.
func inSecret(f func()) { f() }
