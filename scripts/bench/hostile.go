package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"picloud/scripts/bench/load"
)

// hostileScript is one of app/executor/testdata/hostile.json: a handler that tries to hurt,
// and how it may end.
type hostileScript struct{ Name, Want, Body string }

// statuses are the answers that stand for each end.
var statuses = map[string]int{"ok": 200, "script_error": 502, "budget_exceeded": 507, "memory": 507, "timeout": 504}

// hostileBench runs every hostile script from two apps at once, over and over, while a third
// app answers at a constant rate, and compares its latency with the same load alone.
func hostileBench(args []string) error {
	f := flag.NewFlagSet("hostile", flag.ExitOnError)
	bin := f.String("picloud", "", "picloud binary")
	suite := f.String("suite", "../../app/executor/testdata/hostile.json", "the hostile scripts")
	durability := f.String("durability", "full", "of picloud")
	conns := f.Int("conns", 8, "callers of each hostile app")
	timeout := f.Int("timeout", 2, "seconds that a hostile script may take")
	rate := f.Float64("rate", 100, "requests per second of the third app")
	d := f.Duration("d", 30*time.Second, "duration of each measurement")
	f.Parse(args)
	var scripts []hostileScript
	b, err := os.ReadFile(*suite)
	if err == nil {
		err = json.Unmarshal(b, &scripts)
	}
	if err != nil {
		return err
	}
	// These use a host call that only tests have.
	scripts = slices.DeleteFunc(scripts, func(s hostileScript) bool { return s.Want == "internal" })
	runtime.GOMAXPROCS(2 * runtime.NumCPU()) // so that the thread that paces gets its turn
	p, err := startPicloud(*bin, *durability)
	if err != nil {
		return err
	}
	defer p.stop()
	for _, app := range []string{"victim", "evil-one", "evil-two"} {
		if _, err := p.admin.post("/api/v1/admin/apps", map[string]any{"slug": app, "name": app}); err != nil {
			return err
		}
	}
	if err := p.admin.deployLoad("victim"); err != nil {
		return err
	}
	if err := p.fillLoad("/~victim"); err != nil {
		return err
	}
	h := hostility{base: p.admin.base, scripts: scripts, ends: map[string]int{}, stop: make(chan struct{})}
	for _, app := range []string{"evil-one", "evil-two"} {
		if err := h.deploy(p.admin, app, *timeout); err != nil {
			return err
		}
	}
	fmt.Printf("%d hostile scripts from two apps with %d callers each, %.0f requests/s of a third app, durability %s\n\n", len(scripts), *conns, *rate, *durability)
	fmt.Println("| third app | | p50 | p90 | p99 | p99.9 | most | failures |\n|---|---|---|---|---|---|---|---|")
	victim := load.Open{Addr: p.addr, Rate: *rate, Warmup: 2 * time.Second, Duration: *d}
	for _, kind := range []string{"hello", "read", "write"} {
		victim.Kinds = append(victim.Kinds, loadKind(p.addr, "/~victim", kind, 1))
	}
	if err := reportVictim("alone", victim); err != nil {
		return err
	}
	for _, app := range []string{"evil-one", "evil-two"} {
		for n := range *conns {
			h.callers.Go(func() { h.call(app, n*len(scripts) / *conns) })
		}
	}
	time.Sleep(time.Second)
	err = reportVictim("beside hostile apps", victim)
	close(h.stop)
	h.callers.Wait()
	h.report()
	fmt.Printf("\nresident afterwards: %d MB\n", resident(p.pid)>>20)
	return err
}

func reportVictim(what string, o load.Open) error {
	r, err := o.Run()
	if err != nil {
		return err
	}
	row := func(kind string, h *load.Histogram, failures string) {
		fmt.Printf("| %s | %s |", what, kind)
		for _, p := range []float64{.5, .9, .99, .999} {
			fmt.Printf(" %v |", h.Percentile(p).Round(10*time.Microsecond))
		}
		fmt.Printf(" %v | %s |\n", h.Max().Round(10*time.Microsecond), failures)
	}
	for i, k := range o.Kinds {
		row(k.Name, &r.Kinds[i], "")
	}
	row("all", &r.All, fmt.Sprint(r.Failures))
	if r.First != nil {
		fmt.Printf("\nfirst failure: %v\n\n", r.First)
	}
	return nil
}

// hostility is the load of the hostile apps.
type hostility struct {
	base    string
	scripts []hostileScript
	stop    chan struct{} // closed when it is enough
	callers sync.WaitGroup

	mu   sync.Mutex // guards what follows
	ends map[string]int
	odd  []string // ends that the suite doesn't allow
}

func (h *hostility) deploy(c *client, app string, timeout int) error {
	for i, s := range h.scripts {
		made, err := c.post("/api/v1/admin/apps/"+app+"/scripts", map[string]any{"name": fmt.Sprintf("h%d", i), "source": "export default function (ctx) { " + s.Body + " }", "timeout_seconds": timeout})
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if _, err := c.post("/api/v1/admin/scripts/"+made["id"].(string)+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": fmt.Sprintf("/%s/%d", app, i), "dispatch_mode": "sync"}); err != nil {
			return err
		}
	}
	return nil
}

// call runs the suite from its script number from on, again and again.
func (h *hostility) call(app string, from int) {
	c := &http.Client{Transport: &http.Transport{}}
	for i := from; ; i++ {
		select {
		case <-h.stop:
			return
		default:
		}
		n := i % len(h.scripts)
		resp, err := c.Get(fmt.Sprintf("%s/%s/%d", h.base, app, n))
		if err != nil {
			h.ended(n, 0, err.Error())
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		h.ended(n, resp.StatusCode, string(body))
	}
}

func (h *hostility) ended(n, status int, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends[fmt.Sprint(status)]++
	s := h.scripts[n]
	may := []int{503, 504} // the gate is full; on a busy machine the clock ends what else a budget would
	for _, kind := range strings.Fields(s.Want) {
		may = append(may, statuses[kind])
	}
	if slices.Contains(strings.Fields(s.Want), "ok") || slices.Contains(strings.Fields(s.Want), "script_error") {
		may = append(may, 422) // what it answered is not valid
	}
	if !slices.Contains(may, status) && !(slices.Contains(may, 200) && status < 300 && status > 0) || strings.Contains(body, "escaped") {
		h.odd = append(h.odd, fmt.Sprintf("%s: %d %.100s, want %s", s.Name, status, body, s.Want))
	}
}

func (h *hostility) report() {
	fmt.Print("\nanswers to the hostile apps: ")
	for _, status := range slices.Sorted(maps.Keys(h.ends)) {
		fmt.Printf("%s: %d  ", status, h.ends[status])
	}
	fmt.Printf("\nends that are not allowed: %d\n", len(h.odd))
	slices.Sort(h.odd)
	for _, o := range slices.Compact(h.odd) {
		fmt.Println(" ", o)
	}
}
