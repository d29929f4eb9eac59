package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"picloud/app/cloud"
)

// ingress answers a request for a script's route.
func (s *Server) ingress(w http.ResponseWriter, r *http.Request) {
	host := s.host(r)
	if slug, path, ok := realtimeBySlug(r.URL.EscapedPath()); ok {
		s.realtime(w, r, slug, path)
		return
	}
	found := s.Control.Routes().Find(host, r.Method, r.URL.EscapedPath())
	if found.BySlug && s.NoSlugRoutes {
		s.noRoute(w, r, "", nil)
		return
	}
	if found.Match == nil {
		s.noRoute(w, r, found.Slug, found.Allow)
		return
	}
	m := found.Match
	req := &cloud.Request{
		Method: r.Method, Host: host, Path: m.Path, URL: s.scriptURL(r, m.Path, r.URL.RawQuery), Params: m.Params, Rest: m.Rest,
		Query: decodeQueryValues(r.URL.RawQuery), Headers: scriptHeaders(r.Header), RemoteAddress: s.clientAddress(r),
	}
	b, err := readBody(w, r, s.MaxBodyBytes)
	if err == nil {
		err = decodeRequestBody(req, r.Header.Get("Content-Type"), b)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	inv := routed(m.Route, req)
	if m.Route.DispatchMode == cloud.DispatchAsync {
		s.submit(w, r, inv)
		return
	}
	s.runAndAnswer(r.Context(), w, r, inv)
}

// routed is an invocation of the script that a route leads to.
func routed(rt *cloud.Route, req *cloud.Request) *cloud.Invocation {
	inv := invocation(rt.AppID, rt.ScriptID, req)
	inv.Route = rt.ID
	return inv
}

// scriptURL is the absolute URL of a request as scripts see it: without /~slug, so that an
// app's own router works under every host.
func (s *Server) scriptURL(r *http.Request, path, query string) string {
	scheme := "http"
	if s.https(r) {
		scheme = "https"
	}
	if query != "" {
		path += "?" + strings.ToValidUTF8(query, "\uFFFD")
	}
	return scheme + "://" + s.host(r) + path
}

// noRoute answers what no route takes: 405 when only the method is wrong, and a redirect
// when the app was renamed.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request, slug string, methods []string) {
	if len(methods) > 0 {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		s.fail(w, r, cloud.Errorf(cloud.MethodNotAllowed, "this path takes %s", strings.Join(methods, ", ")))
		return
	}
	if slug != "" {
		if current, ok := s.Control.FormerSlug(slug); ok {
			s.fail(w, r, &moved{to: currentSlugURL(r.URL, current)})
			return
		}
	}
	s.fail(w, r, cloud.Errorf(cloud.NotFound, "no route for %s %s", r.Method, r.URL.Path))
}

// currentSlugURL is u, an address under /~former, with its first segment replaced.
func currentSlugURL(u *url.URL, current string) string {
	_, rest, more := strings.Cut(u.EscapedPath()[1:], "/")
	return withRest("/~"+current, rest, more, u.RawQuery)
}

// invocation is the first of a chain, for the public.
func invocation(app cloud.AppID, script cloud.ScriptID, req *cloud.Request) *cloud.Invocation {
	id := cloud.NewID[cloud.ExecutionID]()
	if req.Params == nil {
		req.Params = map[string]string{}
	}
	return &cloud.Invocation{
		ID: id, Root: id, Attempt: 1, App: app, Script: script,
		Source: cloud.SourceHTTP, Op: req.Method, Key: id.String(), Request: req,
	}
}

// submit answers 202 when the work is stored.
func (s *Server) submit(w http.ResponseWriter, r *http.Request, inv *cloud.Invocation) {
	if err := s.Outbox.Submit(r.Context(), inv); err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set(headerExecution, inv.ID.String())
	writeJSON(w, http.StatusAccepted, s.accepted(inv.ID))
}

type accepted struct {
	AcceptedAt  cloud.Time        `json:"accepted_at"`
	ExecutionID cloud.ExecutionID `json:"execution_id"`
	StatusURL   string            `json:"status_url"`
}

// accepted is the answer for work that is stored and runs later.
func (s *Server) accepted(id cloud.ExecutionID) accepted {
	return accepted{AcceptedAt: cloud.TimeOf(s.Now()), ExecutionID: id, StatusURL: apiPrefix + "/admin/executions/" + id.String()}
}

// runAndAnswer runs inv while the caller waits. ctx ends when they leave.
func (s *Server) runAndAnswer(ctx context.Context, w http.ResponseWriter, r *http.Request, inv *cloud.Invocation) {
	// The read timeout was for the request. Left on, it would end the wait for the client's
	// leaving, and with it ctx, in the middle of a long run.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	res := s.Outbox.Do(ctx, inv)
	for range maxTakeovers {
		next := s.takenOver(r, inv, res)
		if next == nil {
			break
		}
		inv, res = next, s.Outbox.Do(ctx, next)
	}
	if res.Overran && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // ends this goroutine; HTTP/2 has one for each request
	}
	if res.ScriptVersion == 0 && res.Err != nil { // refused before any script ran: there is no execution to look up
		s.fail(w, r, callersView(res.Err))
		return
	}
	w.Header().Set(headerExecution, inv.ID.String())
	if res.Err != nil {
		s.failRun(w, r, callersView(res.Err), inv.ID)
		return
	}
	s.answer(w, r, res)
}

// maxTakeovers bounds how many deployments may overtake one request.
const maxTakeovers = 10

// takenOver is the invocation to run instead of one whose script was deleted between its
// match and its run, when another script has the route now: a deployment drops no request.
func (s *Server) takenOver(r *http.Request, inv *cloud.Invocation, res *cloud.Result) *cloud.Invocation {
	if inv.Route.IsZero() || res.ScriptVersion != 0 || cloud.KindOf(res.Err) != cloud.NotFound {
		return nil
	}
	s.Control.Refresh()
	m := s.Control.Routes().Find(inv.Request.Host, r.Method, r.URL.EscapedPath()).Match
	if m == nil || m.Route.ScriptID == inv.Script || m.Route.DispatchMode != cloud.DispatchSync {
		return nil
	}
	req := *inv.Request
	req.Params, req.Rest, req.Path = m.Params, m.Rest, m.Path
	return routed(m.Route, &req)
}

// callersView takes from a script's failure what is only its author's to see: messages and
// positions are in the execution log.
func callersView(err error) error {
	switch kind := cloud.KindOf(err); kind {
	case cloud.ScriptError:
		return cloud.Errorf(kind, "the script failed; its execution log has the details").WithCause(err)
	case cloud.Invalid:
		return cloud.Errorf(kind, "the script does not compile, or what it answered or wrote is not valid; its execution log has the details").WithCause(err)
	}
	return err
}

// answer writes what a script returned, as it is, but for what belongs to the connection or
// to the instance.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, res *cloud.Result) {
	if res.StatusCode < 200 || res.StatusCode > 599 {
		panic(fmt.Sprintf("a result with status %d", res.StatusCode)) // sdk.Answer checks it
	}
	h := w.Header()
	for name, value := range res.Header {
		switch {
		case ours(name):
		case name == "set-cookie":
			addCookies(h, value)
		default:
			h.Set(name, value)
		}
	}
	bodyless := res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	if !bodyless {
		if len(res.Body) > 0 && h.Get("Content-Type") == "" {
			h["Content-Type"] = nil // net/http would guess, and browsers would believe it
		}
		h.Set("Content-Length", strconv.Itoa(len(res.Body)))
	}
	w.WriteHeader(res.StatusCode)
	if !bodyless && r.Method != http.MethodHead {
		s.send(w, res.Body)
	}
}

const (
	answerPiece = 256 << 10
	// muchToSend is how many bytes of answers may wait in memory for readers before slow ones
	// get little patience.
	muchToSend     = 64 << 20
	littlePatience = 5 * time.Second
)

// send writes an answer. A reader that takes no piece of it for a while is given up: all of
// it stays in memory until then.
func (s *Server) send(w http.ResponseWriter, body []byte) {
	if len(body) <= answerPiece {
		_, _ = w.Write(body) // the caller may have gone
		return
	}
	s.sending.Add(int64(len(body)))
	defer s.sending.Add(-int64(len(body)))
	control := http.NewResponseController(w)
	for piece := range slices.Chunk(body, answerPiece) {
		wait := patience
		if s.sending.Load() > muchToSend {
			wait = littlePatience
		}
		_ = control.SetWriteDeadline(time.Now().Add(wait)) // a recorder in tests has none
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

// ours reports whether a header is not the script's to set: the connection's, and the one
// that names the execution.
func ours(name string) bool {
	switch name {
	case "connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "x-picloud-execution-id":
		return true
	}
	return false
}

// addCookies sets a script's cookies, one a line. Apps may share a host with the dashboard,
// so none may set the session's; nor may one without a name whose value reads like it.
func addCookies(h http.Header, lines string) {
	for line := range strings.SplitSeq(lines, "\n") {
		pair, _, _ := strings.Cut(line, ";")
		if line != "" && !strings.Contains(pair, sessionCookie) {
			h.Add("Set-Cookie", line)
		}
	}
}

// scriptHeaders is what a script sees of a request's headers: lower-case names, repeated
// ones joined. Credentials of this instance are no script's business: one app's script
// could act as whoever visits it.
func scriptHeaders(in http.Header) map[string]string {
	out := make(map[string]string, len(in))
	for name, values := range in {
		switch name {
		case "Cookie":
			if c := foreignCookies(values); c != "" {
				out["cookie"] = c
			}
			continue
		case "Authorization":
			if key, ok := bearer(values); ok && strings.HasPrefix(key, "pic_") {
				continue
			}
		}
		out[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
	}
	return out
}

// foreignCookies is the Cookie headers' content without the session's.
func foreignCookies(values []string) string {
	all := strings.Join(values, "; ")
	if !strings.Contains(all, sessionCookie) {
		return strings.ToValidUTF8(all, "\uFFFD")
	}
	cookies := strings.Split(all, ";")
	cookies = slices.DeleteFunc(cookies, func(c string) bool {
		name, _, _ := strings.Cut(c, "=")
		return strings.TrimSpace(name) == sessionCookie || strings.TrimSpace(c) == ""
	})
	return strings.ToValidUTF8(strings.TrimSpace(strings.Join(cookies, ";")), "\uFFFD")
}
