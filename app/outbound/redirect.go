package outbound

import (
	"net/http"
	"net/url"

	"picloud/app/cloud"
)

// carried headers go along to another origin; whatever else a script sent was meant for the
// first one, credentials among it.
var carried = map[string]bool{
	"Accept": true, "Accept-Language": true, "Content-Type": true, "User-Agent": true, HopHeader: true,
}

// redirect is an http.Client's CheckRedirect: the next address is checked like the first one
// here, and by the guard when it is connected to.
func (r *Request) redirect(next *http.Request, via []*http.Request) error {
	switch {
	case r.Redirect == Manual:
		return http.ErrUseLastResponse
	case r.Redirect == Refuse:
		return cloud.Errorf(cloud.Unreachable, "%s redirects, and the request says that this is an error", via[0].URL.Hostname())
	case len(via) > MaxRedirects:
		return cloud.Errorf(cloud.Unreachable, "%s redirects more than %d times", via[0].URL.Hostname(), MaxRedirects)
	}
	if err := checkURL(next.URL); err != nil {
		return cloud.Errorf(cloud.Forbidden, "%s redirects to where scripts may not go: %s", via[0].URL.Hostname(), cloud.Message(err))
	}
	next.Header.Del("Referer") // an address may hold what only its own server should see
	for _, former := range via {
		if origin(former.URL) != origin(next.URL) {
			next.Header = onlyCarried(next.Header)
			break
		}
	}
	return nil
}

func onlyCarried(h http.Header) http.Header {
	kept := http.Header{}
	for name, values := range h {
		if carried[name] {
			kept[name] = values
		}
	}
	return kept
}

// origin is scheme, host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + u.Hostname() + ":" + port
}
