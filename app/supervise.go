package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// supervisor tells systemd how the instance is: started, alive, stopping. Where nobody asked
// (no NOTIFY_SOCKET), it says nothing and never wakes.
type supervisor struct {
	ready  func(context.Context) error // nil: the instance does its work
	tell   func(state string) (heard bool, err error)
	expect time.Duration // systemd restarts an instance that is silent for so long; 0: it does not watch
	log    *slog.Logger
}

// readyCheck is the pause between looks at an instance that starts.
const readyCheck = 20 * time.Millisecond

func newSupervisor(ready func(context.Context) error, log *slog.Logger) *supervisor {
	expect, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog setting is not readable: it gets no signs of life", "err", err)
	}
	tell := func(state string) (bool, error) { return daemon.SdNotify(false, state) }
	return &supervisor{ready: ready, tell: tell, expect: expect, log: log}
}

// Serve reports READY once the instance answers, and then signs of life, three in the time
// that systemd waits for one. An instance that is up but can't work gives none: systemd
// restarts it.
func (s *supervisor) Serve(ctx context.Context) error {
	for s.ready(ctx) != nil {
		if !sleep(ctx, readyCheck) {
			return ctx.Err()
		}
	}
	if !s.say(daemon.SdNotifyReady) || s.expect == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	for s.step(ctx); sleep(ctx, s.expect/3); s.step(ctx) {
	}
	return ctx.Err()
}

// step gives one sign of life, if there is life. The check may take as long as the pause
// that follows, no longer: what hangs is not healthy.
func (s *supervisor) step(ctx context.Context) {
	check, cancel := context.WithTimeout(ctx, s.expect/3)
	defer cancel()
	if err := s.ready(check); err == nil {
		s.say(daemon.SdNotifyWatchdog)
	} else if ctx.Err() == nil {
		s.log.Error("the instance is not ready: it is restarted unless it recovers", "err", err)
	}
}

// stopping tells that what follows is an orderly stop.
func (s *supervisor) stopping() { s.say(daemon.SdNotifyStopping) }

// say reports whether somebody heard it.
func (s *supervisor) say(state string) bool {
	heard, err := s.tell(state)
	if err != nil {
		s.log.Warn("tell the service manager", "state", state, "err", err)
	}
	return heard
}

// sleep waits for d, or reports false when ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
