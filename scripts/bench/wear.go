package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// wearBench counts what each kind of request writes, by the product's own count and by
// those of the kernel.
func wearBench(args []string) error {
	f := flag.NewFlagSet("wear", flag.ExitOnError)
	bin := f.String("picloud", "", "picloud binary")
	only := f.String("only", "", "kinds, by name and comma; empty: all")
	durabilities := f.String("durability", "full,relaxed", "of picloud")
	ext4 := f.Bool("ext4", false, "put the data on an ext4 of its own, on a loop device whose writes are counted (root)")
	trace := f.Bool("strace", false, "count system calls too, which must agree to the byte (slow)")
	idle := f.Duration("idle", time.Minute, "how long to watch an instance that does nothing")
	f.Parse(args)
	fmt.Println("Each per 1,000 requests: KiB, and fsyncs in brackets.")
	for _, durability := range strings.Split(*durabilities, ",") {
		if err := wearOf(*bin, durability, *only, *ext4, *trace, *idle); err != nil {
			return err
		}
	}
	return nil
}

func wearOf(bin, durability, only string, ext4, trace bool, idle time.Duration) error {
	if ext4 {
		dir, unmount, err := mountExt4()
		if err != nil {
			return err
		}
		defer unmount()
		os.Setenv("TMPDIR", dir)
		defer os.Unsetenv("TMPDIR")
	}
	w := &wearRun{}
	if trace {
		w.trace = &syscalls{file: filepath.Join(os.TempDir(), "strace")}
		os.Setenv("PICLOUD_TRACED", bin)
		bin = w.trace.wrap()
	}
	p, err := startPicloud(bin, durability)
	if err != nil {
		return err
	}
	defer p.stop()
	w.peer, w.pid = p, p.pid
	if trace {
		if w.pid, err = childOf(p.pid); err != nil {
			return err
		}
	}
	if ext4 {
		if w.device, err = deviceOf(p.dir); err != nil {
			return err
		}
	}
	if err := w.deploy(); err != nil {
		return err
	}
	fmt.Printf("\n### %s\n\n| request | how | picloud.db | logs.db | together | write_bytes | device | system calls |\n|---|---|---|---|---|---|---|---|\n", durability)
	for _, k := range wearKinds {
		if only != "" && !strings.Contains(","+only+",", ","+k.name+",") {
			continue
		}
		if err := w.measureKind(k); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	if idle > 0 && (only == "" || strings.Contains(","+only+",", ",nothing,")) {
		return w.measure("nothing", fmt.Sprintf("for %v, not scaled", idle), func() (int, error) { time.Sleep(idle); return 1000, nil })
	}
	return nil
}

// wearRun is one instance under measurement.
type wearRun struct {
	*peer
	pid    int    // of picloud itself
	device string // whose writes are counted; "": none
	trace  *syscalls
}

func (w *wearRun) measureKind(k wearKind) error {
	if k.prepare != nil {
		if err := k.prepare(w); err != nil {
			return err
		}
	}
	if err := w.send(k, 20, 4, 0); err != nil { // warm up
		return err
	}
	if k.run != nil {
		return w.measure(k.name, k.how, func() (int, error) { return k.run(w) })
	}
	n := max(k.n, 1)
	if k.n == 0 {
		n = 1000
	}
	for _, conns := range []int{1, 32} {
		if k.alone && conns > 1 {
			continue
		}
		how := fmt.Sprintf("%d at a time", conns)
		if err := w.measure(k.name, how, func() (int, error) { return n, w.send(k, n, conns, 0) }); err != nil {
			return err
		}
	}
	if k.slow {
		const few = 40
		return w.measure(k.name, "one each 0.5 s", func() (int, error) { return few, w.send(k, few, 1, 500*time.Millisecond) })
	}
	return nil
}

// counts is all that is counted at one moment.
type counts struct {
	bytes, fsyncs map[string]float64 // by file: the product's own
	written       float64            // bytes, by the kernel's account of the process
	device        float64            // bytes
	called        called
}

// measure counts around run, which says how many requests it made.
func (w *wearRun) measure(name, how string, run func() (int, error)) error {
	before, err := w.counts()
	if err != nil {
		return err
	}
	n, err := run()
	if err != nil {
		return err
	}
	after, err := w.counts()
	if err != nil {
		return err
	}
	per := 1000 / float64(n)
	kib := func(a, b float64) float64 { return (a - b) / 1024 * per }
	file := func(f string) string {
		return fmt.Sprintf("%.0f (%.0f)", kib(after.bytes[f], before.bytes[f]), (after.fsyncs[f]-before.fsyncs[f])*per)
	}
	device, calls := "", ""
	if w.device != "" {
		device = fmt.Sprintf("%.0f", kib(after.device, before.device))
	}
	if w.trace != nil {
		calls = fmt.Sprintf("%.0f (%.0f)", kib(after.called.bytes, before.called.bytes), (after.called.fsyncs-before.called.fsyncs)*per)
	}
	both := kib(after.bytes["picloud.db"]+after.bytes["logs.db"], before.bytes["picloud.db"]+before.bytes["logs.db"])
	fmt.Printf("| %s | %s | %s | %s | %.0f | %.0f | %s | %s |\n", name, how, file("picloud.db"), file("logs.db"), both, kib(after.written, before.written), device, calls)
	return nil
}

// counts waits until the work is done and the log is written, and counts.
func (w *wearRun) counts() (c counts, err error) {
	if _, err := w.admin.idle(time.Minute); err != nil {
		return c, err
	}
	time.Sleep(3 * time.Second) // longer than the log gathers
	m, err := w.admin.metrics()
	if err != nil {
		return c, err
	}
	c.bytes, c.fsyncs = map[string]float64{}, map[string]float64{}
	for _, f := range []string{"picloud.db", "logs.db"} {
		c.bytes[f], c.fsyncs[f] = m["picloud_wear_bytes_total/"+f], m["picloud_wear_fsyncs_total/"+f]
	}
	if c.written, err = writtenBy(w.pid); err != nil {
		return c, err
	}
	if w.device != "" {
		if c.device, err = writtenTo(w.device, w.dir); err != nil {
			return c, err
		}
	}
	if w.trace != nil {
		c.called, err = w.trace.read()
	}
	return c, err
}

// send makes n requests of a kind on some connections, each after a pause.
func (w *wearRun) send(k wearKind, n, conns int, pause time.Duration) error {
	if k.path == "" {
		return nil
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, conns)
	for range conns {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				time.Sleep(pause)
				if err := w.one(client, k, i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

func (w *wearRun) one(client *http.Client, k wearKind, i int64) error {
	method, body := http.MethodGet, io.Reader(nil)
	if k.body != "" {
		method, body = http.MethodPost, strings.NewReader(k.body)
	}
	req, err := http.NewRequest(method, w.admin.base+strings.ReplaceAll(k.path, "{n}", fmt.Sprint(i)), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(k.path, "/api/") {
		req.Header.Set("Origin", w.admin.base)
		req.Header.Set("Cookie", w.admin.cookie)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if want := max(k.status, 200); resp.StatusCode != want {
		return fmt.Errorf("%s %s: status %d, want %d", method, k.path, resp.StatusCode, want)
	}
	return nil
}
