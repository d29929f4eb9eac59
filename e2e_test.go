package main

import (
	"bufio"
	"bytes"
	"cmp"
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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"picloud/app/executor"
)

// The scripts drive the real binary from outside, as a user would: see testdata/script.
func TestMain(m *testing.M) {
	executor.Worker() // the binary under test starts itself
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
			repo, err := os.Getwd()
			if err != nil {
				return err
			}
			in := &instance{dir: filepath.Join(env.WorkDir, "data"), addr: "127.0.0.1:" + port}
			env.Values[instanceKey{}] = in
			env.Values[s3Key{}] = &sync.Map{}
			env.Defer(in.kill)
			env.Vars = append(env.Vars, "ADDR="+in.addr, "URL=http://"+in.addr, "DATA="+in.dir,
				"OWNER="+ownerName, "PASSWORD="+ownerPassword, "HOME="+env.WorkDir, "REPO="+repo, "HONO_MODULES="+honoModules())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":    startCmd,
			"shutdown": func(ts *testscript.TestScript, _ bool, _ []string) { instanceOf(ts).stop(ts) },
			"crash":    func(ts *testscript.TestScript, _ bool, _ []string) { instanceOf(ts).kill() },
			"raw":      rawCmd,
			"req":      reqCmd,
			"session":  sessionCmd,
			"until":    untilCmd,
			"set":      setCmd,
			"await":    awaitCmd,
			"s3":       s3Cmd,
		},
		Condition:           condition,
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
	launch    func(*exec.Cmd) error // how it is started; nil: as it is
	probe     string                // what answers once it has started; "": /readyz
	cookies   map[string]string     // of sessions, by the name that -as takes
	last      []byte                // body of the last answer, for set
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

// program is the binary under test.
func program() (string, error) {
	if exe := os.Getenv("PICLOUD_BIN"); exe != "" {
		return exe, nil
	}
	return exec.LookPath("picloud")
}

// start runs the binary and waits until it is ready. Its log goes beside the data directory.
func (in *instance) start(env []string, args ...string) error {
	exe, err := program()
	if err != nil {
		return err
	}
	in.log, err = os.OpenFile(filepath.Join(filepath.Dir(in.dir), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	in.cmd = exec.Command(exe, args...)
	in.cmd.Env, in.cmd.Stderr = env, in.log
	launch := (*exec.Cmd).Start
	if in.launch != nil {
		launch = in.launch
	}
	if err := launch(in.cmd); err != nil {
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
		path := cmp.Or(in.probe, "/readyz")
		resp, err := http.Get("http://" + in.addr + path)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("%s answers %d", path, resp.StatusCode)
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

// reqCmd is: req [-as owner|nobody|SESSION|key:SECRET] [-H 'Name: value'] [-d body|@file] [-s STATUS] METHOD PATH.
// It prints status, headers (but Date) and body; without -s, a status of 400 or more fails
// (or is expected, with !). A session sends its own Origin unless -H says otherwise.
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
	ts.Check(header.WriteSubset(&out, map[string]bool{"Date": true}))
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
	if key, ok := strings.CutPrefix(r.as, "key:"); ok {
		req.Header.Set("Authorization", "Bearer "+key)
	} else if r.as != "nobody" {
		if req.Header["Cookie"], err = in.session(r.as); err != nil {
			return 0, nil, nil, err
		}
		if _, given := req.Header["Origin"]; !given {
			req.Header.Set("Origin", "http://"+in.addr)
		}
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

// session is the Cookie header of a session that sessionCmd began; the owner's begins when it
// is first asked for.
func (in *instance) session(name string) ([]string, error) {
	if in.cookies[name] == "" && name != ownerName {
		return nil, fmt.Errorf("no session %q: begin it with the command session", name)
	}
	if in.cookies[name] == "" {
		if err := in.login(ownerName, ownerName, ownerPassword); err != nil {
			return nil, err
		}
	}
	return []string{in.cookies[name]}, nil
}

// login begins the session name.
func (in *instance) login(name, username, password string) error {
	body, _ := json.Marshal(map[string]string{"username": username, "password": password})
	status, header, answer, err := in.do(request{as: "nobody", method: "POST", path: "/api/v1/admin/auth/login", body: string(body), header: http.Header{}})
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("login: %d %s", status, answer)
	}
	if in.cookies == nil {
		in.cookies = map[string]string{}
	}
	in.cookies[name], _, _ = strings.Cut(header.Get("Set-Cookie"), ";")
	return nil
}

// sessionCmd is: session NAME USERNAME PASSWORD. It logs in; then -as NAME acts in that session.
func sessionCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: session NAME USERNAME PASSWORD")
	}
	ts.Check(instanceOf(ts).login(args[0], args[1], args[2]))
}

// rawCmd is: raw [-hold] FILE [TEXT]. It sends what no HTTP client would, with CRLF at the ends of
// lines, and prints everything that comes back until TEXT or the connection's end, for at most 30 s.
// With -hold it only sends, and leaves the connection open until the end of the script.
func rawCmd(ts *testscript.TestScript, neg bool, args []string) {
	hold := len(args) > 0 && args[0] == "-hold"
	if hold {
		args = args[1:]
	}
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: raw [-hold] FILE [TEXT]")
	}
	conn, err := net.Dial("tcp", instanceOf(ts).addr)
	ts.Check(err)
	ts.Defer(func() { conn.Close() })
	_, err = io.WriteString(conn, strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n"))
	ts.Check(err)
	if hold {
		return
	}
	ts.Check(conn.SetReadDeadline(time.Now().Add(30 * time.Second)))
	var answer []byte
	for r := bufio.NewReader(conn); err == nil && (len(args) == 1 || !bytes.Contains(answer, []byte(args[1]))); {
		var b byte
		if b, err = r.ReadByte(); err == nil {
			answer = append(answer, b)
		}
	}
	if err == io.EOF {
		err = nil
	}
	fmt.Fprintln(ts.Stdout(), string(answer))
	ts.Check(err)
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

// setCmd is: set NAME path.to.field [FILE]. It takes a value out of the last JSON answer, or
// out of a JSON file; in the path, a number is an index and * any field.
func setCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: set NAME path.to.field [FILE]")
	}
	from := instanceOf(ts).last
	if len(args) == 3 {
		from = []byte(ts.ReadFile(args[2]))
	}
	var v any
	ts.Check(json.Unmarshal(from, &v))
	for part := range strings.SplitSeq(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
			if part == "*" {
				for _, v = range x {
				}
			}
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				ts.Fatalf("no element %q in %s", part, from)
			}
			v = x[i]
		default:
			ts.Fatalf("no field %q in %s", part, from)
		}
	}
	if v == nil {
		ts.Fatalf("%s is missing in %s", args[1], from)
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// awaitCmd is: await FILE REGEXP. It waits until a program in the background has written what
// matches, for at most 30 s.
func awaitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(retry(ctx, func() error {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && !re.Match(b) {
			err = fmt.Errorf("%s never matched %s:\n%s", args[0], args[1], b)
		}
		return err
	}))
}
