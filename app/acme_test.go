package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/acme/autocert"
)

// A power cut may leave the file that holds the key of the ACME account empty, or a part of it.
// autocert refuses such a file for ever, so that no certificate comes any more; to it the file
// must be missing.
func TestCertificatesOutliveAPowerCut(t *testing.T) {
	const name = "acme_account+key"
	key := "-----BEGIN EC PRIVATE KEY-----\n" + strings.Repeat("QUJD", 16) + "\n-----END EC PRIVATE KEY-----\n"
	c := certificates{autocert.DirCache(filepath.Join(t.TempDir(), "data", "acme"))}
	if _, err := c.Get(t.Context(), name); !errors.Is(err, autocert.ErrCacheMiss) {
		t.Errorf("before there is a file: got %v, want ErrCacheMiss", err)
	}
	if err := c.Put(t.Context(), name, []byte(key)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), name); err != nil || string(got) != key {
		t.Errorf("got %q, %v, want what was put", got, err)
	}
	file := filepath.Join(string(c.DirCache), name)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v, want mode 0600", info, err)
	}
	for _, left := range []string{"", key[:40], key[:len(key)-20], string(make([]byte, len(key)))} {
		if err := os.WriteFile(file, []byte(left), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(t.Context(), name); !errors.Is(err, autocert.ErrCacheMiss) {
			t.Errorf("with %q left: got %q, %v, want ErrCacheMiss", left, got, err)
		}
	}
}
