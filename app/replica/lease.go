package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// leaseTTL is how long a lease holds without being renewed. It is renewed only before
// something is written: an instance at rest writes nothing, and its lease runs out.
const leaseTTL = 30 * time.Second

// record is the lease as the target keeps it: litestream's lock.json, with who holds it.
type record struct {
	Generation int64     `json:"generation"`
	ExpiresAt  time.Time `json:"expires_at"`
	Owner      string    `json:"owner,omitempty"`   // for people
	Device     string    `json:"device,omitempty"`  // made once per data directory
	Machine    string    `json:"machine,omitempty"` // of the machine and the path of the data directory
	Process    string    `json:"process,omitempty"` // made at every start
}

// sameDevice reports whether the record is of the same device as me: of its data directory, or of
// what stood at the same place on the same machine before.
func (r *record) sameDevice(me record) bool {
	return r.Device != "" && r.Device == me.Device || r.Machine != "" && r.Machine == me.Machine
}

// leaseStore keeps the record beside the replica. A write succeeds only while the record is
// still the one that tag came with, "" for none; else its error is errLeaseChanged.
type leaseStore interface {
	read(ctx context.Context) (r *record, tag string, err error) // nil: there is none
	write(ctx context.Context, r *record, tag string) (newTag string, err error)
}

var errLeaseChanged = errors.New("the lease was changed by another process")

// LeaseError says that another device writes to the target, so this one must not.
type LeaseError struct {
	Owner     string
	ExpiresAt time.Time // until when it holds without being renewed
	Lost      bool      // this device held it before
}

func (e *LeaseError) Error() string {
	if e.Lost {
		return fmt.Sprintf("%s has taken over this replica: nothing more is written to it from here. Give each device a path of its own; or stop the other one and start this one with --take-over", e.Owner)
	}
	return fmt.Sprintf("this replica belongs to %s, which last wrote to it around %s: give each device a path of its own; or, if that one is gone, start once with --take-over",
		e.Owner, e.ExpiresAt.Add(-leaseTTL).UTC().Format(time.RFC3339))
}

// lease makes sure that one device writes to the target. Its zero store means that the
// target knows no leases.
type lease struct {
	store leaseStore
	me    record

	mu       sync.Mutex // guards what follows; held during calls to the store
	takeOver bool       // take it whoever has it, once
	rec      record     // as written last
	tag      string
	held     bool
	until    time.Time // by this process's clock
	lost     *LeaseError
	owner    string // of the lease as read last
}

// ensure returns nil while this process may write. It takes the lease when it is free or
// this device's own, and renews it when less than half of its time is left.
func (l *lease) ensure(ctx context.Context) error {
	if l == nil || l.store == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.lost != nil && !l.takeOver:
		return l.lost
	case l.held && time.Until(l.until) > leaseTTL/2:
		return nil
	case l.held:
		return l.renewLocked(ctx)
	}
	return l.takeLocked(ctx, false)
}

// adopt takes the lease for a device that has no database of its own: it may follow another
// one whose lease has run out.
func (l *lease) adopt(ctx context.Context) error {
	if l == nil || l.store == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeLocked(ctx, true)
}

func (l *lease) takeLocked(ctx context.Context, expired bool) error {
	old, tag, err := l.store.read(ctx)
	if err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	next := l.me
	if old != nil {
		next.Generation = old.Generation
		l.owner = old.Owner
		free := old.sameDevice(l.me) || l.takeOver || expired && time.Now().After(old.ExpiresAt)
		if !free {
			return &LeaseError{Owner: old.Owner, ExpiresAt: old.ExpiresAt}
		}
	}
	next.Generation++
	err = l.writeLocked(ctx, next, tag)
	if errors.Is(err, errLeaseChanged) {
		return l.changedLocked(ctx, false)
	}
	return err
}

func (l *lease) renewLocked(ctx context.Context) error {
	err := l.writeLocked(ctx, l.rec, l.tag)
	if errors.Is(err, errLeaseChanged) {
		return l.changedLocked(ctx, true)
	}
	return err
}

func (l *lease) writeLocked(ctx context.Context, r record, tag string) error {
	now := time.Now()
	r.ExpiresAt = now.Add(leaseTTL).UTC()
	tag, err := l.store.write(ctx, &r, tag)
	if err != nil {
		if errors.Is(err, errLeaseChanged) {
			return err
		}
		return fmt.Errorf("write the lease: %w", err)
	}
	l.rec, l.tag, l.held, l.until, l.owner = r, tag, true, now.Add(leaseTTL), r.Owner
	l.takeOver, l.lost = false, nil
	return nil
}

// changedLocked finds out who was faster. It may have been this process: a write whose
// answer was lost.
func (l *lease) changedLocked(ctx context.Context, held bool) error {
	now, tag, err := l.store.read(ctx)
	if err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	if now != nil && now.Process == l.me.Process {
		return l.writeLocked(ctx, *now, tag)
	}
	e := &LeaseError{Owner: "another device", Lost: held}
	if now != nil {
		e.Owner, e.ExpiresAt = now.Owner, now.ExpiresAt
	}
	l.held, l.owner = false, e.Owner
	if held {
		l.lost = e
	}
	return e
}

// giveBack lets the lease run out at once, so that another device need not wait for it. The
// record stays: it says whose replica this is.
func (l *lease) giveBack(ctx context.Context) error {
	if l == nil || l.store == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held {
		return nil
	}
	l.held = false
	r := l.rec
	r.ExpiresAt = time.Now().UTC()
	_, err := l.store.write(ctx, &r, l.tag)
	return err
}

// LeaseStatus is who may write to the target.
type LeaseStatus struct {
	Supported bool      // the target knows leases
	Held      bool      // by this process, even when it has run out while there was nothing to write
	Owner     string    // as read or written last; "" when not known
	ExpiresAt time.Time // of the lease written last
	Lost      bool
}

func (l *lease) status() LeaseStatus {
	if l == nil || l.store == nil {
		return LeaseStatus{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return LeaseStatus{Supported: true, Held: l.held, Owner: l.owner, ExpiresAt: l.rec.ExpiresAt, Lost: l.lost != nil}
}
