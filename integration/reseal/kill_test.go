//go:build unix

package reseal

func resealAndDie() error { return nil }
