package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"picloud/durable"
)

// leaseName is where litestream keeps its leases, below the replica.
const leaseName = "lock.json"

// fileLease keeps the lease in a directory. A lock on a second file makes read and write one
// step, also for other machines where the file system shares its locks.
type fileLease struct{ dir string }

func (f fileLease) read(context.Context) (*record, string, error) {
	b, err := os.ReadFile(filepath.Join(f.dir, leaseName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return decodeRecord(b)
}

// decodeRecord reads a lease; its tag tells it from every other.
func decodeRecord(b []byte) (*record, string, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, "", fmt.Errorf("%s can't be read: %w", leaseName, err)
	}
	return &r, r.Process + " " + strconv.FormatInt(r.Generation, 10) + " " + strconv.FormatInt(r.ExpiresAt.UnixNano(), 10), nil
}

func (f fileLease) write(ctx context.Context, r *record, tag string) (string, error) {
	if err := durable.MakeDir(f.dir); err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(f.dir, leaseName+".lock"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer unlock()
	_, now, err := f.read(ctx)
	if err != nil {
		return "", err
	}
	if now != tag {
		return "", errLeaseChanged
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	if err := durable.Replace(filepath.Join(f.dir, leaseName), b); err != nil {
		return "", err
	}
	_, tag, err = decodeRecord(b)
	return tag, err
}

// lockFile locks the file at path, which it makes when needed.
func lockFile(path string, how int) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, err
	}
	return f.Close, nil
}
