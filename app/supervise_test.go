package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// watched runs a supervisor in fake time, and returns what systemd heard after d.
func watched(t *testing.T, d, expect time.Duration, heard bool, ready func(context.Context) error) (said []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &supervisor{ready: ready, expect: expect, log: slog.New(slog.DiscardHandler), tell: func(state string) (bool, error) {
			said = append(said, state)
			return heard, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx) }()
		time.Sleep(d)
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want canceled", err)
		}
		s.stopping()
	})
	return said
}

func TestSupervisor(t *testing.T) {
	healthy := func(context.Context) error { return nil }
	sick := errors.New("sick")
	var started, checked time.Time
	for _, tt := range []struct {
		name   string
		d      time.Duration
		expect time.Duration
		heard  bool
		ready  func(context.Context) error
		want   []string
	}{
		{"nobody listens", time.Hour, 90 * time.Second, false, healthy, []string{"READY=1", "STOPPING=1"}},
		{"no watchdog", time.Hour, 0, true, healthy, []string{"READY=1", "STOPPING=1"}},
		{"three signs in the time", 91 * time.Second, 90 * time.Second, true, healthy,
			[]string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"}},
		{"never ready", time.Hour, 90 * time.Second, true, func(context.Context) error { return sick }, []string{"STOPPING=1"}},
		{"ready after a while", time.Second, 0, true, func(context.Context) error {
			if started.IsZero() {
				started = time.Now()
			}
			if time.Since(started) < 500*time.Millisecond {
				return sick
			}
			return nil
		}, []string{"READY=1", "STOPPING=1"}},
		{"sick later", 10 * time.Minute, 90 * time.Second, true, func(context.Context) error {
			if checked.IsZero() {
				checked = time.Now()
			}
			if time.Since(checked) >= 30*time.Second {
				return sick
			}
			return nil
		}, []string{"READY=1", "WATCHDOG=1", "STOPPING=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if said := watched(t, tt.d, tt.expect, tt.heard, tt.ready); !slices.Equal(said, tt.want) {
				t.Errorf("said %v, want %v", said, tt.want)
			}
		})
	}
}

// A check that never returns is no sign of life, and holds nothing up at the stop.
func TestSupervisorOfAnInstanceThatHangs(t *testing.T) {
	first := true
	said := watched(t, time.Hour, 90*time.Second, true, func(ctx context.Context) error {
		if first {
			first = false
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if want := []string{"READY=1", "STOPPING=1"}; !slices.Equal(said, want) {
		t.Errorf("said %v, want %v", said, want)
	}
}
