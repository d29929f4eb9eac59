package web

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"picloud/app/cloud"
)

// executeInput is a request made up for a script. Everything may be left out.
type executeInput struct {
	Body    json.RawMessage   `json:"body"`
	Headers map[string]string `json:"headers"`
	Method  string            `json:"method"` // POST
	Path    string            `json:"path"`   // /, may have a query
	Params  map[string]string `json:"params"` // as a route's pattern would have found them
}

// methodName is stricter than HTTP's token, which no method in use needs.
var methodName = regexp.MustCompile(`^[A-Z-]{1,32}$`)

// execute runs a script for somebody who may change it, as themselves.
func (s *Server) execute(ctx context.Context, q *request, in executeInput) error {
	path, query, _ := strings.Cut(cmp.Or(in.Path, "/"), "?")
	if !strings.HasPrefix(path, "/") {
		return cloud.Errorf(cloud.BadRequest, "path: want a path that starts with /")
	}
	method := strings.ToUpper(cmp.Or(in.Method, http.MethodPost))
	if !methodName.MatchString(method) {
		return cloud.Errorf(cloud.BadRequest, "method: want one such as GET")
	}
	req := &cloud.Request{
		Method: method, Host: q.r.Host, Path: path, URL: s.scriptURL(q.r, path, query), Params: in.Params,
		Query: decodeQueryValues(query), Headers: map[string]string{}, Body: null, RemoteAddress: q.from.Address,
	}
	for name, value := range in.Headers {
		req.Headers[strings.ToLower(name)] = value
	}
	if len(in.Body) > 0 && string(in.Body) != "null" {
		req.Body, req.RawBody = in.Body, string(in.Body)
		if req.Headers["content-type"] == "" {
			req.Headers["content-type"] = "application/json"
		}
	}
	if q.script.Kind == cloud.KindModule {
		return cloud.Errorf(cloud.Invalid, "%s is a module, which others import: it can't be run", q.script.Name)
	}
	inv := invocation(q.script.AppID, q.script.ID, req)
	inv.Principal = q.who
	s.runAndAnswer(ctx, q.w, q.r, inv)
	return nil
}
