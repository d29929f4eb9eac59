package replica

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// memLease is a target's lease in memory.
type memLease struct {
	rec  *record
	n    int   // of writes
	err  error // of the next call
	lose bool  // the next write succeeds, and its answer is lost
}

func (m *memLease) tag() string {
	if m.rec == nil {
		return ""
	}
	return fmt.Sprint(m.n)
}

func (m *memLease) take() (err error) { err, m.err = m.err, nil; return err }

func (m *memLease) read(context.Context) (*record, string, error) {
	if err := m.take(); err != nil {
		return nil, "", err
	}
	if m.rec == nil {
		return nil, "", nil
	}
	r := *m.rec
	return &r, m.tag(), nil
}

type memStore struct{ *memLease }

func (m memStore) write(_ context.Context, r *record, tag string) (string, error) {
	if err := m.take(); err != nil {
		return "", err
	}
	if tag != m.tag() {
		return "", errLeaseChanged
	}
	c := *r
	m.rec = &c
	m.n++
	if m.lose {
		m.lose = false
		return "", errors.New("the answer was lost")
	}
	return m.tag(), nil
}

func holder(m *memLease, name string) *lease {
	return &lease{store: memStore{m}, me: record{Owner: name, Device: name, Machine: "machine of " + name, Process: name + " 1"}}
}

func TestLease(t *testing.T) {
	var held *LeaseError
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m := &memLease{}
		a, b := holder(m, "a"), holder(m, "b")
		if err := a.ensure(ctx); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := a.ensure(ctx); err != nil || m.n != 1 {
				t.Fatalf("a lease that holds is written again: %v, %d writes", err, m.n)
			}
		}
		if err := b.ensure(ctx); !errors.As(err, &held) || held.Owner != "a" || held.Lost {
			t.Errorf("b: %v", err)
		}
		time.Sleep(leaseTTL/2 + time.Second)
		if err := a.ensure(ctx); err != nil || m.n != 2 {
			t.Errorf("not renewed: %v, %d writes", err, m.n)
		}
		// At rest nothing is written, so the lease runs out: it is still a's, for b has a
		// database of its own.
		time.Sleep(time.Hour)
		if err := b.ensure(ctx); !errors.As(err, &held) {
			t.Errorf("b with a database, after a lease that has run out: %v", err)
		}
		if err := a.ensure(ctx); err != nil {
			t.Errorf("a after a rest: %v", err)
		}
		// The operator says so.
		b.takeOver = true
		if err := b.ensure(ctx); err != nil {
			t.Errorf("b takes over: %v", err)
		}
		time.Sleep(leaseTTL)
		for range 2 {
			if err := a.ensure(ctx); !errors.As(err, &held) || !held.Lost || held.Owner != "b" {
				t.Errorf("a after b took over: %v", err)
			}
		}
		if s := a.status(); s.Held || !s.Lost || s.Owner != "b" {
			t.Errorf("status of a: %+v", s)
		}
		time.Sleep(time.Hour) // b at rest: a must not take it back by itself
		if err := a.ensure(ctx); err == nil {
			t.Error("a took the lease back")
		}
	})
}

func TestLeaseOfALostDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m := &memLease{}
		a, b := holder(m, "a"), holder(m, "b")
		if err := a.ensure(ctx); err != nil {
			t.Fatal(err)
		}
		if err := b.adopt(ctx); err == nil {
			t.Error("b, without a database, followed a device that may be alive")
		}
		time.Sleep(leaseTTL + time.Second)
		if err := b.adopt(ctx); err != nil {
			t.Errorf("b, without a database, after a device that is gone: %v", err)
		}
		if err := b.giveBack(ctx); err != nil || m.rec.Owner != "b" || m.rec.ExpiresAt.After(time.Now()) {
			t.Errorf("given back: %+v %v", m.rec, err)
		}
		// The data directory is lost, the machine is the same.
		c := holder(m, "c")
		c.me.Machine = b.me.Machine
		if err := c.ensure(ctx); err != nil {
			t.Errorf("the same machine: %v", err)
		}
	})
}

func TestLeaseWhenTheTargetFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m := &memLease{lose: true}
		a := holder(m, "a")
		if err := a.ensure(ctx); err == nil {
			t.Error("a lost answer went unnoticed")
		}
		if err := a.ensure(ctx); err != nil {
			t.Errorf("after a lost answer: %v", err)
		}
		time.Sleep(leaseTTL)
		m.lose = true
		if err := a.ensure(ctx); err == nil {
			t.Error("a lost answer to a renewal went unnoticed")
		}
		if err := a.ensure(ctx); err != nil || a.status().Lost {
			t.Errorf("after a renewal whose answer was lost: %v", err)
		}
		time.Sleep(leaseTTL)
		m.err = errors.New("away")
		if err := a.ensure(ctx); err == nil {
			t.Error("wrote without a lease")
		}
		if err := a.ensure(ctx); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

func TestNoLease(t *testing.T) {
	l := &lease{}
	if err := l.ensure(t.Context()); err != nil || l.status().Supported {
		t.Errorf("%v %+v", err, l.status())
	}
}

// The stores of real targets, one step of compare and swap after the other.
func TestLeaseStores(t *testing.T) {
	s := newS3(t)
	d := newDevice(t, s.yml("pi"))
	for name, store := range map[string]leaseStore{"file": fileLease{t.TempDir() + "/new"}, "s3": leaseAt(d.make(Options{}).guard.inner())} {
		ctx := t.Context()
		if r, tag, err := store.read(ctx); err != nil || r != nil || tag != "" {
			t.Fatalf("%s: empty: %v %q %v", name, r, tag, err)
		}
		one, err := store.write(ctx, &record{Generation: 1, Owner: "a"}, "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := store.write(ctx, &record{Generation: 1, Owner: "b"}, ""); !errors.Is(err, errLeaseChanged) {
			t.Errorf("%s: made twice: %v", name, err)
		}
		r, tag, err := store.read(ctx)
		if err != nil || r.Owner != "a" || tag != one {
			t.Errorf("%s: read %+v %q %v, want a %q", name, r, tag, err, one)
		}
		two, err := store.write(ctx, &record{Generation: 2, Owner: "b"}, one)
		if err != nil || two == one {
			t.Errorf("%s: %q %v", name, two, err)
		}
		if _, err := store.write(ctx, &record{Generation: 2, Owner: "c"}, one); !errors.Is(err, errLeaseChanged) {
			t.Errorf("%s: an old tag: %v", name, err)
		}
	}
}

func FuzzLease(f *testing.F) {
	f.Add([]byte(`{"generation":1,"expires_at":"2026-01-01T00:00:00Z","owner":"pi"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, tag, err := decodeRecord(b)
		if (err == nil) != (r != nil) || err == nil && tag == "" {
			t.Errorf("%v %q %v", r, tag, err)
		}
	})
}

// A device that is cut off before it has anything else to note is still the same one, also when
// its machine has another name by then: a new container on the same volume.
func TestDeviceIsKept(t *testing.T) {
	d := newDevice(t, fileYML(filepath.Join(t.TempDir(), "copy")))
	if err := d.make(Options{}).Hold(); err != nil {
		t.Fatal(err)
	}
	first := d.r.notes.device()
	if err := d.r.unlock(); err != nil { // as the kernel does after a kill
		t.Fatal(err)
	}
	if again := d.make(Options{}).notes.device(); again != first {
		t.Errorf("got %s, want %s", again, first)
	}
}
