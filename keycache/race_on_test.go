//go:build race

package keycache

const raceDetector = true
