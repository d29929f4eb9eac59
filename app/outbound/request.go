package outbound

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"picloud/app/cloud"
)

// What a request does about a redirect.
const (
	Follow = "follow" // up to MaxRedirects of them
	Manual = "manual" // answers the redirect itself
	Refuse = "error"  // fails
)

// Bounds of a request.
const (
	MaxURL       = 8 << 10
	MaxHeaders   = 32 << 10 // bytes of names and values
	MaxRedirects = 5
	MaxTimeout   = 5 * time.Minute
)

// HopHeader counts how many requests of scripts led here, so that scripts that call each
// other by HTTP come to an end.
const HopHeader = "X-Picloud-Hops"

// Request is one to be sent. Prepare checks and completes it.
type Request struct {
	Method   string // "": GET
	URL      *url.URL
	Header   http.Header
	Body     []byte        // nil: none
	Timeout  time.Duration // for everything, the answer's body included; 0: Options.Timeout
	Redirect string        // "": Follow
	Hops     int           // requests of scripts that led to this one
	Brief    bool          // only the beginning of the answer's body is wanted
}

// ParseURL reads an absolute http or https URL. Hosts outside of ASCII are encoded, and the
// fragment, which is never sent, is dropped.
func ParseURL(s string) (*url.URL, error) {
	if len(s) > MaxURL {
		return nil, cloud.Errorf(cloud.Invalid, "the URL has %d bytes: at most %d are possible", len(s), MaxURL)
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "the URL can't be read: write it like https://example.org/path?name=value")
	}
	return u, checkURL(u)
}

func checkURL(u *url.URL) error {
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return cloud.Errorf(cloud.Invalid, "the URL must begin with http:// or https://")
	case u.User != nil:
		return cloud.Errorf(cloud.Invalid, "the URL may not hold a user name or password: send an Authorization header instead")
	case u.Hostname() == "":
		return cloud.Errorf(cloud.Invalid, "the URL has no host: write it like https://example.org/path")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return cloud.Errorf(cloud.Invalid, "the URL's port is not one from 1 to 65535")
		}
	}
	u.Fragment, u.RawFragment = "", ""
	return asciiHost(u)
}

// asciiHost puts a host outside of ASCII into the form that is looked up.
func asciiHost(u *url.URL) error {
	host := u.Hostname()
	if strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0 {
		return nil
	}
	name, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return cloud.Errorf(cloud.Invalid, "the URL's host is not a name that can be looked up")
	}
	u.Host = name + strings.TrimPrefix(u.Host, host)
	return nil
}

// fixed headers are made by the client, or belong to one connection.
var fixed = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Keep-Alive": true, "Te": true,
	"Trailer": true, "Upgrade": true, "Expect": true, "Proxy-Authorization": true, "Proxy-Connection": true,
}

// CheckHeader refuses what can't be sent, or isn't a script's to set.
func CheckHeader(name, value string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return cloud.Errorf(cloud.Invalid, "%q can't be the name of a header", clip(name))
	case !httpguts.ValidHeaderFieldValue(value):
		return cloud.Errorf(cloud.Invalid, "the value of the header %s has characters that can't be sent", name)
	case fixed[canonical], strings.HasPrefix(canonical, "X-Picloud-"):
		return cloud.Errorf(cloud.Invalid, "the header %s can't be set: PiCloud sends its own", name)
	}
	return nil
}

// Prepare checks the request and fills in what was left out. The errors are Invalid, and
// TooLarge for a body over the client's bound.
func (c *Client) Prepare(r *Request) error {
	r.Method = strings.ToUpper(r.Method)
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if r.Timeout == 0 {
		r.Timeout = c.o.Timeout
	}
	if r.Redirect == "" {
		r.Redirect = Follow
	}
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method) || len(r.Method) > 32 || r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return cloud.Errorf(cloud.Invalid, "the method %q can't be used", clip(r.Method))
	case len(r.Body) > 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return cloud.Errorf(cloud.Invalid, "a %s request has no body: use POST, or put it into the query", r.Method)
	case int64(len(r.Body)) > c.o.MaxRequest:
		return cloud.Errorf(cloud.TooLarge, "the request's body has %d bytes: at most %d may be sent", len(r.Body), c.o.MaxRequest)
	case r.Timeout < 0 || r.Timeout > MaxTimeout:
		return cloud.Errorf(cloud.Invalid, "timeout is a number of seconds, more than 0 and at most %.0f", MaxTimeout.Seconds())
	case r.Redirect != Follow && r.Redirect != Manual && r.Redirect != Refuse:
		return cloud.Errorf(cloud.Invalid, "redirect is follow, manual or error, not %q", clip(r.Redirect))
	case r.Hops >= c.o.MaxHops:
		return cloud.Errorf(cloud.Forbidden, "this request would be number %d in a chain of scripts that call each other by HTTP: the limit is %d", r.Hops+1, c.o.MaxHops)
	}
	return checkHeaders(r.Header)
}

func checkHeaders(h http.Header) error {
	size := 0
	for name, values := range h {
		for _, v := range values {
			if err := CheckHeader(name, v); err != nil {
				return err
			}
			size += len(name) + len(v)
		}
	}
	if size > MaxHeaders {
		return cloud.Errorf(cloud.TooLarge, "the request's headers have %d bytes: at most %d may be sent", size, MaxHeaders)
	}
	return nil
}

// message is the request as net/http sends it.
func (r *Request) message(ctx context.Context) (*http.Request, error) {
	m, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "the request can't be sent").WithCause(err)
	}
	m.Header = r.Header.Clone()
	if m.Header.Get("User-Agent") == "" {
		m.Header.Set("User-Agent", "PiCloud")
	}
	m.Header.Set(HopHeader, strconv.Itoa(r.Hops+1))
	return m, nil
}
