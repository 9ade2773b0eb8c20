//go:build race

package integration

// raceEnabled: the race detector slows everything down some ten times, and volume shows it no further races.
const raceEnabled = true
