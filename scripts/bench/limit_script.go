package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"picloud/app/cloud"
	"picloud/app/executor"
	"picloud/app/sdk"
	"picloud/db"
)

// workload is a function of a script, as our module has it and as a bare engine evaluates it.
type workload struct {
	work, setup, body string
	per               int // pieces of work in one call
}

var workloads = []workload{
	{work: "warm call of an empty function", body: `return null;`, per: 1},
	{work: "loop of 1,000,000 turns", body: `let n = 0; for (let i = 0; i < 1000000; i++) { n += i; } return n;`, per: 1},
	{work: "JSON.parse and stringify of 10 kB", per: 100,
		setup: `const text = JSON.stringify(Array.from({length: 110}, (_, i) => ({id: i, name: "name " + i, tags: ["a", "b"], on: true, at: i * 1.5, and: "some more text"})));`,
		body:  `let n = 0; for (let i = 0; i < 100; i++) { n += JSON.stringify(JSON.parse(text)).length; } return n;`},
	{work: "host call", per: 1000, body: `let n = 0; for (let i = 0; i < 1000; i++) { n += host(); } return n;`},
}

const hello = `({message: "Hello, " + (ctx.request.query.name || "world") + "!"})`

// limitJS compares JavaScript in the executor, with the SDK, limits, and all, with the engine
// alone, which has none.
func limitJS(o limitOptions) (rows []comparison, cleanup func(), err error) {
	s, err := openStore(db.Relaxed)
	if err != nil {
		return nil, nil, err
	}
	cleanup = s.close
	for _, w := range workloads {
		ours := strings.ReplaceAll(w.body, "host()", "time.nowMs()")
		run, err := s.executed(w.setup+" export default function (ctx) { "+ours+" }", w.per, false)
		if err != nil {
			return nil, cleanup, err
		}
		bare, err := bareCall(w.setup+" (function () { "+w.body+" })", w.per)
		if err != nil {
			return nil, cleanup, err
		}
		c := comparison{work: w.work, ours: side{run: run}, bare: []side{{name: "QuickJS in Go (modernc)", run: bare}}}
		rows = append(rows, c)
	}
	compiled, err := s.executed("export default (ctx) => "+hello, 1, true)
	if err != nil {
		return nil, cleanup, err
	}
	return append(rows, comparison{work: "compile a function and run it for the first time", ours: side{run: compiled},
		bare: []side{{name: "QuickJS in Go (modernc)", run: repeated(1, func(int) error { return bareFirst("(function (ctx) { return " + hello + "; })") })}}}), cleanup, nil
}

// executed is a run of source by the executor; anew: each time as a version that it hasn't seen.
func (s *stored) executed(source string, per int, anew bool) (func(time.Duration) (int, error), error) {
	script := &cloud.Script{ID: cloud.NewID[cloud.ScriptID](), AppID: s.app, AppSlug: "bench", Name: "bench", Source: source,
		Engine: cloud.EngineQuickJS, TimeoutSeconds: 30, Version: 1}
	e, err := executor.New(executor.Options{Scripts: fixedScript{script}, Services: sdk.Services{Data: s.store}})
	if err != nil {
		return nil, err
	}
	return func(d time.Duration) (int, error) {
		n, err := repeated(1, func(int) error {
			if anew {
				next := *script
				next.Version++
				*script = next
			}
			id := cloud.NewID[cloud.ExecutionID]()
			res, _ := e.Run(context.Background(), &cloud.Invocation{ID: id, Root: id, App: s.app, Script: script.ID, Source: cloud.SourceHTTP, Op: "GET", Attempt: 1, Key: id.String(),
				Request: &cloud.Request{Method: "GET", Path: "/", URL: "http://pi.local/", Query: map[string]any{"name": "bench"}, Params: map[string]string{}, Headers: map[string]string{"accept": "*/*"}}}, nil)
			if res.Err != nil {
				return fmt.Errorf("%w: %+v", res.Err, res.Trace)
			}
			return nil
		})(d)
		return n * per, err
	}, nil
}

type fixedScript struct{ script *cloud.Script }

func (f fixedScript) Script(context.Context, cloud.ScriptID) (*cloud.Script, error) {
	s := *f.script
	return &s, nil
}

func (f fixedScript) ScriptNamed(context.Context, cloud.AppID, string) (*cloud.Script, error) {
	return nil, cloud.Errorf(cloud.NotFound, "no such script")
}
