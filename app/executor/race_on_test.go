//go:build race

package executor

// raceEnabled says that the race detector slows the engine down, many times.
const raceEnabled = true
