package web

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"picloud/app/cloud"
)

func (s *Server) appRoutes(ctx context.Context, q *request, in pageQuery) (list[*cloud.Route], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Route]{}, err
	}
	return listOf(s.Control.AppRoutes(ctx, q.appID, page))
}

func (s *Server) scriptRoutes(ctx context.Context, q *request, in pageQuery) (list[*cloud.Route], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Route]{}, err
	}
	return listOf(s.Control.ScriptRoutes(ctx, q.script.ID, page))
}

type routeInput struct {
	HostKind      string `json:"host_kind"` // any when left out
	Host          string `json:"host"`
	HostParamName string `json:"host_param_name"`
	PathKind      string `json:"path_kind"` // exact when left out
	Path          string `json:"path" required:"true"`
	Method        string `json:"method"`        // any when left out
	DispatchMode  string `json:"dispatch_mode"` // sync when left out
}

func (in *routeInput) route() *cloud.Route {
	return &cloud.Route{
		HostKind: cmp.Or(in.HostKind, "any"), Host: in.Host, HostParamName: in.HostParamName,
		PathKind: cmp.Or(in.PathKind, "exact"), Path: in.Path,
		Method: strings.ToUpper(in.Method), DispatchMode: cmp.Or(in.DispatchMode, cloud.DispatchSync),
	}
}

func (s *Server) createRoute(ctx context.Context, q *request, in routeInput) (*cloud.Route, error) {
	rt := in.route()
	rt.AppID, rt.ScriptID = q.appID, q.script.ID
	if err := s.Control.CreateRoute(ctx, rt); err != nil {
		return nil, err
	}
	q.note(rt.ID, "%s %s", cmp.Or(rt.Method, "any method"), rt.Path)
	return rt, nil
}

func (s *Server) deleteRoute(ctx context.Context, q *request, _ none) (none, error) {
	q.note(q.route.ID, "%s %s", cmp.Or(q.route.Method, "any method"), q.route.Path)
	return none{}, s.Control.DeleteRoute(ctx, q.route.ID)
}

type matchQuery struct {
	Method string `json:"method"` // GET when left out
	Host   string `json:"host"`
	Path   string `json:"path"`
}

// matchAnswer is what a request would find.
type matchAnswer struct {
	Match  *matchView `json:"match"`
	Status int        `json:"status"` // 200, or what the request would be answered
	Allow  []string   `json:"allow"`  // of a 405
	Reason string     `json:"reason"`
}

type matchView struct {
	Route  *cloud.Route      `json:"route"`
	Params map[string]string `json:"params"`
	Rest   string            `json:"rest"`
	Path   string            `json:"path"` // as the script sees it
}

// matchRoute asks the live table. Another app's route is not told apart from none.
func (s *Server) matchRoute(_ context.Context, q *request, in matchQuery) (*matchAnswer, error) {
	if !strings.HasPrefix(in.Path, "/") {
		return nil, cloud.Errorf(cloud.BadRequest, "path: want the path of a request, such as /hello")
	}
	p, _, _ := strings.Cut(in.Path, "?")
	found := s.Control.Routes().Find(in.Host, strings.ToUpper(cmp.Or(in.Method, http.MethodGet)), p)
	a := &matchAnswer{Status: http.StatusNotFound, Allow: []string{}, Reason: "no route of this app takes this host and path"}
	switch m := found.Match; {
	case m != nil && m.Route.AppID == q.appID:
		a.Status, a.Reason = http.StatusOK, "this route"
		a.Match = &matchView{Route: m.Route, Params: m.Params, Rest: m.Rest, Path: m.Path}
		if a.Match.Params == nil {
			a.Match.Params = map[string]string{}
		}
	case m == nil && len(found.Allow) > 0 && s.methodsAreOurs(q, in.Host, p, found.Allow):
		a.Status, a.Allow, a.Reason = http.StatusMethodNotAllowed, found.Allow, "the path exists for other methods"
	}
	return a, nil
}

// methodsAreOurs reports whether the methods that a path has are of routes of this app.
func (s *Server) methodsAreOurs(q *request, host, path string, allow []string) bool {
	for _, method := range allow {
		if m := s.Control.Routes().Find(host, method, path).Match; m != nil && m.Route.AppID == q.appID {
			return true
		}
	}
	return false
}
