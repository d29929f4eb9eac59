package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"picloud/app/cloud"
	"picloud/app/control"
)

// sessionCookie is the name of the cookie that carries a session's token.
const sessionCookie = "picloud_session"

// unauthenticated is the one answer for every reason why a caller is not known.
var unauthenticated = cloud.Errorf(cloud.Unauthenticated, "log in, or send a valid API key as Authorization: Bearer pic_…")

// identify sets who is calling. A browser's writes must come from our own pages: cookies
// travel with requests of foreign ones, keys do not.
func (s *Server) identify(q *request, e *endpoint) (err error) {
	if e.needs == cloud.Public {
		if e.writes() && s.foreign(q.r) {
			return foreignOrigin
		}
		return nil
	}
	if q.who, err = s.principal(q.r.Context(), q.r); err != nil {
		return err
	}
	if e.writes() && q.who.Key.IsZero() && !s.sameOrigin(q.r) {
		return foreignOrigin
	}
	return nil
}

var foreignOrigin = cloud.Errorf(cloud.Forbidden, "a change made with a session cookie must come from this site's own pages (Origin or Sec-Fetch-Site); programs use an API key")

// principal is who calls by key or cookie. A request that sends a key is judged by the key alone.
func (s *Server) principal(ctx context.Context, r *http.Request) (*cloud.Principal, error) {
	p, err := s.authenticate(ctx, r)
	if cloud.KindOf(err) == cloud.Unauthenticated {
		return nil, unauthenticated.WithCause(err)
	}
	return p, err
}

func (s *Server) authenticate(ctx context.Context, r *http.Request) (*cloud.Principal, error) {
	if h := r.Header.Values("Authorization"); len(h) > 0 {
		key, ok := bearer(h)
		if !ok {
			return nil, unauthenticated
		}
		return s.Control.AuthenticateKey(ctx, key)
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil || c.Value == "" {
		return nil, unauthenticated
	}
	return s.Control.AuthenticateSession(ctx, c.Value)
}

// bearer is the key in the only Authorization header. Schemes are case-insensitive.
func bearer(headers []string) (key string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, key, ok := strings.Cut(headers[0], " ")
	return strings.TrimSpace(key), ok && strings.EqualFold(scheme, "Bearer")
}

// sameOrigin reports whether a browser vouches that the request comes from this site.
func (s *Server) sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin" || site == "none"
	}
	return s.ownOrigin(r)
}

// foreign reports whether a browser says that the request comes from another site. Programs
// say nothing, and have no cookie to abuse.
func (s *Server) foreign(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return false
	}
	return !s.sameOrigin(r)
}

// ownOrigin compares hosts only: behind a proxy that ends TLS the scheme is not ours to know.
func (s *Server) ownOrigin(r *http.Request) bool {
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, s.host(r))
}

// host is the host the client asked for: that of the request or, through a trusted proxy,
// the one it forwards. Of several, only the last is sure to be the proxy's own word.
func (s *Server) host(r *http.Request) string {
	if len(s.TrustedProxies) == 0 {
		return r.Host
	}
	forwarded := r.Header.Values("X-Forwarded-Host")
	if len(forwarded) == 0 || !s.trusted(peer(r)) {
		return r.Host
	}
	all := forwarded[len(forwarded)-1]
	return strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:])
}

// https reports whether the client speaks HTTPS, to us or to a trusted proxy.
func (s *Server) https(r *http.Request) bool {
	return s.TLS || r.TLS != nil || s.trusted(peer(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

func (s *Server) setSession(q *request, token string) {
	http.SetCookie(q.w, &http.Cookie{
		Name: sessionCookie, Value: token, Path: "/", MaxAge: int(s.SessionTTL.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.https(q.r),
	})
}

func (s *Server) clearSession(q *request) {
	http.SetCookie(q.w, &http.Cookie{
		Name: sessionCookie, Path: "/", MaxAge: -1,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.https(q.r),
	})
}

// maxUserAgent bounds what is kept of a User-Agent header, in bytes.
const maxUserAgent = 256

func (s *Server) from(r *http.Request) control.From {
	agent := r.UserAgent()
	return control.From{Address: s.clientAddress(r), UserAgent: strings.ToValidUTF8(agent[:min(len(agent), maxUserAgent)], "")}
}

// clientAddress is the peer or, when that is a trusted proxy, the last address in
// X-Forwarded-For that is not one. Anything before that anybody could have written.
func (s *Server) clientAddress(r *http.Request) string {
	p := peer(r)
	if !p.IsValid() {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		return host
	}
	if len(s.TrustedProxies) == 0 || !s.trusted(p) {
		return p.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		p = hop
		if !s.trusted(hop) {
			break
		}
	}
	return p.String()
}

// parseHop reads an address with or without a port.
func parseHop(text string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap(), nil
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap(), err
}

// peer is the other end of the connection; invalid for a Unix socket.
func peer(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}

func (s *Server) trusted(a netip.Addr) bool {
	a = a.WithZone("")
	for _, p := range s.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
