// Package policy holds the project's architecture by a test: which package may import which, and which folders there
// are. It has no code of its own.
package policy
