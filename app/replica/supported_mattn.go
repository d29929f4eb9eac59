//go:build mattn

package replica

// Supported is false: this build opens the database with a SQLite library of its own beside
// litestream's, and two of them in one process drop each other's POSIX locks, which damages
// the database. A process of its own is fine.
const Supported = false
