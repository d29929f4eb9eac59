package main

import (
	"flag"
	"net/http"
	"strconv"
	"time"

	"github.com/julienschmidt/httprouter"

	"picloud/scripts/bench/load"
)

// helloBody is what /load/hello answers to ?name=bench.
const helloBody = `{"message":"Hello, bench!"}`

// bareServer answers what the function hello does, without a function.
func bareServer(args []string) error {
	f := flag.NewFlagSet("bare", flag.ExitOnError)
	listen := f.String("listen", "", "address")
	router := f.Bool("router", false, "route by httprouter")
	f.Parse(args)
	hello := func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(helloBody)))
		h.Set("X-Picloud-Execution-Id", "019ac000-0000-7000-8000-000000000000")
		_, _ = w.Write([]byte(helloBody))
	}
	var handler http.Handler = http.HandlerFunc(hello)
	if *router {
		r := httprouter.New()
		for i := range 100 {
			r.GET("/other/"+strconv.Itoa(i), func(http.ResponseWriter, *http.Request, httprouter.Params) {})
		}
		r.GET("/hello", func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) { hello(w, r) })
		handler = r
	}
	return http.ListenAndServe(*listen, handler)
}

// limitHTTP compares hello over HTTP with bare Go servers, in processes of their own.
func limitHTTP(o limitOptions) ([]comparison, func(), error) {
	ours, err := startPicloud(o.picloud, "full")
	if err != nil {
		return nil, nil, err
	}
	bare, err := startSelf("bare")
	if err != nil {
		ours.stop()
		return nil, nil, err
	}
	router, err := startSelf("bare", "-router")
	cleanup := func() { ours.stop(); bare.stop(); router.stop() }
	if err != nil {
		ours.stop()
		bare.stop()
		return nil, nil, err
	}
	if err := ours.admin.deployLoad("default"); err != nil {
		cleanup()
		return nil, nil, err
	}
	if err := ours.fillLoad(""); err != nil {
		cleanup()
		return nil, nil, err
	}
	var rows []comparison
	for _, conns := range []int{1, 64} {
		rows = append(rows, comparison{
			work: "hello over HTTP, " + strconv.Itoa(conns) + " connections",
			ours: callSide(ours, "/load/hello?name=bench", conns),
			bare: []side{named("net/http", callSide(bare, "/hello?name=bench", conns)), named("httprouter", callSide(router, "/hello?name=bench", conns))},
		})
	}
	rows = append(rows, comparison{
		work: "read of a key over HTTP, 64 connections",
		ours: callSide(ours, "/load/read?n=0000000007", 64),
		bare: []side{named("net/http, without the read", callSide(bare, "/hello?name=bench", 64))},
	})
	return rows, cleanup, nil
}

func named(name string, s side) side {
	s.name = name
	return s
}

// callSide calls one path of a server in a closed loop.
func callSide(p *peer, path string, conns int) side {
	request := load.Request("GET", p.addr, path, "", nil)
	return side{pid: p.pid, run: func(d time.Duration) (int, error) {
		r, err := load.Run(p.addr, request, conns, d)
		return max(1, r.Requests-r.Failures), err
	}}
}
