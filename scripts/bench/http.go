package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"picloud/scripts/bench/load"
)

// peer is a server under test, ready to answer.
type peer struct {
	name, addr string
	requests   map[string][]byte // by bench name
	stop       func()
	pid        int
	dir        string  // of picloud's data
	admin      *client // of picloud, logged in
}

func httpBench(args []string) error {
	f := flag.NewFlagSet("http", flag.ExitOnError)
	picloud := f.String("picloud", "", "picloud binary; empty leaves it out")
	pocketbase := f.String("pocketbase", "", "binary of ./pocketbase; empty leaves it out")
	d := f.Duration("d", 5*time.Second, "duration of each measurement")
	durability := f.String("durability", "relaxed", "of picloud")
	f.Parse(args)

	var peers []func() (*peer, error)
	if *picloud != "" {
		peers = append(peers, func() (*peer, error) { return startPicloud(*picloud, *durability) })
	}
	if *pocketbase != "" {
		peers = append(peers, func() (*peer, error) { return startPocketBase(*pocketbase) })
	}
	fmt.Println("| server | request | connections | requests/s | p50 | p99 | failures | resident MB |\n|---|---|---|---|---|---|---|---|")
	for _, start := range peers {
		p, err := start()
		if err != nil {
			return err
		}
		err = p.measure(*d)
		p.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) measure(d time.Duration) error {
	for _, name := range []string{"hello", "read", "insert"} {
		req, ok := p.requests[name]
		if !ok {
			continue
		}
		if _, err := load.Run(p.addr, req, 16, time.Second); err != nil { // warm up
			return fmt.Errorf("%s %s: %w", p.name, name, err)
		}
		for _, conns := range []int{1, 8, 64} {
			r, err := load.Run(p.addr, req, conns, d)
			if err != nil {
				return fmt.Errorf("%s %s: %w", p.name, name, err)
			}
			fmt.Printf("| %s | %s | %d | %.0f | %v | %v | %d | %d |\n", p.name, name, conns, r.PerSecond(),
				r.Percentile(.5).Round(time.Microsecond), r.Percentile(.99).Round(time.Microsecond), r.Failures, resident(p.pid)>>20)
		}
	}
	return nil
}

// resident is the memory of a process in bytes.
func resident(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var size, rss int64
	fmt.Sscan(string(b), &size, &rss)
	return rss * int64(os.Getpagesize())
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func start(name, ready, bin string, env []string, args ...string) (*peer, error) {
	p := &peer{name: name, requests: map[string][]byte{}}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), env...)
	var log bytes.Buffer
	cmd.Stderr, cmd.Stdout = &log, io.Discard
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	p.stop = func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() }
	for range 3000 {
		if resp, err := http.Get(ready); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return p, nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not answer %s: %s", name, ready, log.String())
}

const (
	user     = "owner"
	password = "correct horse battery staple"
)

func startPicloud(bin, durability string) (*peer, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	p, err := servePicloud(bin, durability, dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	stop := p.stop
	p.stop = func() { stop(); os.RemoveAll(dir) }
	if err := p.admin.deploy(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// servePicloud starts it on a data directory, which it leaves when it stops.
func servePicloud(bin, durability, dir string) (*peer, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start("PiCloud Edge ("+durability+")", "http://"+addr+"/readyz", bin,
		[]string{"PICLOUD_OWNER_USERNAME=" + user, "PICLOUD_OWNER_PASSWORD=" + password, "PICLOUD_DURABILITY=" + durability},
		"serve", "--data-dir", dir, "--listen", addr)
	if err != nil {
		return nil, err
	}
	p.addr, p.dir, p.admin = addr, dir, &client{base: "http://" + addr}
	p.requests["hello"] = load.Request("GET", addr, "/hello?name=bench", "", nil)
	p.requests["read"] = load.Request("GET", addr, "/read", "", nil)
	p.requests["insert"] = load.Request("POST", addr, "/insert", "application/json", []byte(`{"name":"bench"}`))
	return p, nil
}

// client is the little of the admin API that the bench needs.
type client struct{ base, cookie string }

func (c *client) deploy() error {
	if _, err := c.post("/api/v1/admin/auth/login", map[string]any{"username": user, "password": password}); err != nil {
		return err
	}
	for path, source := range map[string]string{
		"/insert": `export default function (ctx) { const id = random.uuid(); kv.collection("items").set(id, {name: ctx.request.body.name, n: 1}); return {id}; }`,
		"/read":   `export default function () { const c = kv.collection("config"); return {v: c.get("one") ?? null, w: c.get("two") ?? null}; }`,
	} {
		s, err := c.post("/api/v1/admin/apps/default/scripts", map[string]any{"name": strings.TrimPrefix(path, "/"), "source": source})
		if err != nil {
			return err
		}
		if _, err := c.post("/api/v1/admin/scripts/"+s["id"].(string)+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": path, "dispatch_mode": "sync"}); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) post(path string, body any) (map[string]any, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest("POST", c.base+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", c.base)
	req.Header.Set("Cookie", c.cookie)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if set := resp.Header.Get("Set-Cookie"); set != "" {
		c.cookie, _, _ = strings.Cut(set, ";")
	}
	var out map[string]any
	json.NewDecoder(resp.Body).Decode(&out)
	if resp.StatusCode > 299 {
		return nil, fmt.Errorf("POST %s: %d %v", path, resp.StatusCode, out)
	}
	return out, nil
}

const pocketbaseHooks = `
routerAdd("GET", "/hello", (e) => e.json(200, {message: "Hello, " + (e.request.url.query().get("name") || "world") + "!"}));
routerAdd("POST", "/insert", (e) => {
  const body = e.requestInfo().body;
  const record = new Record($app.findCollectionByNameOrId("items"));
  record.set("name", body.name);
  record.set("n", 1);
  $app.save(record);
  return e.json(200, {id: record.id});
});
`

func startPocketBase(bin string) (*peer, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	hooks := filepath.Join(dir, "pb_hooks")
	if err := os.Mkdir(hooks, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(hooks, "bench.pb.js"), []byte(pocketbaseHooks), 0o600); err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start("PocketBase 0.36.8", "http://"+addr+"/api/health", bin, nil, "serve", "--dir", filepath.Join(dir, "pb_data"), "--http", addr)
	if err != nil {
		return nil, err
	}
	stop := p.stop
	p.stop = func() { stop(); os.RemoveAll(dir) }
	p.addr = addr
	p.requests["hello"] = load.Request("GET", addr, "/hello?name=bench", "", nil)
	p.requests["insert"] = load.Request("POST", addr, "/insert", "application/json", []byte(`{"name":"bench"}`))
	return p, nil
}
