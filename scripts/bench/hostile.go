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
	"strconv"
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
// app answers at a constant rate, and compares its latency with the same load alone. The two
// are measured in turn, so that what else the machine does falls on both.
func hostileBench(args []string) error {
	f := flag.NewFlagSet("hostile", flag.ExitOnError)
	bin := f.String("picloud", "", "picloud binary")
	suite := f.String("suite", "../../app/executor/testdata/hostile.json", "the hostile scripts")
	durability := f.String("durability", "full", "of picloud")
	conns := f.Int("conns", 8, "callers of each hostile app")
	timeout := f.Int("timeout", 2, "seconds that a hostile script may take")
	rate := f.Float64("rate", 100, "requests per second of the third app")
	d := f.Duration("d", 20*time.Second, "duration of each measurement")
	rounds := f.Int("rounds", 4, "measurements of each kind")
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
	h := hostility{base: p.admin.base, scripts: scripts, ends: map[string]int{}, next: map[string]int{}}
	for _, app := range []string{"evil-one", "evil-two"} {
		if err := h.deploy(p.admin, app, *timeout); err != nil {
			return err
		}
	}
	fmt.Printf("%d hostile scripts from two apps with %d callers each, %.0f requests/s of a third app, durability %s\n\n", len(scripts), *conns, *rate, *durability)
	victim := load.Open{Addr: p.addr, Rate: *rate, Warmup: 2 * time.Second, Duration: *d}
	for _, kind := range []string{"hello", "read", "write"} {
		victim.Kinds = append(victim.Kinds, loadKind(p.addr, "/~victim", kind, 1))
	}
	alone, beside := victimLatency{what: "alone"}, victimLatency{what: "beside hostile apps"}
	fmt.Println("| round | p99 alone | stolen | p99 beside | stolen | times |\n|---|---|---|---|---|---|")
	for round := range *rounds {
		a, stolenAlone, err := alone.measure(victim)
		if err != nil {
			return err
		}
		stop := h.start(*conns)
		b, stolenBeside, err := beside.measure(victim)
		stop()
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %v | %.1f %% | %v | %.1f %% | %.1f |\n", round+1,
			a.Round(10*time.Microsecond), stolenAlone, b.Round(10*time.Microsecond), stolenBeside, float64(b)/float64(a))
	}
	fmt.Println("\n| third app, all rounds | | p50 | p90 | p99 | p99.9 | most | failures |\n|---|---|---|---|---|---|---|---|")
	alone.report(victim)
	beside.report(victim)
	h.report()
	fmt.Printf("\nresident afterwards: %d MB\n", resident(p.pid)>>20)
	return nil
}

// victimLatency sums up the third app's measurements of one kind.
type victimLatency struct {
	what     string
	all      load.Histogram
	kinds    []load.Histogram // by the index of the kind
	failures int
	first    error // of the failures
}

// measure runs o and returns its p99, and the percentage of the processors' time that the
// host gave to others meanwhile, where the machine is a virtual one.
func (v *victimLatency) measure(o load.Open) (p99 time.Duration, stolen float64, err error) {
	began, before := time.Now(), stolenTime()
	r, err := o.Run()
	if err != nil {
		return 0, 0, err
	}
	stolen = 100 * (stolenTime() - before).Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU())
	v.all.Add(&r.All)
	if v.kinds == nil {
		v.kinds = make([]load.Histogram, len(r.Kinds))
	}
	for i := range r.Kinds {
		v.kinds[i].Add(&r.Kinds[i])
	}
	v.failures += r.Failures
	if v.first == nil {
		v.first = r.First
	}
	return r.All.Percentile(.99), stolen, nil
}

// stolenTime is how much of all processors' time a host gave to others since the start, by
// proc(5) in hundredths of a second; 0 where the system doesn't say.
func stolenTime() time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	total, _, _ := strings.Cut(string(b), "\n")
	if fields := strings.Fields(total); len(fields) > 8 {
		n, _ := strconv.ParseInt(fields[8], 10, 64)
		return time.Duration(n) * 10 * time.Millisecond
	}
	return 0
}

func (v *victimLatency) report(o load.Open) {
	row := func(kind string, h *load.Histogram, failures string) {
		fmt.Printf("| %s | %s |", v.what, kind)
		for _, p := range []float64{.5, .9, .99, .999} {
			fmt.Printf(" %v |", h.Percentile(p).Round(10*time.Microsecond))
		}
		fmt.Printf(" %v | %s |\n", h.Max().Round(10*time.Microsecond), failures)
	}
	for i, k := range o.Kinds {
		row(k.Name, &v.kinds[i], "")
	}
	row("all", &v.all, fmt.Sprint(v.failures))
	if v.first != nil {
		fmt.Printf("\nfirst failure: %v\n\n", v.first)
	}
}

// hostility is the load of the hostile apps.
type hostility struct {
	base    string
	scripts []hostileScript

	mu   sync.Mutex     // guards what follows
	next map[string]int // by app and caller: the number of its next script
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

// start lets so many callers of each app run the suite again and again, each from where it
// was when it stopped last. They are done when stop returns.
func (h *hostility) start(callers int) (stop func()) {
	enough := make(chan struct{})
	var running sync.WaitGroup
	for _, app := range []string{"evil-one", "evil-two"} {
		for n := range callers {
			running.Go(func() { h.call(app, n*len(h.scripts)/callers, enough) })
		}
	}
	return func() {
		close(enough)
		running.Wait()
	}
}

// call runs the suite until enough is closed, at first from its script number from on.
func (h *hostility) call(app string, from int, enough chan struct{}) {
	c := &http.Client{Transport: &http.Transport{}}
	caller := fmt.Sprint(app, from)
	for {
		select {
		case <-enough:
			return
		default:
		}
		n := h.script(caller, from)
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

// script is the number of the caller's next script.
func (h *hostility) script(caller string, from int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := from + h.next[caller]
	h.next[caller]++
	return n % len(h.scripts)
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
