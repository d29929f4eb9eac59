package outbound

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

// Bounds of breakers.
const (
	openAfter  = 5 // failures in a row
	firstPause = 5 * time.Second
	mostPause  = 5 * time.Minute
	maxHosts   = 1000 // that are remembered
)

// Breakers are the circuit breakers of the hosts that requests are stored for: one for each
// host of each app. They live in memory; a success forgets a host. The zero value works.
type Breakers struct {
	mu    sync.Mutex // guards hosts
	hosts map[hostOfApp]*HostState
}

type hostOfApp struct {
	app  cloud.AppID
	host string
}

// HostState is a host that did not take what was sent to it last.
type HostState struct {
	Host      string     `json:"host"`
	Failures  int        `json:"failures"` // in a row
	Open      bool       `json:"open"`     // nothing is sent before next_try_at, then one request at a time
	NextTryAt cloud.Time `json:"next_try_at"`
	LastError string     `json:"last_error"`
}

// Failed counts a failure. The pause before the host is worth another try doubles with each
// one in a row; after some of them the breaker is open.
func (b *Breakers) Failed(app cloud.AppID, host, why string, now cloud.Time) HostState {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := hostOfApp{app, host}
	s := b.hosts[id]
	if s == nil {
		s = &HostState{Host: host}
		b.makeRoomLocked()
		b.hosts[id] = s
	}
	s.Failures++
	s.Open, s.NextTryAt, s.LastError = s.Failures >= openAfter, now.Add(pauseAfter(s.Failures)), why
	return *s
}

// pauseAfter is 5, 10, 20, … seconds after so many failures, at most 5 minutes.
func pauseAfter(failures int) time.Duration {
	return min(firstPause<<min(failures-1, 16), mostPause)
}

func (b *Breakers) makeRoomLocked() {
	if b.hosts == nil {
		b.hosts = map[hostOfApp]*HostState{}
	}
	for id := range b.hosts {
		if len(b.hosts) < maxHosts {
			return
		}
		delete(b.hosts, id)
	}
}

// Worked forgets the failures of a host and says whether its breaker was open.
func (b *Breakers) Worked(app cloud.AppID, host string) (wasOpen bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := hostOfApp{app, host}
	s := b.hosts[id]
	delete(b.hosts, id)
	return s != nil && s.Open
}

// Hosts lists the hosts of an app that fail, by name.
func (b *Breakers) Hosts(app cloud.AppID) []HostState {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []HostState{}
	for id, s := range b.hosts {
		if id.app == app {
			list = append(list, *s)
		}
	}
	slices.SortFunc(list, func(a, b HostState) int { return cmp.Compare(a.Host, b.Host) })
	return list
}

// Open counts the breakers that are open, of all apps.
func (b *Breakers) Open() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range maps.Values(b.hosts) {
		if s.Open {
			n++
		}
	}
	return n
}

// Collectors are the breakers' metrics.
func (b *Breakers) Collectors() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "picloud_outbound_breakers_open", Help: "Hosts that stored requests are not sent to for the moment, because they failed in a row.",
	}, func() float64 { return float64(b.Open()) })}
}
