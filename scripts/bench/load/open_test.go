package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPattern(t *testing.T) {
	tests := []struct {
		shares []int
		want   string
	}{
		{[]int{1}, "[0]"},
		{[]int{1, 1}, "[0 1]"},
		{[]int{7, 2, 1}, "[0 0 1 0 0 2 0 0 1 0]"},
	}
	for _, tt := range tests {
		var kinds []Kind
		for _, s := range tt.shares {
			kinds = append(kinds, Kind{Share: s})
		}
		if got := fmt.Sprint(pattern(kinds)); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.shares, got, tt.want)
		}
	}
}

func TestPaceIsNeverEarly(t *testing.T) {
	start := time.Now()
	var got []int
	pace(100, func(n int) time.Time { return start.Add(time.Duration(n) * 100 * time.Microsecond) }, func(n int, due time.Time) {
		if time.Now().Before(due) {
			t.Errorf("%d came early", n)
		}
		got = append(got, n)
	})
	if len(got) != 100 || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
}

// openOn runs o against h.
func openOn(t *testing.T, o Open, h http.HandlerFunc) *OpenResult {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	o.Addr = strings.TrimPrefix(s.URL, "http://")
	for i, k := range o.Kinds {
		o.Kinds[i].Request = Request("GET", o.Addr, "/"+k.Name+"?n="+Number, "", nil)
	}
	r, err := o.Run()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOpen(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	o := Open{Kinds: []Kind{{Name: "a", Share: 3}, {Name: "b", Share: 1}}, Rate: 1000, Conns: 4, Warmup: 100 * time.Millisecond, Duration: 300 * time.Millisecond}
	r := openOn(t, o, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Query().Get("n")]++
		if r.URL.Path == "/b" {
			w.WriteHeader(500)
		}
	})
	if r.Arrivals != 300 || r.Failures != 75 || r.Kinds[0].Count() != 225 || r.Kinds[1].Count() != 0 {
		t.Errorf("got %d arrivals, %d failures, %d and %d latencies", r.Arrivals, r.Failures, r.Kinds[0].Count(), r.Kinds[1].Count())
	}
	if r.First == nil || !strings.Contains(r.First.Error(), "status 500") {
		t.Errorf("got the failure %v", r.First)
	}
	if len(seen) != 400 {
		t.Errorf("got %d numbers", len(seen))
	}
}

// TestWaitingCounts has a server that stands still for a while: a closed loop would see one
// slow answer, but everything that was due meanwhile has waited.
func TestWaitingCounts(t *testing.T) {
	var first atomic.Bool
	var still sync.RWMutex
	o := Open{Kinds: []Kind{{Name: "a", Share: 1}}, Rate: 1000, Conns: 2, Duration: 300 * time.Millisecond}
	r := openOn(t, o, func(http.ResponseWriter, *http.Request) {
		if !first.Swap(true) {
			still.Lock()
			time.Sleep(200 * time.Millisecond)
			still.Unlock()
		}
		still.RLock()
		defer still.RUnlock()
	})
	if r.Failures != 0 || r.All.Count() != 300 {
		t.Fatalf("got %d latencies, failures %d: %v", r.All.Count(), r.Failures, r.First)
	}
	if p := r.All.Percentile(.5); p < 20*time.Millisecond {
		t.Errorf("the median is %v, but half of all were due more than 20 ms before the server went on", p)
	}
}

func TestOpenWithoutAnswers(t *testing.T) {
	o := Open{Kinds: []Kind{{Name: "a", Share: 1}}, Rate: 100, Conns: 2, Duration: 100 * time.Millisecond}
	r := openOn(t, o, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
	})
	if r.Failures != 10 || r.Achieved != 0 {
		t.Errorf("got %d failures and %v answers/s", r.Failures, r.Achieved)
	}
}

// A server may close a connection after an answer, as PiCloud does after a long computation:
// that is no failure, and the next request goes over another one.
func TestOpenOverConnectionsThatClose(t *testing.T) {
	o := Open{Kinds: []Kind{{Name: "a", Share: 1}}, Rate: 200, Conns: 2, Duration: 200 * time.Millisecond}
	r := openOn(t, o, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	if r.Failures != 0 || r.Arrivals != 40 {
		t.Errorf("got %d failures of %d arrivals, the first: %v", r.Failures, r.Arrivals, r.First)
	}
}
