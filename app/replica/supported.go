//go:build !mattn

package replica

// Supported says whether this build may replicate inside the process that has the database
// open.
const Supported = true
