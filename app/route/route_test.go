package route

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func appN(n byte) cloud.AppID { return cloud.AppID{15: n} }

// rt makes a checked route of app 1 from "METHOD host path"; the kinds follow from the
// texts: host "*" is any, a path that ends in "*" is a prefix.
func rt(tb testing.TB, id int, text string) *cloud.Route {
	tb.Helper()
	f := strings.Fields(text)
	r := &cloud.Route{ID: cloud.RouteID{12: byte(id >> 24), 13: byte(id >> 16), 14: byte(id >> 8), 15: byte(id)}, AppID: appN(1), Method: f[0], Host: f[1], Path: f[2]}
	if r.Method == "ANY" {
		r.Method = ""
	}
	switch {
	case r.Host == "*":
		r.HostKind, r.Host = Any, ""
	case r.Host[0] == '*':
		r.HostKind, r.HostParamName = Wildcard, "sub"
	default:
		r.HostKind = Exact
	}
	switch {
	case strings.HasSuffix(r.Path, "*"):
		r.PathKind, r.Path = Prefix, strings.TrimSuffix(r.Path, "*")
	case strings.Contains(r.Path, ":"):
		r.PathKind = Param
	}
	if err := Check(r); err != nil {
		tb.Fatalf("route %q: %v", text, err)
	}
	return r
}

func compile(tb testing.TB, routes []*cloud.Route, domains []*cloud.Domain) *Table {
	tb.Helper()
	t, err := Compile(routes, domains, map[string]cloud.AppID{"one": appN(1), "two": appN(2), "empty": appN(9)})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// show writes an outcome as one line.
func show(o Outcome) string {
	switch {
	case o.Match != nil:
		s := []string{fmt.Sprint(o.Match.Route.ID[15])}
		for _, k := range slices.Sorted(maps.Keys(o.Match.Params)) {
			s = append(s, k+"="+o.Match.Params[k])
		}
		if o.Match.Route.PathKind == Prefix {
			s = append(s, "rest="+o.Match.Rest)
		}
		if o.BySlug {
			s = append(s, "path="+o.Match.Path)
		}
		return strings.Join(s, " ")
	case o.Allow != nil:
		return "405 " + strings.Join(o.Allow, ",")
	case o.Slug != "":
		return "404 slug=" + o.Slug
	}
	return "404"
}

func TestFind(t *testing.T) {
	table := compile(t, []*cloud.Route{
		rt(t, 1, "GET * /a/b"),
		rt(t, 2, "GET * /a/c/"),
		rt(t, 3, "GET * /users/:id"),
		rt(t, 4, "GET * /users/me"),
		rt(t, 5, "POST * /users/:id/posts/:post"),
		rt(t, 6, "GET * /files*"),
		rt(t, 7, "GET * /files/deep*"),
		rt(t, 8, "GET * /slashed/*"),
		rt(t, 9, "GET www.example.org /a/b"),
		rt(t, 10, "GET *.example.org /a/b"),
		rt(t, 11, "GET *.b.example.org /a/b"),
		rt(t, 12, "GET * /m/:x"),
		rt(t, 13, "ANY * /:y/n"),
		rt(t, 14, "ANY * /m/:z"),
		rt(t, 15, "PUT * /a/b"),
		rt(t, 16, "GET * /both"),
		rt(t, 17, "GET * /both/"),
		rt(t, 18, "HEAD * /head"),
		rt(t, 19, "GET * /head"),
		rt(t, 20, "GET * /p/:x/c/:y"),
		rt(t, 21, "GET * /p/b/:y/:z"),
		rt(t, 22, "POST * /users/me"),
		rt(t, 23, "DELETE * /users/:id"),
		rt(t, 24, "GET * /käse/:art"),
		rt(t, 25, "GET * /"),
	}, nil)
	for _, c := range []struct{ name, host, method, path, want string }{
		{"exact", "h", "GET", "/a/b", "1"},
		{"exact with a slash too many", "h", "GET", "/a/b/", "1"},
		{"two slashes are not one", "h", "GET", "/a/b//", "404"},
		{"slash written, absent", "h", "GET", "/a/c", "404"},
		{"slash written, present", "h", "GET", "/a/c/", "2"},
		{"slash written goes first", "h", "GET", "/both/", "17"},
		{"slash not written", "h", "GET", "/both", "16"},
		{"root", "h", "GET", "/", "25"},
		{"parameter", "h", "GET", "/users/7", "3 id=7"},
		{"parameter with slash", "h", "GET", "/users/7/", "3 id=7"},
		{"parameter decoded", "h", "GET", "/users/a%20b%2Fc", "3 id=a b/c"},
		{"decoded once", "h", "GET", "/users/%2561", "3 id=%61"},
		{"parameter is never empty", "h", "GET", "/users//", "404"},
		{"two parameters", "h", "POST", "/users/7/posts/x.y", "5 id=7 post=x.y"},
		{"exact before parameter", "h", "GET", "/users/me", "4"},
		{"the next pattern has the method", "h", "DELETE", "/users/me", "23 id=me"},
		{"prefix itself", "h", "GET", "/files", "6 rest="},
		{"prefix with slash", "h", "GET", "/files/", "6 rest="},
		{"prefix rest", "h", "GET", "/files/x/y%20z", "6 rest=x/y z"},
		{"prefix rest keeps its slashes", "h", "GET", "/files/https://x/", "6 rest=https://x/"},
		{"prefix ends at a segment", "h", "GET", "/filesystem", "404"},
		{"longer prefix", "h", "GET", "/files/deep/x", "7 rest=x"},
		{"slashed prefix needs it", "h", "GET", "/slashed", "404"},
		{"slashed prefix", "h", "GET", "/slashed/", "8 rest="},
		{"slashed prefix rest", "h", "GET", "/slashed/x", "8 rest=x"},
		{"exact host", "WWW.Example.ORG:8080", "GET", "/a/b", "9"},
		{"host with the root's dot", "www.example.org.", "GET", "/a/b", "9"},
		{"wildcard host", "x.example.org", "GET", "/a/b", "10 sub=x"},
		{"wildcard takes labels", "x.y.example.org", "GET", "/a/b", "10 sub=x.y"},
		{"wildcard needs a label", "example.org", "GET", "/a/b", "1"},
		{"longer wildcard", "x.b.example.org", "GET", "/a/b", "11 sub=x"},
		{"any host behind it", "x.example.org", "GET", "/users/7", "3 id=7"},
		{"method on a wider host", "www.example.org", "PUT", "/a/b", "15"},
		{"literals further left first", "h", "GET", "/m/n", "12 x=n"},
		{"method given before any", "h", "GET", "/m/q", "12 x=q"},
		{"any method", "h", "POST", "/m/q", "14 z=q"},
		{"leftmost of equal counts", "h", "GET", "/p/b/c/d", "21 y=c z=d"},
		{"HEAD is GET", "h", "HEAD", "/a/b", "1"},
		{"HEAD given", "h", "HEAD", "/head", "18"},
		{"405", "h", "POST", "/a/b", "405 GET,HEAD,PUT"},
		{"405 gathers patterns", "h", "PATCH", "/users/me", "405 DELETE,GET,HEAD,POST"},
		{"method is case-sensitive", "h", "get", "/a/b", "405 GET,HEAD,PUT"},
		{"encoded literal", "h", "GET", "/k%C3%A4se/alt", "24 art=alt"},
		{"plain literal", "h", "GET", "/käse/alt", "24 art=alt"},
		{"encoded slash is no separator", "h", "GET", "/a%2Fb", "404"},
		{"encoded slash in a prefix", "h", "GET", "/files%2Fdeep", "404"},
		{"not decodable", "h", "GET", "/files/%zz", "404"},
		{"cut short", "h", "GET", "/files/%4", "404"},
		{"asterisk form", "h", "OPTIONS", "*", "404"},
		{"empty", "h", "GET", "", "404"},
		{"slug", "h", "GET", "/~one/users/7", "3 id=7 path=/users/7"},
		{"slug encoded", "h", "GET", "/%7Eone/users/%37", "3 id=7 path=/users/%37"},
		{"slug root", "h", "GET", "/~one", "25 path=/"},
		{"slug root with slash", "h", "GET", "/~one/", "25 path=/"},
		{"slug 405", "h", "POST", "/~one/a/b", "405 GET,HEAD,PUT"},
		{"unknown slug", "h", "GET", "/~old/users/7", "404 slug=old"},
		{"app without routes", "h", "GET", "/~empty/users/7", "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := show(table.Find(c.host, c.method, c.path)); got != c.want {
				t.Errorf("%s %s %s: got %q, want %q", c.method, c.host, c.path, got, c.want)
			}
		})
	}
}

// A route that takes everything must not take what belongs to the instance, however it is
// written.
func TestReservedIsNeverFound(t *testing.T) {
	table := compile(t, []*cloud.Route{rt(t, 1, "ANY * /*"), rt(t, 2, "ANY * /:a/:b"), rt(t, 3, "ANY * /:a")}, nil)
	for _, path := range []string{
		"/api/v1/admin", "/api", "/api/", "//api/v1", "///api", "/%61pi/v1", "/api%2Fv1", "/%2Fapi/v1", "/%2fapi",
		"/./api", "/x/../api/v1", "/x/%2e%2e/api", "/x/.%2E/api", "/x%2f..%2fapi", "/..", "/.", "/x/.", "/x/..", "/x/%2e",
		`/\api`, "/%5Capi", `/x\..\api`, "/api%00", "/x%00", "/x%0d%0ay", "/x%7f", "/%ff", "/%c0%afapi",
		"/admin", "/admin/", "/%61dmin/x", "/healthz", "/readyz", "/version", "/metrics", "/realtime/x", "/realtime",
		"/~", "/~/x", "/~one/../admin", "/~one/api/x", "/~one//api", "/~one/%61pi", "/~one/~one/x", "/~one/admin", "/%7e",
	} {
		if o := table.Find("h", "GET", path); o.Match != nil {
			t.Errorf("%s reached the route %q", path, o.Match.Route.Path)
		}
	}
	for _, path := range []string{"/apis", "/administrator", "/x/api", "/x/~y", "/...", "/.well-known/x", "/..x", "/%2561pi", "/API/x", "/~one/x"} {
		if o := table.Find("h", "GET", path); o.Match == nil {
			t.Errorf("%s reached no route", path)
		}
	}
}

func TestDomains(t *testing.T) {
	of := func(app byte, r *cloud.Route) *cloud.Route { r.AppID = appN(app); return r }
	routes := []*cloud.Route{
		of(2, rt(t, 1, "GET * /hello")),
		of(1, rt(t, 2, "GET * /hello")),
		of(2, rt(t, 3, "GET * /two")),
		of(1, rt(t, 4, "GET www.two.org /one")),
		of(2, rt(t, 5, "GET free.org /free")),
		of(2, rt(t, 6, "POST * /hello")),
	}
	domain := func(app byte, host string) *cloud.Domain {
		kind := Exact
		if host[0] == '*' {
			kind = Wildcard
		}
		return &cloud.Domain{AppID: appN(app), Host: host, Kind: kind}
	}
	table := compile(t, routes, []*cloud.Domain{domain(1, "one.org"), domain(2, "*.two.org"), domain(1, "*.x.two.org"), domain(9, "nothing.org")})
	for _, c := range []struct{ name, host, method, path, want string }{
		{"unclaimed: the oldest app", "h", "GET", "/hello", "2"},
		{"unclaimed: the app that has the method", "h", "POST", "/hello", "6"},
		{"unclaimed: the other app's", "h", "GET", "/two", "3"},
		{"unclaimed: exact host", "free.org", "GET", "/free", "5"},
		{"claimed", "one.org", "GET", "/hello", "2"},
		{"claimed: not the other app's", "one.org", "GET", "/two", "404"},
		{"claimed: not the other app's method", "one.org", "POST", "/hello", "405 GET,HEAD"},
		{"wildcard claim", "www.two.org", "GET", "/hello", "1"},
		{"wildcard claim shuts out routes for that host", "www.two.org", "GET", "/one", "404"},
		{"wildcard claim is not for its own name", "two.org", "GET", "/hello", "2"},
		{"longer claim", "a.x.two.org", "GET", "/hello", "2"},
		{"claimed by an app without routes", "nothing.org", "GET", "/hello", "404"},
		{"slug", "h", "GET", "/~two/hello", "1 path=/hello"},
		{"slug on its own host", "www.two.org", "GET", "/~two/hello", "1 path=/hello"},
		{"slug on another's host", "one.org", "GET", "/~two/hello", "404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := show(table.Find(c.host, c.method, c.path)); got != c.want {
				t.Errorf("%s %s %s: got %q, want %q", c.method, c.host, c.path, got, c.want)
			}
		})
	}
	if got := table.Owner("A.X.two.org:80"); got != appN(1) {
		t.Errorf("Owner: got %v, want app 1", got)
	}
	again := table.WithHosts(nil, map[string]cloud.AppID{"two": appN(1)})
	if got := show(again.Find("one.org", "GET", "/two")); got != "3" {
		t.Errorf("without domains: got %q, want 3", got)
	}
	if got := show(again.Find("h", "GET", "/~two/hello")); got != "2 path=/hello" {
		t.Errorf("with another slug: got %q, want 2", got)
	}
}

func TestCheck(t *testing.T) {
	type R = cloud.Route
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		name  string
		in    R
		field string // "" is valid
	}{
		{"defaults", R{Path: "/x"}, ""},
		{"method in lower case", R{Path: "/x", Method: "get"}, ""},
		{"colon inside a segment", R{Path: "/x:y"}, ""},
		{"dots inside a segment", R{Path: "/..x/.well-known"}, ""},
		{"near a reserved one", R{Path: "/apis"}, ""},
		{"root prefix", R{Path: "/", PathKind: Prefix}, ""},
		{"wildcard", R{Path: "/", HostKind: Wildcard, Host: "*.Example.org", HostParamName: "tenant"}, ""},
		{"local host", R{Path: "/", HostKind: Exact, Host: "raspberrypi"}, ""},
		{"address", R{Path: "/", HostKind: Exact, Host: "192.168.1.5"}, ""},
		{"unknown host kind", R{Path: "/x", HostKind: "some"}, "host_kind"},
		{"unknown path kind", R{Path: "/x", PathKind: "glob"}, "path_kind"},
		{"unknown dispatch", R{Path: "/x", DispatchMode: "later"}, "dispatch_mode"},
		{"unknown method", R{Path: "/x", Method: "FETCH"}, "method"},
		{"no slash", R{Path: "x"}, "path"},
		{"empty", R{}, "path"},
		{"empty segment", R{Path: "/x//y"}, "path"},
		{"two slashes at the end", R{Path: "/x//"}, "path"},
		{"only slashes", R{Path: "//"}, "path"},
		{"dot", R{Path: "/x/./y"}, "path"},
		{"dot dot", R{Path: "/x/.."}, "path"},
		{"percent", R{Path: "/%61pi"}, "path"},
		{"backslash", R{Path: `/x\y`}, "path"},
		{"NUL", R{Path: "/x\x00"}, "path"},
		{"newline", R{Path: "/x\n"}, "path"},
		{"query", R{Path: "/x?y"}, "path"},
		{"braces", R{Path: "/{id}", PathKind: Param}, "path"},
		{"star", R{Path: "/x/*", PathKind: Prefix}, "path"},
		{"not UTF-8", R{Path: "/\xff"}, "path"},
		{"too long", R{Path: "/" + strings.Repeat("x", maxPath)}, "path"},
		{"too deep", R{Path: strings.Repeat("/x", maxSegments+1)}, "path"},
		{"parameter in exact", R{Path: "/:id"}, "path"},
		{"parameter in prefix", R{Path: "/:id", PathKind: Prefix}, "path"},
		{"no parameter", R{Path: "/id", PathKind: Param}, "path"},
		{"parameter twice", R{Path: "/:a/:a", PathKind: Param}, "path"},
		{"parameter without name", R{Path: "/:", PathKind: Param}, "path"},
		{"parameter with a bad name", R{Path: "/:a-b", PathKind: Param}, "path"},
		{"parameter that begins with a digit", R{Path: "/:1", PathKind: Param}, "path"},
		{"reserved api", R{Path: "/api/x"}, "path"},
		{"reserved api itself", R{Path: "/api"}, "path"},
		{"reserved admin", R{Path: "/admin"}, "path"},
		{"reserved admin prefix", R{Path: "/admin/", PathKind: Prefix}, "path"},
		{"reserved healthz", R{Path: "/healthz"}, "path"},
		{"reserved readyz", R{Path: "/readyz/"}, "path"},
		{"reserved version", R{Path: "/version"}, "path"},
		{"reserved metrics", R{Path: "/metrics/:x", PathKind: Param}, "path"},
		{"reserved slug", R{Path: "/~x"}, "path"},
		{"reserved realtime", R{Path: "/realtime/x"}, "path"},
		{"any with host", R{Path: "/x", Host: "example.org"}, "host"},
		{"exact without host", R{Path: "/x", HostKind: Exact}, "host"},
		{"exact with star", R{Path: "/x", HostKind: Exact, Host: "*.example.org"}, "host"},
		{"wildcard without star", R{Path: "/x", HostKind: Wildcard, Host: "example.org"}, "host"},
		{"wildcard of all", R{Path: "/x", HostKind: Wildcard, Host: "*"}, "host"},
		{"host with port", R{Path: "/x", HostKind: Exact, Host: "example.org:80"}, "host"},
		{"host with scheme", R{Path: "/x", HostKind: Exact, Host: "https://example.org"}, "host"},
		{"host with hyphen first", R{Path: "/x", HostKind: Exact, Host: "-x.org"}, "host"},
		{"host with long label", R{Path: "/x", HostKind: Exact, Host: long + ".org"}, "host"},
		{"long host", R{Path: "/x", HostKind: Exact, Host: strings.Repeat("abc.", 64) + "org"}, "host"},
		{"host parameter of exact", R{Path: "/x", HostKind: Exact, Host: "x.org", HostParamName: "t"}, "host_param_name"},
		{"bad host parameter", R{Path: "/x", HostKind: Wildcard, Host: "*.x.org", HostParamName: "a b"}, "host_param_name"},
		{"host parameter is a path's", R{Path: "/:t", PathKind: Param, HostKind: Wildcard, Host: "*.x.org", HostParamName: "t"}, "host_param_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.in
			err := Check(&r)
			if c.field != "" {
				if cloud.KindOf(err) != cloud.Invalid || !strings.HasPrefix(cloud.Message(err), c.field) {
					t.Fatalf("got %v, want invalid that names %s", err, c.field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again := r
			if err := Check(&again); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("checked again: got %+v, %v, want %+v", again, err, r)
			}
			if r.HostKind == "" || r.PathKind == "" || r.DispatchMode == "" || r.Method != strings.ToUpper(r.Method) || r.Host != strings.ToLower(r.Host) {
				t.Errorf("not normalised: %+v", r)
			}
		})
	}
}

func TestOverlap(t *testing.T) {
	have := rt(t, 1, "GET * /users/:id")
	host := rt(t, 2, "GET x.org /a")
	host.AppID = appN(2)
	other := rt(t, 3, "GET * /two")
	other.AppID = appN(2)
	prefix := rt(t, 4, "ANY * /files*")
	all := []*cloud.Route{have, host, other, prefix}
	for _, c := range []struct {
		text string
		want *cloud.Route
	}{
		{"GET * /users/:name", have},
		{"ANY * /users/:id", have},
		{"POST * /users/:id", nil},
		{"GET * /users/:id/", nil},
		{"GET * /users/id", nil},
		{"GET x.org /users/:id", nil},
		{"GET x.org /a", host},
		{"GET *.x.org /a", nil},
		{"GET * /two", nil},
		{"GET * /files*", prefix},
		{"GET * /files", nil},
	} {
		if got := Overlap(rt(t, 99, c.text), all); got != c.want {
			t.Errorf("%s: got %v, want %v", c.text, got, c.want)
		}
	}
	if got := Overlap(have, all); got != nil {
		t.Errorf("a route overlaps itself: %v", got)
	}
}

func TestCompileRefusesUnchecked(t *testing.T) {
	bad := &cloud.Route{PathKind: "glob", Path: "/x"}
	if _, err := Compile([]*cloud.Route{bad}, nil, nil); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("Compile: got %v, want invalid", err)
	}
	table := compile(t, nil, nil)
	if _, err := table.With(bad); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("With: got %v, want invalid", err)
	}
	if _, err := table.Without(bad); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("Without: got %v, want invalid", err)
	}
}

func TestFindAllocates(t *testing.T) {
	table := compile(t, []*cloud.Route{rt(t, 1, "GET * /a/b"), rt(t, 2, "GET *.example.org /users/:id")}, nil)
	for _, c := range []struct {
		name, host, path string
		want             float64
	}{
		{"exact: the match", "h", "/a/b", 1},
		{"miss", "h", "/nothing/here", 0},
		{"parameters: the match and its map", "x.example.org", "/users/7", 3},
	} {
		if got := testing.AllocsPerRun(100, func() { table.Find(c.host, "GET", c.path) }); got > c.want {
			t.Errorf("%s: got %v allocations, want at most %v", c.name, got, c.want)
		}
	}
}
