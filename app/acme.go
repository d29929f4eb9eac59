package app

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"path/filepath"

	"golang.org/x/crypto/acme/autocert"

	"picloud/durable"
)

// acmeDir is where certificates are kept in the data directory.
const acmeDir = "acme"

// tlsConfig has the certificates of ACME, kept in the data directory; nil without ACME.
func (a *App) tlsConfig() *tls.Config {
	if len(a.cfg.ACMEDomains) == 0 {
		return nil
	}
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      certificates{autocert.DirCache(filepath.Join(a.cfg.DataDir, acmeDir))},
		HostPolicy: autocert.HostWhitelist(a.cfg.ACMEDomains...),
	}
	return m.TLSConfig()
}

// certificates keeps what autocert asks for in a folder. DirCache alone doesn't fsync: after a
// power cut the file of the account's key may be empty, and autocert refuses to work then until
// somebody deletes it.
type certificates struct{ autocert.DirCache }

// Get takes a file that a power cut left empty or by half for missing: all that autocert
// keeps is PEM, as long as nobody asks its HTTPHandler.
func (c certificates) Get(ctx context.Context, name string) ([]byte, error) {
	b, err := c.DirCache.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block == nil {
		return nil, autocert.ErrCacheMiss
	}
	return b, nil
}

// Put is durable when it returns.
func (c certificates) Put(_ context.Context, name string, b []byte) error {
	if err := durable.MakeDir(string(c.DirCache)); err != nil {
		return err
	}
	return durable.Replace(filepath.Join(string(c.DirCache), filepath.Clean("/"+name)), b)
}
