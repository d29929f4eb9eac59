package route

import (
	"fmt"
	"testing"

	"picloud/app/cloud"
)

// many makes n routes of all kinds in ten apps.
func many(tb testing.TB, n int) []*cloud.Route {
	var routes []*cloud.Route
	for i := range n {
		text := []string{"GET * /r%d/exact", "GET * /r%d/:id/posts/:post", "GET * /r%d/files*", "GET host%d.example.org /x", "POST *.host%d.example.org /y/:z"}[i%5]
		r := rt(tb, i, fmt.Sprintf(text, i))
		r.AppID = appN(byte(1 + i%10))
		routes = append(routes, r)
	}
	return routes
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		table := compile(b, many(b, n), nil)
		last := n - 5
		for _, c := range []struct{ name, host, method, path string }{
			{"exact", "h", "GET", fmt.Sprintf("/r%d/exact", last)},
			{"param", "h", "GET", fmt.Sprintf("/r%d/7/posts/8", last+1)},
			{"prefix", "h", "GET", fmt.Sprintf("/r%d/files/a/b", last+2)},
			{"host", fmt.Sprintf("host%d.example.org", last+3), "GET", "/x"},
			{"wildcard", fmt.Sprintf("t.host%d.example.org", last+4), "POST", "/y/1"},
			{"miss", "h", "GET", "/nothing/here"},
		} {
			b.Run(fmt.Sprintf("%s/routes=%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				if o := table.Find(c.host, c.method, c.path); (o.Match == nil) != (c.name == "miss") {
					b.Fatalf("got %s", show(o))
				}
				for b.Loop() {
					table.Find(c.host, c.method, c.path)
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	routes := many(b, 10_000)
	for b.Loop() {
		compile(b, routes, nil)
	}
}

func BenchmarkWith(b *testing.B) {
	table := compile(b, many(b, 10_000), nil)
	r := rt(b, 20_000, "GET * /one/more")
	for b.Loop() {
		if _, err := table.With(r); err != nil {
			b.Fatal(err)
		}
	}
}
