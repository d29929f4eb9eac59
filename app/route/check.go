package route

import (
	"slices"
	"strings"

	"picloud/app/cloud"
)

// Methods that a route may name.
var Methods = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// Check validates and normalises a route's fields (Invalid names the field). An empty host
// kind is any, an empty path kind exact, an empty dispatch mode sync.
func Check(r *cloud.Route) error {
	r.HostKind = orElse(r.HostKind, Any)
	r.PathKind = orElse(r.PathKind, Exact)
	r.DispatchMode = orElse(r.DispatchMode, cloud.DispatchSync)
	if r.DispatchMode != cloud.DispatchSync && r.DispatchMode != cloud.DispatchAsync {
		return invalidf("dispatch_mode", "%q is unknown: it is %q or %q", r.DispatchMode, cloud.DispatchSync, cloud.DispatchAsync)
	}
	r.Method = strings.ToUpper(r.Method)
	if r.Method != "" && !slices.Contains(Methods, r.Method) {
		return invalidf("method", "%q is unknown: it is one of %s, or empty for any", r.Method, strings.Join(Methods, ", "))
	}
	p, err := parsePattern(r.PathKind, r.Path)
	if err != nil {
		return err
	}
	if Reserved(r.Path) {
		return invalidf("path", "%q belongs to PiCloud itself: routes can't begin with %s", r.Path, strings.Join(reservedTexts(), ", "))
	}
	return checkHostFields(r, p)
}

func checkHostFields(r *cloud.Route, p pattern) error {
	if r.HostKind == Any {
		if r.Host != "" || r.HostParamName != "" {
			return invalidf("host", "must be empty when host_kind is %q", Any)
		}
		return nil
	}
	if r.HostKind != Exact && r.HostKind != Wildcard {
		return invalidf("host_kind", "%q is unknown: it is %q, %q or %q", r.HostKind, Any, Exact, Wildcard)
	}
	h, err := CheckHost(r.HostKind, r.Host)
	if err != nil {
		return err
	}
	r.Host = h
	switch name := r.HostParamName; {
	case name == "":
		return nil
	case r.HostKind != Wildcard:
		return invalidf("host_param_name", "needs host_kind %q", Wildcard)
	case !isName(name):
		return invalidf("host_param_name", "%q must be letters, digits and _, begin with no digit, and have at most %d", name, maxName)
	case slices.ContainsFunc(p.params, func(q param) bool { return q.name == name }):
		return invalidf("host_param_name", "%q is also a parameter of the path", name)
	}
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Overlap returns the first of others whose pattern equals r's and whose method overlaps:
// it is the same, or one of the two takes any method. Parameters are equal whatever their
// names. Routes for any host overlap only within one app, because every app has them under
// its slug; routes for the same exact or wildcard host overlap between apps too. A route
// doesn't overlap itself.
func Overlap(r *cloud.Route, others []*cloud.Route) *cloud.Route {
	key := Key(r)
	for _, o := range others {
		if o.ID != r.ID && appsOverlap(r, o) && methodsOverlap(r.Method, o.Method) && Key(o) == key {
			return o
		}
	}
	return nil
}

func appsOverlap(a, b *cloud.Route) bool { return a.HostKind != Any || a.AppID == b.AppID }

func methodsOverlap(a, b string) bool { return a == b || a == "" || b == "" }

// Key is a text that two checked routes share exactly when their patterns are equal: the
// same hosts and paths, whatever their methods, apps and names of parameters.
func Key(r *cloud.Route) string {
	p, err := parsePattern(r.PathKind, r.Path)
	if err != nil {
		return ""
	}
	slash := ""
	if p.slash {
		slash = "/"
	}
	return strings.Join([]string{r.HostKind, r.Host, p.kind, p.key + slash}, " ")
}
