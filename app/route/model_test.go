package route

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"picloud/app/cloud"
)

// model is the slow and obvious matcher: it asks every route and sorts what answers.
type model struct {
	routes  []*cloud.Route
	domains []*cloud.Domain
	slugs   map[string]cloud.AppID
}

type answer struct {
	route  *cloud.Route
	params map[string]string
	rest   string
}

func (m *model) find(host, method, path string) Outcome {
	host = strings.ToLower(host)
	if slices.Contains(strings.Split(host, "."), "") {
		host = "" // a name with an empty label is none
	}
	segs, slash, ok := modelSegments(path)
	if !ok {
		return Outcome{}
	}
	owner := m.owner(host)
	only, out := owner, Outcome{}
	if len(segs) > 0 && strings.HasPrefix(segs[0], "~") {
		out.BySlug = true
		slug := segs[0][1:]
		app, known := m.slugs[slug]
		if !known {
			out.Slug = slug
			return out
		}
		if !owner.IsZero() && owner != app {
			return out
		}
		only = app
		path = path[1:]
		if i := strings.Index(path, "/"); i < 0 {
			path = "/"
		} else {
			path = path[i:]
		}
		if segs, slash, ok = modelSegments(path); !ok {
			return out
		}
	}
	if len(segs) > 0 {
		first, _, _ := strings.Cut(segs[0], "/")
		if first != "" && (first[0] == '~' || slices.Contains([]string{"api", "admin", "healthz", "readyz", "version", "metrics", "realtime"}, first)) {
			return out
		}
	}
	var found []answer
	for _, r := range m.routes {
		if !only.IsZero() && r.AppID != only {
			continue
		}
		if a, ok := modelMatch(r, host, segs, slash); ok {
			found = append(found, a)
		}
	}
	slices.SortStableFunc(found, func(a, b answer) int { return slices.Compare(rank(a.route, method), rank(b.route, method)) })
	for _, a := range found {
		if fits(a.route.Method, method) {
			out.Match = &Match{Route: a.route, Params: a.params, Rest: a.rest, Path: path}
			return out
		}
	}
	for _, a := range found {
		out.Allow = append(out.Allow, a.route.Method)
		if a.route.Method == "GET" {
			out.Allow = append(out.Allow, "HEAD")
		}
	}
	slices.Sort(out.Allow)
	out.Allow = slices.Compact(out.Allow)
	return out
}

func fits(route, method string) bool {
	return route == "" || route == method || route == "GET" && method == "HEAD"
}

func (m *model) owner(host string) (app cloud.AppID) {
	best := -1
	for _, d := range m.domains {
		suffix := strings.TrimPrefix(d.Host, "*")
		switch {
		case d.Kind == Exact && d.Host == host:
			return d.AppID
		case d.Kind == Wildcard && strings.HasSuffix(host, suffix) && len(host) > len(suffix) && len(suffix) > best:
			best, app = len(suffix), d.AppID
		}
	}
	return app
}

// modelSegments cuts an escaped path; a trailing slash is told apart.
func modelSegments(path string) (segs []string, slash, ok bool) {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return nil, false, false
	}
	whole, err := url.PathUnescape(path)
	if err != nil || !utf8.ValidString(whole) || strings.HasPrefix(whole, "//") || strings.ContainsFunc(whole, func(r rune) bool { return r < 32 || r == 127 || r == '\\' }) {
		return nil, false, false
	}
	for _, s := range strings.Split(whole, "/") {
		if s == "." || s == ".." {
			return nil, false, false
		}
	}
	inner := path[1:]
	if slash = strings.HasSuffix(path, "/"); slash {
		inner = strings.TrimSuffix(inner, "/")
	}
	if path == "/" {
		return nil, true, true
	}
	for _, s := range strings.Split(inner, "/") {
		s, _ = url.PathUnescape(s)
		segs = append(segs, s)
	}
	return segs, slash, true
}

func modelMatch(r *cloud.Route, host string, segs []string, slash bool) (answer, bool) {
	a := answer{route: r}
	set := func(k, v string) {
		if a.params == nil {
			a.params = map[string]string{}
		}
		a.params[k] = v
	}
	switch r.HostKind {
	case Exact:
		if r.Host != host {
			return a, false
		}
	case Wildcard:
		suffix := strings.TrimPrefix(r.Host, "*")
		if !strings.HasSuffix(host, suffix) || len(host) == len(suffix) {
			return a, false
		}
		if r.HostParamName != "" {
			set(r.HostParamName, strings.TrimSuffix(host, suffix))
		}
	}
	var want []string
	wantSlash := false
	if r.Path != "/" {
		wantSlash = strings.HasSuffix(r.Path, "/")
		want = strings.Split(strings.Trim(r.Path, "/"), "/")
	}
	if len(segs) < len(want) || r.PathKind != Prefix && len(segs) != len(want) {
		return a, false
	}
	for i, w := range want {
		if w[0] != ':' {
			if segs[i] != w {
				return a, false
			}
			continue
		}
		if segs[i] == "" {
			return a, false
		}
		set(w[1:], segs[i])
	}
	more := segs[len(want):]
	if wantSlash && !slash && len(more) == 0 {
		return a, false
	}
	if r.PathKind == Prefix {
		a.rest = strings.Join(more, "/")
		if slash && len(more) > 0 {
			a.rest += "/"
		}
	}
	return a, true
}

// rank orders matches: smaller is better, from the first number on.
func rank(r *cloud.Route, method string) []int {
	host := map[string]int{Exact: 0, Wildcard: 1, Any: 2}[r.HostKind]
	kind := map[string]int{Exact: 0, Param: 1, Prefix: 2}[r.PathKind]
	n := []int{host, -len(r.Host), kind}
	segs := strings.Split(strings.Trim(r.Path, "/"), "/")
	if r.Path == "/" {
		segs = nil
	}
	literals := 0
	var where []int
	for _, s := range segs {
		if s[0] == ':' {
			where = append(where, 1)
		} else {
			where = append(where, 0)
			literals++
		}
	}
	n = append(n, -literals)
	n = append(n, where...)
	n = append(n, boolInt(!strings.HasSuffix(r.Path, "/")))
	switch r.Method {
	case method:
		n = append(n, 0)
	case "":
		n = append(n, 2)
	default:
		n = append(n, 1)
	}
	for _, b := range r.AppID {
		n = append(n, int(b))
	}
	for _, b := range r.ID {
		n = append(n, int(b))
	}
	return n
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// world is a random set of routes and domains over a small alphabet, so that they meet.
func world(rnd *rand.Rand) *model {
	pick := func(s ...string) string { return s[rnd.IntN(len(s))] }
	m := &model{slugs: map[string]cloud.AppID{"one": appN(1), "two": appN(2)}}
	for i := range 1 + rnd.IntN(30) {
		r := &cloud.Route{ID: cloud.RouteID{14: byte(i >> 8), 15: byte(i)}, AppID: appN(byte(1 + rnd.IntN(3)))}
		r.HostKind, r.PathKind, r.Method = pick(Any, Any, Exact, Wildcard), pick(Exact, Param, Prefix), pick("", "GET", "GET", "POST", "HEAD")
		switch r.HostKind {
		case Exact:
			r.Host = pick("a.org", "b.a.org", "c.b.a.org")
		case Wildcard:
			r.Host, r.HostParamName = pick("*.a.org", "*.b.a.org", "*.org"), pick("", "h")
		}
		for j := range rnd.IntN(4) {
			r.Path += "/" + pick("x", "y", "é", ":p")
			if strings.HasSuffix(r.Path, ":p") {
				r.Path += string(rune('0' + j))
			}
		}
		r.Path += pick("", "/")
		if Check(r) == nil {
			m.routes = append(m.routes, r)
		}
	}
	hosts := []string{"a.org", "b.a.org", "*.a.org", "*.b.a.org", "z.org"}
	rnd.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	for _, h := range hosts[:rnd.IntN(3)] {
		kind := Exact
		if h[0] == '*' {
			kind = Wildcard
		}
		m.domains = append(m.domains, &cloud.Domain{AppID: appN(byte(1 + rnd.IntN(3))), Host: h, Kind: kind})
	}
	return m
}

// compare finds with the table and with the model.
func compare(t *testing.T, m *model, table *Table, host, method, path string) {
	t.Helper()
	got, want := table.Find(host, method, path), m.find(host, method, path)
	if g, w := full(got), full(want); g != w {
		var all []string
		for _, r := range m.routes {
			all = append(all, strings.Join([]string{r.AppID.String()[34:], r.Method, r.Host, r.PathKind, r.Path}, " "))
		}
		t.Fatalf("%s %s %q: got %s, want %s among\n%s", method, host, path, g, w, strings.Join(all, "\n"))
	}
}

func full(o Outcome) string {
	s := show(o) + cmp.Or(map[bool]string{true: " byslug"}[o.BySlug], "")
	if o.Match != nil {
		s += " " + o.Match.Path
	}
	return s
}

func FuzzFind(f *testing.F) {
	for i, path := range []string{"/", "/x", "/x/y/", "/x//y", "/~one/x", "/~two", "/%7eone/y", "/x%2Fy", "/%C3%A9/x", "/api", "/x/../y", "/y/x/é/", "/~one//x", "/x/%", "/x/y/é/x/y/x"} {
		f.Add(uint64(i), "b.a.org", "GET", path)
		f.Add(uint64(i*100), "h", "POST", path)
		f.Add(uint64(i*1000), "c.b.a.org", "HEAD", path)
	}
	f.Fuzz(func(t *testing.T, seed uint64, host, method, path string) {
		if strings.ContainsAny(host, ":[") || strings.HasSuffix(host, ".") || len(host) > maxHost || !utf8.ValidString(host) {
			return // the model knows plain names only
		}
		m := world(rand.New(rand.NewPCG(seed, 1)))
		table, err := Compile(m.routes, m.domains, m.slugs)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, m, table, host, method, path)
	})
}

// randomPath is made of pieces that mean something to the matcher.
func randomPath(rnd *rand.Rand) string {
	pieces := []string{"/x", "/y", "/é", "/%C3%A9", "/x", "/y", "/z", "/", "/~one", "/~two", "/~none", "/%7Eone", "/api", "/%61pi", "/..", "/.", "/%2e%2E", "%2F", "%00", "%", "/admin", "\\", "/q%20q", "/%ff", "/:p0"}
	var b strings.Builder
	for range 1 + rnd.IntN(4) {
		n := len(pieces)
		if rnd.IntN(3) > 0 {
			n = 8
		}
		b.WriteString(pieces[rnd.IntN(n)])
	}
	return b.String()
}

// TestModel checks random tables, changed step by step, against the model.
func TestModel(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 11))
	hosts := []string{"h", "a.org", "b.a.org", "c.b.a.org", "x.b.a.org", "z.org", "org"}
	matched := 0
	for range 300 {
		full := world(rnd)
		m := &model{domains: full.domains, slugs: full.slugs}
		table, err := Compile(nil, m.domains, m.slugs)
		if err != nil {
			t.Fatal(err)
		}
		rnd.Shuffle(len(full.routes), func(i, j int) { full.routes[i], full.routes[j] = full.routes[j], full.routes[i] })
		for _, r := range full.routes {
			before := *m
			old := table
			if len(m.routes) > 0 && rnd.IntN(4) == 0 {
				i := rnd.IntN(len(m.routes))
				table, err = table.Without(m.routes[i])
				m.routes = slices.Delete(slices.Clone(m.routes), i, i+1)
			} else {
				table, err = table.With(r)
				m.routes = append(slices.Clone(m.routes), r)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				host, method, path := hosts[rnd.IntN(len(hosts))], []string{"GET", "POST", "HEAD", "PUT"}[rnd.IntN(4)], randomPath(rnd)
				compare(t, m, table, host, method, path)
				compare(t, &before, old, host, method, path)
				if table.Find(host, method, path).Match != nil {
					matched++
				}
			}
		}
		for _, r := range m.routes {
			if table, err = table.Without(r); err != nil {
				t.Fatal(err)
			}
		}
		if !table.all.any.own(false).empty() || len(table.all.exact)+len(table.all.wild) != 0 {
			t.Fatal("a table without routes keeps trees")
		}
	}
	if matched < 1000 {
		t.Errorf("only %d requests matched: the test shows too little", matched)
	}
}

// A checked pattern stays checked, and the table takes it.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"/", "/a/b/", "/users/:id", "/~x", "/api/", "/a//b", "/%41", "*.example.org", "/x\x00", "/:a/:a"} {
		f.Add(uint8(0), "*.example.org", "t", s, "get")
		f.Add(uint8(7), "example.org", "", s, "")
	}
	f.Fuzz(func(t *testing.T, kinds uint8, host, name, path, method string) {
		r := &cloud.Route{
			HostKind: []string{Any, Exact, Wildcard, ""}[kinds&3], PathKind: []string{Exact, Param, Prefix, ""}[kinds>>2&3],
			Host: host, HostParamName: name, Path: path, Method: method,
		}
		if err := Check(r); err != nil {
			if cloud.KindOf(err) != cloud.Invalid {
				t.Fatalf("got %v, want invalid", err)
			}
			return
		}
		again := *r
		if err := Check(&again); err != nil || again != *r {
			t.Fatalf("checked again: got %+v, %v, want %+v", again, err, *r)
		}
		table, err := Compile([]*cloud.Route{r}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, ":") {
			return
		}
		at := strings.Replace(r.Host, "*", "x", 1)
		u := url.URL{Path: r.Path}
		o := table.Find(at, cmp.Or(r.Method, "GET"), u.EscapedPath())
		if o.Match == nil {
			t.Fatalf("%+v doesn't match its own path %q", *r, u.EscapedPath())
		}
	})
}

// Rank and order agree for ids, too.
func TestOldestAppFirst(t *testing.T) {
	var routes []*cloud.Route
	for i := range 50 {
		r := rt(t, i, "GET * /x")
		binary.BigEndian.PutUint64(r.AppID[8:], uint64(50-i)<<32)
		routes = append(routes, r)
	}
	if got := compile(t, routes, nil).Find("h", "GET", "/x").Match.Route; got != routes[49] {
		t.Errorf("got app %v, want the oldest, %v", got.AppID, routes[49].AppID)
	}
}

// FuzzHost: a name that is accepted is found by every way to write it in a Host header.
func FuzzHost(f *testing.F) {
	for _, h := range []string{"a.org", "*.a.org", "A.ORG.", "xn--a", "a..b", "[::1]:80", "a:80", ".", "-a", "a_b.c", "127.0.0.1", "\u212a.org", "a.org:80:90"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, host string) {
		h := canonicalHost(host)
		if again := canonicalHost(h); !strings.ContainsAny(h, ":[.") && again != h {
			t.Errorf("%q became %q and that %q", host, h, again)
		}
		for _, kind := range []string{Exact, Wildcard} {
			name, err := CheckHost(kind, host)
			if err != nil {
				continue
			}
			if again, err := CheckHost(kind, name); err != nil || again != name {
				t.Errorf("%s %q became %q and that %q (%v)", kind, host, name, again, err)
			}
			asked := strings.Replace(name, "*", "w", 1)
			for _, written := range []string{asked, asked + ".", asked + ":8080", strings.ToUpper(asked)} {
				if got := canonicalHost(written); got != asked {
					t.Errorf("Host: %s is %q, want %q", written, got, asked)
				}
			}
		}
	})
}
