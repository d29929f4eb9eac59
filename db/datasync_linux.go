//go:build !mattn

package db

import (
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"
)

const hasDatasync = true

// datasync waits until the content and the size of an open sqlite3_file are on the disk. An
// error is final: the kernel reports it once and may drop what it could not write.
func datasync(file uintptr) int32 {
	fd := int(at[sqlite3.TunixFile](file).Fh)
	for {
		switch err := syscall.Fdatasync(fd); err {
		case nil:
			return sqlite3.SQLITE_OK
		case syscall.EINTR:
		default:
			return sqlite3.SQLITE_IOERR_FSYNC
		}
	}
}
