package replica

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"picloud/durable"
)

// notesName is the file in the data directory that outlives a restart.
const notesName = "replica.json"

// notes is what a Replicator remembers between two starts. It is not in the database: a
// restored database must not bring the notes of another device.
type notes struct {
	path  string
	fresh bool // the device has just been made up

	mu   sync.Mutex // guards what follows
	kept struct {
		Device       string        `json:"device"`
		BehindSince  time.Time     `json:"behind_since,omitzero"` // of a commit that the target doesn't have, when the target fails
		Verification *Verification `json:"verification,omitempty"`
	}
}

// openNotes reads the notes in dir. Notes that can't be read are begun anew: they hold
// nothing that is worth a refused start.
func openNotes(dir string) (*notes, error) {
	n := &notes{path: filepath.Join(dir, notesName)}
	b, err := os.ReadFile(n.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil || json.Unmarshal(b, &n.kept) != nil || n.kept.Device == "" {
		n.kept.Device, n.fresh = token(), true
	}
	return n, nil
}

// keepDevice writes the notes of a new device, before anybody hears of it.
func (n *notes) keepDevice() error {
	if !n.fresh {
		return nil
	}
	return n.change(func() { n.fresh = false })
}

// change writes the notes, when f did change them.
func (n *notes) change(f func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	b, err := json.MarshalIndent(n.kept, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(n.path, append(b, '\n'))
}

func (n *notes) device() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kept.Device
}

func (n *notes) behindSince() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kept.BehindSince
}

// setBehind notes that commits wait since t; zero: none do. It writes only on a change: once
// when an outage begins, and once when it is over.
func (n *notes) setBehind(t time.Time) error {
	if n.behindSince().IsZero() == t.IsZero() {
		return nil
	}
	return n.change(func() { n.kept.BehindSince = t.UTC().Truncate(time.Second) })
}

func (n *notes) verification() *Verification {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kept.Verification
}

// token is 64 random bits, in hex.
func token() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// identity is who this process is, for the lease.
func identity(dir, device string) record {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "device"
	}
	return record{Owner: host + "-" + device[:min(4, len(device))], Device: device, Machine: machine(dir), Process: token()}
}

// machine identifies this machine and the place of the data directory on it: who lost the
// directory is still the same device. In a container it is the container's name.
func machine(dir string) string {
	id, err := os.ReadFile("/etc/machine-id")
	text := strings.TrimSpace(string(id))
	if err != nil || text == "" || text == "uninitialized" {
		if text, err = os.Hostname(); err != nil || text == "" || text == "localhost" {
			return ""
		}
	}
	sum := sha256.Sum256([]byte("picloud\x00" + text + "\x00" + dir))
	return hex.EncodeToString(sum[:8])
}
