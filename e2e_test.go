package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts drive the real binary from outside, as a user would: see testdata/script.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"picloud": main})
}

const (
	ownerName     = "owner"
	ownerPassword = "correct horse battery staple"
)

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			port, err := freePort()
			if err != nil {
				return err
			}
			in := &instance{dir: filepath.Join(env.WorkDir, "data"), addr: "127.0.0.1:" + port}
			env.Values[instanceKey{}] = in
			env.Defer(in.kill)
			env.Vars = append(env.Vars, "ADDR="+in.addr, "URL=http://"+in.addr, "DATA="+in.dir,
				"OWNER="+ownerName, "PASSWORD="+ownerPassword, "HOME="+env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":    startCmd,
			"shutdown": func(ts *testscript.TestScript, _ bool, _ []string) { instanceOf(ts).stop(ts) },
			"crash":    func(ts *testscript.TestScript, _ bool, _ []string) { instanceOf(ts).kill() },
			"req":      reqCmd,
			"until":    untilCmd,
			"set":      setCmd,
		},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

type instanceKey struct{}

// instance is one running binary and its data directory.
type instance struct {
	dir, addr string
	cmd       *exec.Cmd
	log       *os.File
	cookie    string
	key       string
	last      []byte // body of the last answer, for set
}

func instanceOf(ts *testscript.TestScript) *instance {
	return ts.Value(instanceKey{}).(*instance)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// startCmd is: start [-noowner] [NAME=VALUE …] [-- flag …]. It returns when /readyz answers.
func startCmd(ts *testscript.TestScript, neg bool, args []string) {
	in := instanceOf(ts)
	if in.cmd != nil {
		ts.Fatalf("the instance runs already")
	}
	env := append(os.Environ(), "PICLOUD_OWNER_USERNAME="+ownerName, "PICLOUD_OWNER_PASSWORD="+ownerPassword)
	flags := []string{"serve", "--data-dir", in.dir, "--listen", in.addr}
	for i, a := range args {
		if a == "--" {
			flags = append(flags, args[i+1:]...)
			break
		}
		if a == "-noowner" {
			env = os.Environ()
			continue
		}
		env = append(env, a)
	}
	if err := in.start(env, flags...); err != nil {
		ts.Fatalf("%v", err)
	}
}

// start runs the binary and waits until it is ready. Its log goes beside the data directory.
func (in *instance) start(env []string, args ...string) error {
	exe := os.Getenv("PICLOUD_BIN")
	if exe == "" {
		var err error
		if exe, err = exec.LookPath("picloud"); err != nil {
			return err
		}
	}
	var err error
	in.log, err = os.OpenFile(filepath.Join(filepath.Dir(in.dir), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	in.cmd = exec.Command(exe, args...)
	in.cmd.Env, in.cmd.Stderr = env, in.log
	if err := in.cmd.Start(); err != nil {
		return err
	}
	if err := in.ready(); err != nil {
		b, _ := os.ReadFile(in.log.Name())
		in.kill()
		return fmt.Errorf("%w; its log:\n%s", err, b)
	}
	return nil
}

func (in *instance) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return retry(ctx, func() error {
		resp, err := http.Get("http://" + in.addr + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("/readyz answers %d", resp.StatusCode)
		}
		return nil
	})
}

// retry calls f until it succeeds or ctx ends: the process under test can't be waited for
// in any other way.
func retry(ctx context.Context, f func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func (in *instance) kill() {
	if in.cmd == nil {
		return
	}
	in.cmd.Process.Kill()
	in.cmd.Wait()
	in.log.Close()
	in.cmd = nil
}

func (in *instance) stop(ts *testscript.TestScript) {
	if in.cmd == nil {
		ts.Fatalf("the instance does not run")
	}
	ts.Check(in.cmd.Process.Signal(syscall.SIGTERM))
	err := in.cmd.Wait()
	in.log.Close()
	in.cmd = nil
	if err != nil {
		ts.Fatalf("orderly stop: %v", err)
	}
}

// reqCmd is: req [-as owner|nobody|key:SECRET] [-H 'Name: value'] [-d body|@file] [-s STATUS] [-c] METHOD PATH.
// It prints status, headers that matter and body; without -s, a status of 400 or more fails
// (or is expected, with !).
func reqCmd(ts *testscript.TestScript, neg bool, args []string) {
	in := instanceOf(ts)
	r := request{as: "nobody"}
	if err := r.parse(ts, args); err != nil {
		ts.Fatalf("req: %v", err)
	}
	if strings.HasPrefix(r.path, "/api/") && r.as == "nobody" && !r.explicit {
		r.as = "owner"
	}
	status, header, body, err := in.do(r)
	ts.Check(err)
	in.last = body
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d\n", status)
	for _, h := range []string{"Allow", "Content-Type", "Location", "Retry-After", "X-Picloud-Execution-Id"} {
		if v := header.Get(h); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", h, v)
		}
	}
	out.Write(body)
	fmt.Fprintln(ts.Stdout(), out.String())
	switch {
	case r.want != 0 && status != r.want:
		ts.Fatalf("%s %s: got status %d, want %d: %s", r.method, r.path, status, r.want, body)
	case r.want == 0 && neg != (status >= 400):
		ts.Fatalf("%s %s: status %d: %s", r.method, r.path, status, body)
	}
}

type request struct {
	as, method, path string
	body             string
	header           http.Header
	want             int
	explicit         bool
}

func (r *request) parse(ts *testscript.TestScript, args []string) error {
	r.header = http.Header{}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if len(args) < 2 {
			return fmt.Errorf("%s needs a value", args[0])
		}
		v := args[1]
		switch args[0] {
		case "-as":
			r.as, r.explicit = v, true
		case "-H":
			k, val, _ := strings.Cut(v, ":")
			r.header.Add(k, strings.TrimSpace(val))
		case "-d":
			if name, ok := strings.CutPrefix(v, "@"); ok {
				v = ts.ReadFile(name)
			}
			r.body = v
		case "-s":
			n, err := strconv.Atoi(v)
			if err != nil {
				return err
			}
			r.want = n
		default:
			return fmt.Errorf("unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if len(args) != 2 {
		return fmt.Errorf("want METHOD PATH, got %q", args)
	}
	r.method, r.path = args[0], args[1]
	return nil
}

func (in *instance) do(r request) (int, http.Header, []byte, error) {
	req, err := http.NewRequest(r.method, "http://"+in.addr+r.path, strings.NewReader(r.body))
	if err != nil {
		return 0, nil, nil, err
	}
	if r.body != "" && r.header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		req.Header[k] = v
		if k == "Host" {
			req.Host = v[0]
		}
	}
	switch {
	case r.as == "owner":
		if err := in.login(); err != nil {
			return 0, nil, nil, err
		}
		req.Header.Set("Cookie", in.cookie)
		if req.Header.Get("Origin") == "" {
			req.Header.Set("Origin", "http://"+in.addr)
		}
	case strings.HasPrefix(r.as, "key:"):
		req.Header.Set("Authorization", "Bearer "+strings.TrimPrefix(r.as, "key:"))
	}
	client := &http.Client{Timeout: 60 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

// login logs the owner in once an instance.
func (in *instance) login() error {
	if in.cookie != "" {
		return nil
	}
	body, _ := json.Marshal(map[string]string{"username": ownerName, "password": ownerPassword})
	status, header, answer, err := in.do(request{as: "nobody", method: "POST", path: "/api/v1/admin/auth/login", body: string(body), header: http.Header{}})
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("login: %d %s", status, answer)
	}
	in.cookie, _, _ = strings.Cut(header.Get("Set-Cookie"), ";")
	return nil
}

// untilCmd is: until REGEXP [req flags] METHOD PATH. It repeats the request until the answer
// matches, for at most 30 s.
func untilCmd(ts *testscript.TestScript, neg bool, args []string) {
	in := instanceOf(ts)
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	r := request{as: "nobody"}
	if err := r.parse(ts, args[1:]); err != nil {
		ts.Fatalf("until: %v", err)
	}
	if strings.HasPrefix(r.path, "/api/") && !r.explicit {
		r.as = "owner"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(retry(ctx, func() error {
		status, _, body, err := in.do(r)
		if err != nil {
			return err
		}
		in.last = body
		if re.Match(fmt.Appendf(nil, "%d\n%s", status, body)) == neg {
			return fmt.Errorf("%s %s: %d %s: want match of %s: %v", r.method, r.path, status, body, re, !neg)
		}
		return nil
	}))
	fmt.Fprintln(ts.Stdout(), string(in.last))
}

// setCmd is: set NAME path.to.field. It takes a value out of the last JSON answer; a number
// in the path is an index.
func setCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: set NAME path.to.field")
	}
	var v any
	ts.Check(json.Unmarshal(instanceOf(ts).last, &v))
	for part := range strings.SplitSeq(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				ts.Fatalf("no element %q in %s", part, instanceOf(ts).last)
			}
			v = x[i]
		default:
			ts.Fatalf("no field %q in %s", part, instanceOf(ts).last)
		}
	}
	if v == nil {
		ts.Fatalf("%s is missing in %s", args[1], instanceOf(ts).last)
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}
