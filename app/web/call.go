package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/app/control"
)

// endpoint is one line of the API: see api.go.
type endpoint struct {
	method string
	path   string           // below /api/v1; {name} is a parameter
	needs  cloud.Capability // asked for in the app that in finds, or on the instance
	in     finder           // nil: the endpoint belongs to no app
	audit  string           // what the audit log calls a success; "" for what changes nothing
	run    handler          // made by call or stream
	doc    string           // one sentence for the OpenAPI document
}

// finder finds the app a request is about, and NotFound for an app in which the principal has
// no role: what they may not know of does not exist.
type finder func(ctx context.Context, q *request) (cloud.AppID, error)

// handler is an endpoint's function with the types that the OpenAPI document shows.
type handler struct {
	serve   func(s *Server, e *endpoint, q *request) error
	in, out reflect.Type // none: no body
	status  int          // 0: by the method
	media   string       // of the answer; "": JSON
	limit   int64        // bytes of the body; 0: what a script or a value may need
	upload  string       // media type of a body that the function reads itself; in is then the query
}

// none is the input or the output of an endpoint that has none.
type none struct{}

// request is one admin call on its way through its endpoint.
type request struct {
	w    http.ResponseWriter
	r    *http.Request
	who  *cloud.Principal // nil only where the capability is Public
	from control.From

	// What the endpoint's finder found.
	app       *cloud.App
	appID     cloud.AppID
	script    *cloud.Script
	route     *cloud.Route
	execution *cloud.Execution

	// For the audit log, set by the endpoint's function when the path doesn't say it.
	resource string
	detail   string
}

func (q *request) param(name string) string { return q.r.PathValue(name) }

// note sets what the audit log says of the call: the id of what was changed, and how. Never
// a secret, never a source.
func (q *request) note(resource fmt.Stringer, format string, args ...any) {
	q.resource, q.detail = resource.String(), fmt.Sprintf(format, args...)
}

// pathID reads a path parameter that is an id; one that can't be an id is NotFound.
func pathID[T any](q *request, name string) (cloud.ID[T], error) {
	return cloud.ParseID[cloud.ID[T]](q.param(name))
}

// call adapts a typed function: its input is the JSON body of POST, PUT and PATCH, and the
// query of GET and DELETE; its output is the JSON answer.
func call[In, Out any](f func(context.Context, *request, In) (Out, error)) handler {
	h := handler{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	h.serve = func(s *Server, e *endpoint, q *request) error {
		var in In
		if err := s.decodeInput(e, q, &in); err != nil {
			return err
		}
		out, err := f(q.r.Context(), q, in)
		if err != nil {
			return e.queryError(err)
		}
		s.record(e, q)
		if status := e.status(); status == http.StatusNoContent {
			secure(q.w.Header())
			q.w.WriteHeader(status)
		} else {
			writeJSON(q.w, status, out)
		}
		return nil
	}
	return h
}

// queryError makes a value that a list can't take (a cursor, a filter) a malformed request:
// 422 is for bodies.
func (e *endpoint) queryError(err error) error {
	var own *cloud.Error
	if e.method == http.MethodGet && errors.As(err, &own) && own.Kind == cloud.Invalid {
		return cloud.Errorf(cloud.BadRequest, "%s", own.Msg).WithCause(err)
	}
	return err
}

// raw adapts a function that writes its own answer, of the type media.
func raw[In any](media string, f func(context.Context, *request, In) error) handler {
	h := handler{in: reflect.TypeFor[In](), out: reflect.TypeFor[none](), status: http.StatusOK, media: media}
	h.serve = func(s *Server, e *endpoint, q *request) error {
		var in In
		if err := s.decodeInput(e, q, &in); err != nil {
			return err
		}
		return f(q.r.Context(), q, in)
	}
	return h
}

// upload is call for a function that reads the body itself, a file of the type media; its
// input is the query.
func upload[In, Out any](media string, f func(context.Context, *request, In) (Out, error)) handler {
	h := call(f)
	h.upload = media
	return h
}

// answers sets the status of a handler whose method alone doesn't tell it.
func (h handler) answers(status int) handler {
	h.status = status
	return h
}

// takes sets how large a body may be.
func (h handler) takes(bytes int64) handler {
	h.limit = bytes
	return h
}

func (e *endpoint) writes() bool { return e.method != http.MethodGet }

func (e *endpoint) hasBody() bool {
	return e.method == http.MethodPost || e.method == http.MethodPut || e.method == http.MethodPatch
}

// status of a success: as the handler says, 204 without output, 201 for POST, else 200.
func (e *endpoint) status() int {
	switch {
	case e.run.status != 0:
		return e.run.status
	case e.run.out == reflect.TypeFor[none]():
		return http.StatusNoContent
	case e.method == http.MethodPost:
		return http.StatusCreated
	}
	return http.StatusOK
}

func (s *Server) decodeInput(e *endpoint, q *request, in any) error {
	limit := cmp.Or(e.run.limit, s.adminBodyLimit())
	if e.hasBody() && e.run.upload == "" {
		return decodeBody(q.w, q.r, limit, in)
	}
	if e.method == http.MethodDelete { // whoever sends a body expects that it counts
		if err := decodeBody(q.w, q.r, limit, new(none)); err != nil {
			return err
		}
	}
	return decodeQuery(q.r.URL.RawQuery, in)
}

// adminBodyLimit leaves room for the largest source and the largest value, escaped and with
// the JSON around them.
func (s *Server) adminBodyLimit() int64 { return 2 * max(s.MaxBodyBytes, 1<<20) }

// apiMux registers each path once; the method is looked up by serveEndpoint, so that a wrong
// one is answered like every other error.
func (s *Server) apiMux() *http.ServeMux {
	byPath := map[string]map[string]*endpoint{}
	for i := range s.endpoints {
		e := &s.endpoints[i]
		if byPath[e.path] == nil {
			byPath[e.path] = map[string]*endpoint{}
		}
		if byPath[e.path][e.method] != nil {
			panic("two endpoints for " + e.method + " " + e.path)
		}
		byPath[e.path][e.method] = e
	}
	mux := http.NewServeMux()
	for p, methods := range byPath {
		mux.HandleFunc(apiPrefix+p, func(w http.ResponseWriter, r *http.Request) { s.serveMethod(w, r, methods) })
	}
	return mux
}

// apiPrefix is what every path of the table lies under.
const apiPrefix = "/api/v1"

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	p := r.URL.EscapedPath()
	if p != path.Clean(p) || !utf8.ValidString(r.URL.Path) {
		s.fail(w, r, noEndpoint)
		return
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.fail(w, r, noEndpoint)
		return
	}
	s.mux.ServeHTTP(w, r)
}

var noEndpoint = cloud.Errorf(cloud.NotFound, "no such endpoint: /api/v1/openapi.json lists them all")

func (s *Server) serveMethod(w http.ResponseWriter, r *http.Request, methods map[string]*endpoint) {
	e := methods[r.Method]
	if e == nil && r.Method == http.MethodHead {
		e = methods[http.MethodGet]
	}
	if e != nil {
		if err := s.serveEndpoint(w, r, e); err != nil {
			s.fail(w, r, err)
		}
		return
	}
	refuseMethod(s, w, r, methods)
}

// refuseMethod answers a method that a path doesn't take, and OPTIONS, with those it takes.
func refuseMethod[V any](s *Server, w http.ResponseWriter, r *http.Request, methods map[string]V) {
	allow(w, methods)
	if r.Method == http.MethodOptions {
		secure(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.fail(w, r, cloud.Errorf(cloud.MethodNotAllowed, "this path takes %s", w.Header().Get("Allow")))
}

// readOnly are the methods of a path that only answers GET.
var readOnly = map[string]struct{}{http.MethodGet: {}}

func allow[V any](w http.ResponseWriter, methods map[string]V) {
	names := []string{http.MethodOptions}
	for m := range methods {
		names = append(names, m)
		if m == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	w.Header().Set("Allow", strings.Join(names, ", "))
}

// serveEndpoint asks who is calling, then whether they may, and only then what they want.
func (s *Server) serveEndpoint(w http.ResponseWriter, r *http.Request, e *endpoint) error {
	q := &request{w: w, r: r, from: s.from(r)}
	if err := s.identify(q, e); err != nil {
		return err
	}
	if err := s.authorize(q, e); err != nil {
		return err
	}
	return e.run.serve(s, e, q)
}

// authorize finds the app of the request and checks the endpoint's capability in it.
func (s *Server) authorize(q *request, e *endpoint) (err error) {
	if e.in != nil {
		if q.appID, err = e.in(q.r.Context(), q); err != nil {
			return err
		}
	}
	if !q.who.Can(e.needs, q.appID) {
		return cloud.Errorf(cloud.Forbidden, "this needs the capability %s: ask an administrator for a role, or a key with a scope, that has it", e.needs)
	}
	return nil
}

// record writes the audit entry of a successful change. The change is done, so a failure
// here is logged and not answered.
func (s *Server) record(e *endpoint, q *request) {
	if e.audit == "" {
		return
	}
	entry := &cloud.AuditEntry{AppID: q.appID, Action: e.audit, Resource: q.resource, Detail: q.detail, Address: q.from.Address}
	if q.who != nil {
		entry.UserID, entry.Username, entry.KeyID = q.who.User, q.who.Username, q.who.Key
	}
	if entry.Resource == "" {
		entry.Resource = cmp.Or(q.param("id"), q.appID.String())
	}
	if err := s.Control.Audit(context.WithoutCancel(q.r.Context()), entry); err != nil {
		s.log.Error("audit entry not written", "action", e.audit, "resource", entry.Resource, "error", err)
	}
}

// byApp finds the app that the path names by id or slug. A slug it had before is answered
// by a redirect to the same URL with the current one.
func (s *Server) byApp(ctx context.Context, q *request) (cloud.AppID, error) {
	ref := q.param("app")
	a, former, err := s.Control.App(ctx, q.who, ref)
	if err != nil {
		return cloud.AppID{}, err
	}
	if former {
		return cloud.AppID{}, &moved{to: currentURL(q.r.URL, a.Slug)}
	}
	q.app = a
	return a.ID, nil
}

// currentURL is u, an address under /apps/{app}, with the app's segment replaced.
func currentURL(u *url.URL, slug string) string {
	const prefix = apiPrefix + "/admin/apps/"
	_, rest, more := strings.Cut(strings.TrimPrefix(u.EscapedPath(), prefix), "/")
	return withRest(prefix+slug, rest, more, u.RawQuery)
}

func withRest(to, rest string, more bool, query string) string {
	if more {
		to += "/" + rest
	}
	if query != "" {
		to += "?" + query
	}
	return to
}

func (s *Server) byScript(ctx context.Context, q *request) (cloud.AppID, error) {
	id, err := pathID[cloud.Script](q, "id")
	if err != nil {
		return cloud.AppID{}, err
	}
	if q.script, err = s.Control.Script(ctx, id); err != nil {
		return cloud.AppID{}, err
	}
	return visible(q.who, q.script.AppID, "script")
}

func (s *Server) byRoute(ctx context.Context, q *request) (cloud.AppID, error) {
	id, err := pathID[cloud.Route](q, "id")
	if err != nil {
		return cloud.AppID{}, err
	}
	if q.route, err = s.Control.Route(ctx, id); err != nil {
		return cloud.AppID{}, err
	}
	return visible(q.who, q.route.AppID, "route")
}

func (s *Server) byExecution(ctx context.Context, q *request) (cloud.AppID, error) {
	id, err := pathID[cloud.Execution](q, "id")
	if err != nil {
		return cloud.AppID{}, err
	}
	if q.execution, err = s.findExecution(ctx, id); err != nil {
		return cloud.AppID{}, err
	}
	if !s.Control.HasApp(q.execution.AppID) { // the log is kept for longer than a deleted app
		return cloud.AppID{}, notFound("execution")
	}
	return visible(q.who, q.execution.AppID, "execution")
}

// visible answers for what another app owns as for what does not exist.
func visible(who *cloud.Principal, app cloud.AppID, what string) (cloud.AppID, error) {
	if who.RoleIn(app) == "" {
		return cloud.AppID{}, notFound(what)
	}
	return app, nil
}

func notFound(what string) error { return cloud.Errorf(cloud.NotFound, "no such %s", what) }

// list is the answer of every endpoint that lists, but for two.
type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next_cursor"`
}

func listOf[T any](items []T, next string, err error) (list[T], error) {
	return list[T]{nonNil(items), cursor(next)}, err
}

func nonNil[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func cursor(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}
