package data

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"picloud/app/cloud"
	"picloud/durable"
)

// KeyFile is the name of the file in the data directory that holds the master key when no
// setting does. It is no part of the database and of no replica of it.
const KeyFile = "master.key"

// MasterKey encrypts secrets.
type MasterKey struct {
	text string // base64, as the file has it
	id   string // stored beside what the key sealed; it tells nothing of the key
	aead cipher.AEAD
}

const keySize = 32 // bytes

// ParseMasterKey reads 32 bytes in base64 (either alphabet, padded or not) or hexadecimal.
func ParseMasterKey(text string) (*MasterKey, error) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(keySize) {
		if b, err := hex.DecodeString(text); err == nil {
			return newMasterKey(b)
		}
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	b, err := base64.RawStdEncoding.Strict().DecodeString(plain)
	if err != nil || len(b) != keySize {
		return nil, cloud.Errorf(cloud.Invalid, "a master key is 32 random bytes in base64 or hexadecimal: make one with `openssl rand -base64 32`; passwords can't be used")
	}
	return newMasterKey(b)
}

func newMasterKey(b []byte) (*MasterKey, error) {
	sealing, err := hkdf.Key(sha256.New, b, nil, "picloud secrets", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive from the master key: %w", err)
	}
	id, err := hkdf.Key(sha256.New, b, nil, "picloud master key id", 8)
	if err != nil {
		return nil, fmt.Errorf("derive from the master key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(sealing)
	if err != nil {
		return nil, fmt.Errorf("use the master key: %w", err)
	}
	return &MasterKey{text: base64.StdEncoding.EncodeToString(b), id: hex.EncodeToString(id), aead: aead}, nil
}

func randomMasterKey() (*MasterKey, error) {
	b := make([]byte, keySize)
	_, _ = rand.Read(b) // it never fails
	return newMasterKey(b)
}

// seal encrypts text for one place.
func (k *MasterKey) seal(text, place []byte) []byte {
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(text)+k.aead.Overhead())
	_, _ = rand.Read(nonce) // 24 random bytes never repeat
	return k.aead.Seal(nonce, nonce, text, place)
}

var errSealed = errors.New("what is sealed was damaged, or moved from elsewhere")

func (k *MasterKey) open(sealed, place []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(sealed) < n {
		return nil, errSealed
	}
	text, err := k.aead.Open(nil, sealed[:n], sealed[n:], place)
	if err != nil {
		return nil, errSealed
	}
	return text, nil
}

// readKeyFile reads a key file: a key a line, the one in use first, then former ones; # begins
// a comment. A missing file has none.
func readKeyFile(path string) ([]*MasterKey, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the master key: %w", err)
	}
	var keys []*MasterKey
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := ParseMasterKey(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", KeyFile, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key", KeyFile)
	}
	return keys, nil
}

const keyFileHead = `# The master key of this instance's secrets. Keep a copy elsewhere: it is in no backup of
# picloud.db and in no replica, and without it the secrets can't be read.
`

// writeKeyFile replaces the key file: after a power cut there is the old one or the new one.
func writeKeyFile(path string, keys []*MasterKey) error {
	text := keyFileHead
	for _, k := range keys {
		text += k.text + "\n"
	}
	if err := durable.Replace(path, []byte(text)); err != nil {
		return fmt.Errorf("write the master key: %w", err)
	}
	return nil
}
