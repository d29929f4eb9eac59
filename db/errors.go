package db

import "errors"

// Errors of the package itself.
var (
	ErrClosed = errors.New("the database is closed")
	ErrNested = errors.New("a transaction inside a transaction: pass the outer one down instead")
	errOver   = errors.New("the transaction is over: a Tx or Rx must not outlive its closure")
	errGoexit = errors.New("a transaction's closure ended its goroutine (t.Fatal or runtime.Goexit inside Update)")
)

// Result codes, https://www.sqlite.org/rescode.html: the low byte is the primary code.
const (
	codeBusy       = 5
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeOpen       = 14
	codeNotADB     = 26
	codeForeignKey = 787
	codePrimaryKey = 1555
	codeUnique     = 2067
	codeRowID      = 2579
)

// IsUnique reports a second row for a unique index or a primary key.
func IsUnique(err error) bool {
	switch errorCode(err) {
	case codeUnique, codePrimaryKey, codeRowID:
		return true
	}
	return false
}

// IsForeignKey reports a reference to a row that doesn't exist, or the deletion of a row
// that others refer to.
func IsForeignKey(err error) bool { return errorCode(err) == codeForeignKey }

// IsFull reports a full disk.
func IsFull(err error) bool { return errorCode(err)&0xff == codeFull }

// IsBusy reports that another process kept the file locked for longer than we wait.
func IsBusy(err error) bool { return errorCode(err)&0xff == codeBusy }

// IsCorrupt reports a damaged file, or one that is no database.
func IsCorrupt(err error) bool {
	code := errorCode(err) & 0xff
	return code == codeCorrupt || code == codeNotADB
}
