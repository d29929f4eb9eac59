package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"picloud/app/cloud"
	"picloud/static"
)

// dashboard serves the built pages from memory.
type dashboard struct {
	files map[string]*asset // by path below /admin/
}

// asset is a file with the encodings it was built in.
type asset struct {
	contentType string
	etag        string
	immutable   bool // its name changes with its content
	plain       []byte
	encoded     map[string][]byte // br, gzip
}

const index = "index.html"

// encodings, best first, with the endings of their files.
var encodings = []struct{ name, ending string }{{"br", ".br"}, {"gzip", ".gz"}}

func newDashboard() *dashboard { return dashboardOf(static.Dist()) }

func dashboardOf(files fs.FS) *dashboard {
	d := &dashboard{files: map[string]*asset{}}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || isEncoded(name) {
			return err
		}
		d.files[name], err = readAsset(files, name)
		return err
	})
	if err != nil {
		panic(err) // the files are part of the binary
	}
	return d
}

func isEncoded(name string) bool {
	return strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".gz")
}

func readAsset(files fs.FS, name string) (*asset, error) {
	plain, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	a := &asset{
		contentType: cmp.Or(contentTypes[path.Ext(name)], cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream")),
		etag:        base64.RawURLEncoding.EncodeToString(sum[:12]),
		immutable:   strings.HasPrefix(name, "assets/"),
		plain:       plain,
		encoded:     map[string][]byte{},
	}
	for _, e := range encodings {
		if b, err := fs.ReadFile(files, name+e.ending); err == nil {
			a.encoded[e.name] = b
		}
	}
	return a, nil
}

// contentTypes are fixed here, since package mime asks the machine it runs on.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon",
	".woff2": "font/woff2", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
	".ts": "text/plain; charset=utf-8", ".map": "application/json",
}

func (d *dashboard) serve(s *Server, w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuseMethod(s, w, r, readOnly)
		return
	case r.URL.Path == "/admin":
		http.Redirect(w, r, "/admin/", http.StatusPermanentRedirect)
		return
	}
	a := d.find(strings.TrimPrefix(r.URL.Path, "/admin/"))
	if a == nil {
		s.fail(w, r, cloud.Errorf(cloud.NotFound, "the dashboard has no such file"))
		return
	}
	a.serve(w, r)
}

// find is the file of that name; a path without an ending is a page of the application,
// which index.html draws.
func (d *dashboard) find(name string) *asset {
	if a := d.files[name]; a != nil {
		return a
	}
	if strings.HasPrefix(name, "assets/") || path.Ext(name) != "" {
		return nil
	}
	return d.files[index]
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	pageHeaders(h)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if a.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", a.contentType)
	body, etag := a.plain, a.etag
	for _, e := range encodings {
		if b := a.encoded[e.name]; b != nil && acceptsEncoding(r.Header.Get("Accept-Encoding"), e.name) {
			h.Set("Content-Encoding", e.name)
			body, etag = b, a.etag+"-"+e.name
			break
		}
	}
	h.Set("Etag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsEncoding reads an Accept-Encoding header: named, and not with q=0.
func acceptsEncoding(header, name string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), name) {
			continue
		}
		_, q, given := strings.Cut(params, "=")
		weight, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return !given || err == nil && weight > 0
	}
	return false
}

// pageHeaders bind the dashboard to what the binary embeds.
func pageHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "+
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}
