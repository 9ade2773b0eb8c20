//go:build !race

package integration

// raceEnabled tells whether the race detector is on.
const raceEnabled = false
