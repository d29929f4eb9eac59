package project

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/evanw/esbuild/pkg/api"
	"modernc.org/quickjs"
)

// Harness is what a test talks to: an instance with the project in it.
type Harness interface {
	// Request sends a request to the app's routes.
	Request(ctx context.Context, r *TestRequest) (*TestResponse, error)
	// Data reads (GET), writes (PUT) or deletes (DELETE) an entry of the app; nil is no entry.
	Data(ctx context.Context, method, collection, key string, value json.RawMessage) (json.RawMessage, error)
}

// TestRequest is a request of a test.
type TestRequest struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// TestResponse is its answer.
type TestResponse struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Text    string            `json:"text"`
}

// TestResult is how one test ended.
type TestResult struct {
	Name     string
	Failure  string // "" when it passed: what was thrown, with a stack in the author's lines
	Frame    string // the line at fault
	Duration time.Duration
}

// Bounds of one file of tests.
const (
	testTime   = 5 * time.Minute
	testMemory = 256 << 20 // bytes
)

//go:embed harness.js
var testPrelude string

// BundleTests bundles files of tests.
func (p *Project) BundleTests(files []string) ([]*Bundle, error) {
	made, err := bundle(p.Dir, files, api.FormatIIFE)
	if err != nil {
		return nil, err
	}
	var bundles []*Bundle
	for _, name := range files {
		b := made[name]
		b.Function = &Function{Name: name, File: name}
		bundles = append(bundles, b)
	}
	return bundles, nil
}

// RunTests runs the tests of a file one after the other and tells of each when it ended. What
// they print goes to out. The error is that of the file itself, which then has no results.
func (b *Bundle) RunTests(ctx context.Context, h Harness, out io.Writer, ended func(TestResult)) error {
	vm, err := quickjs.NewVM()
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	defer vm.Close()
	vm.SetMemoryLimit(testMemory)
	if err := vm.SetEvalTimeout(testTime); err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	r := &testRun{ctx: ctx, bundle: b, harness: h, out: out, ended: ended}
	if err := vm.RegisterFunc("__host", r.host, false); err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	if _, err := vm.Eval(testPrelude, quickjs.EvalGlobal); err != nil {
		return fmt.Errorf("load the test functions: %w", err)
	}
	// Everything that is evaluated has one name in stacks: the test's lines come after the others.
	if _, err := vm.Eval(strings.Repeat("\n", firstLine)+b.Source, quickjs.EvalGlobal); err != nil {
		return fmt.Errorf("%s: %s", b.File, r.inAuthorsLines(err.Error()))
	}
	if _, err := vm.Eval("__run()", quickjs.EvalGlobal); err != nil {
		return fmt.Errorf("%s: %w", b.File, err)
	}
	return r.settle(vm)
}

// firstLine is the line before a test's first; the prelude has fewer.
const firstLine = 1000

// testRun is one file's tests at work.
type testRun struct {
	ctx     context.Context
	bundle  *Bundle
	harness Harness
	out     io.Writer
	ended   func(TestResult)

	current string // the test that runs
	started time.Time
	done    bool
}

// settle runs what awaits until the last test has ended.
func (r *testRun) settle(vm *quickjs.VM) error {
	for !r.done {
		if err := r.ctx.Err(); err != nil {
			return fmt.Errorf("%s: the tests did not end in time: %w", r.bundle.File, err)
		}
		n, err := vm.ExecutePendingJobs()
		if err != nil {
			return fmt.Errorf("%s: %w", r.bundle.File, err)
		}
		if n == 0 && !r.done {
			r.ended(TestResult{Name: r.current, Failure: "it awaits something that never comes", Duration: time.Since(r.started)})
			return nil
		}
	}
	return nil
}

// host is the one function that tests reach Go by: it takes and answers JSON.
func (r *testRun) host(op, args string) string {
	value, err := r.do(op, []byte(args))
	answer := map[string]any{"value": value}
	if err != nil {
		answer = map[string]any{"error": err.Error()}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return `{"error":"the answer can't be written as JSON"}`
	}
	return string(b)
}

func (r *testRun) do(op string, args []byte) (any, error) {
	switch op {
	case "request":
		var in TestRequest
		if err := json.Unmarshal(args, &in); err != nil {
			return nil, err
		}
		return r.harness.Request(r.ctx, &in)
	case "data":
		var in struct {
			Method, Collection, Key string
			Value                   json.RawMessage
		}
		if err := json.Unmarshal(args, &in); err != nil {
			return nil, err
		}
		return r.harness.Data(r.ctx, in.Method, in.Collection, in.Key, in.Value)
	case "pause":
		select {
		case <-r.ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		return nil, r.ctx.Err()
	}
	return nil, r.report(op, args)
}

// report takes what a test says about itself.
func (r *testRun) report(op string, args []byte) error {
	var text string
	if err := json.Unmarshal(args, &text); err != nil {
		return err
	}
	switch op {
	case "print":
		_, err := fmt.Fprintln(r.out, text)
		return err
	case "begin":
		r.current, r.started = text, time.Now()
	case "end":
		res := TestResult{Name: r.current, Duration: time.Since(r.started)}
		if text != "" {
			res.Failure = r.inAuthorsLines(text)
			res.Frame = r.frame(res.Failure)
		}
		r.ended(res)
	case "done":
		r.done = true
	}
	return nil
}

var (
	evalPlace = regexp.MustCompile(`<eval>:(\d+):(\d+)`)
	place     = regexp.MustCompile(`([^\s()]+\.[a-z]+):(\d+):(\d+)`)
)

// inAuthorsLines makes the places of a stack those of the files that the bundle is made of,
// and leaves out the ones that are not the author's.
func (r *testRun) inAuthorsLines(stack string) string {
	var lines []string
	for line := range strings.Lines(stack) {
		line = strings.TrimRight(line, "\n")
		m := evalPlace.FindStringSubmatch(line)
		if m == nil {
			lines = append(lines, line)
			continue
		}
		if file, l, c := r.bundle.Position(atoi(m[1])-firstLine, atoi(m[2])); file != "" && l > 0 {
			lines = append(lines, strings.Replace(line, m[0], fmt.Sprintf("%s:%d:%d", file, l, c), 1))
		}
	}
	return strings.Join(lines, "\n")
}

func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// frame shows the first place of a stack.
func (r *testRun) frame(stack string) string {
	m := place.FindStringSubmatch(stack)
	if m == nil {
		return ""
	}
	return r.bundle.Frame(m[1], atoi(m[2]), atoi(m[3]))
}
