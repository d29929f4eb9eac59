package control

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"picloud/app/cloud"
)

// throttle slows down password guessing. It counts failures of three kinds of buckets:
//
//   - of an account from an address: somebody who mistypes, or a simple attack;
//   - of an address, whatever the account: one attacker, many accounts;
//   - of an account, whatever the address: many attackers, one account. It slows only
//     addresses that have failed lately, so strangers can't keep anybody from logging in:
//     the first try from an address elsewhere is always heard.
//
// After a few failures that are free each further one doubles the time until the next try is
// heard. Tries before that are refused without counting. An account that has logged in from
// an address before is slowed there by its own failures from there alone.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows
	buckets map[string]*bucket
	known   map[string]time.Time // account and address that succeeded, and when
}

// bucket counts the failures of late.
type bucket struct {
	failures int
	last     time.Time // the last failure
	until    time.Time // tries are refused until then
}

// pace is how a kind of bucket slows.
type pace struct {
	free int           // failures that cost nothing
	most time.Duration // between two tries
}

var (
	pairPace    = pace{free: 5, most: time.Minute}
	addressPace = pace{free: 20, most: time.Minute}
	accountPace = pace{free: 10, most: 15 * time.Second}
)

const (
	forget     = 15 * time.Minute // a bucket without a failure for that long is empty
	maxBuckets = 1 << 14
	maxKnown   = 1 << 12
)

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, buckets: map[string]*bucket{}, known: map[string]time.Time{}}
}

// Throttled is the error of a try that came too early.
type Throttled struct {
	after time.Duration
}

func (t *Throttled) Error() string { return t.Unwrap().Error() }

// Unwrap is what people may read: a RateLimited error.
func (t *Throttled) Unwrap() error {
	return cloud.Errorf(cloud.RateLimited, "too many failed attempts: try again in %d s", int(t.after/time.Second))
}

// RetryAfter is how long to wait, in whole seconds.
func (t *Throttled) RetryAfter() time.Duration { return t.after }

// try is a login that has begun. It counts as a failure until it ends otherwise, so that
// many at once can't slip through together.
type try struct {
	t       *throttle
	pair    string
	buckets []string
}

// begin starts a try or refuses it. seenBefore is asked when this process has not seen the
// account log in from the address.
func (t *throttle) begin(account, address string, seenBefore func() bool) (*try, error) {
	account, address = strings.ToLower(clip(account, maxUsername)), network(address)
	pair := "pair\x00" + account + "\x00" + address
	known := t.knows(pair) || seenBefore()

	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	slow, count := map[string]pace{pair: pairPace}, map[string]pace{pair: pairPace}
	if !known {
		ofAddress, ofAccount := "address\x00"+address, "account\x00"+account
		slow[ofAddress], count[ofAddress] = addressPace, addressPace
		count[ofAccount] = accountPace
		if t.failuresLocked(pair, now)+t.failuresLocked(ofAddress, now) > 0 {
			slow[ofAccount] = accountPace
		}
	}
	if wait := t.waitLocked(slow, now); wait > 0 {
		return nil, &Throttled{after: wait.Truncate(time.Second) + time.Second}
	}
	for key, p := range count {
		t.failLocked(key, p, now)
	}
	return &try{t: t, pair: pair, buckets: slices.Collect(maps.Keys(count))}, nil
}

func (t *throttle) waitLocked(buckets map[string]pace, now time.Time) (wait time.Duration) {
	for key := range buckets {
		if b := t.buckets[key]; b != nil {
			wait = max(wait, b.until.Sub(now))
		}
	}
	return wait
}

// end says how the try ended. Only errLogin is a failure of the person who tried.
func (tr *try) end(err error) {
	t := tr.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, errLogin) {
		return
	}
	for _, key := range tr.buckets {
		t.undoLocked(key)
	}
	if err == nil {
		delete(t.buckets, tr.pair)
		evict(t.known, maxKnown, func(a, b time.Time) bool { return a.Before(b) })
		t.known[tr.pair] = t.now()
	}
}

func (t *throttle) knows(pair string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.known[pair]
	return ok
}

func (t *throttle) failuresLocked(key string, now time.Time) int {
	b := t.buckets[key]
	if b == nil || now.Sub(b.last) > forget {
		return 0
	}
	return b.failures
}

func (t *throttle) failLocked(key string, p pace, now time.Time) {
	b := t.buckets[key]
	if b == nil {
		evict(t.buckets, maxBuckets, func(a, b *bucket) bool { return a.failures < b.failures })
		b = new(bucket)
		t.buckets[key] = b
	}
	if now.Sub(b.last) > forget {
		*b = bucket{}
	}
	b.failures++
	b.last = now
	if over := b.failures - p.free; over > 0 {
		b.until = now.Add(min(p.most, time.Second<<min(over-1, 30)))
	}
}

// undoLocked takes back a failure that was none.
func (t *throttle) undoLocked(key string) {
	b := t.buckets[key]
	if b == nil {
		return
	}
	b.failures--
	b.until = time.Time{}
	if b.failures <= 0 {
		delete(t.buckets, key)
	}
}

// evict makes room for one entry: the lesser of a few, looked at in random order.
func evict[V any](m map[string]V, most int, less func(a, b V) bool) {
	if len(m) < most {
		return
	}
	var victim string
	looked := 0
	for k, v := range m {
		if looked == 0 || less(v, m[victim]) {
			victim = k
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(m, victim)
}

// network is what counts as one address: for IPv6 the /64 that one customer gets.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return clip(address, maxAddress)
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}
