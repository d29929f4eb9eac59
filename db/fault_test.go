package db_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picloud/db"
	"picloud/db/dbtest"
)

// lines is a log that tests read.
type lines struct{ strings.Builder }

func (l *lines) to(o *db.Options) {
	o.Logger = slog.New(slog.NewTextHandler(&l.Builder, nil))
}

// A disk that fails is a Fault from the first change that fails to the next one that
// succeeds, in words for people, and is logged once a minute at most.
func TestFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lines
		d := dbtest.Open(t, items, dbtest.MaxPages(40), log.to)
		if err := d.Fault(); err != nil {
			t.Fatalf("at the start: %v", err)
		}
		much := insertMuch("much", 1000)
		for range 10 {
			err := d.Update(t.Context(), much)
			var f *db.Fault
			if !errors.As(err, &f) || !db.IsFull(err) {
				t.Fatalf("got %v, want a Fault of a full disk", err)
			}
			if text, lasts := f.Trouble(); lasts || !strings.Contains(text, "the disk is full") {
				t.Errorf("got %q, lasts: %v", text, lasts)
			}
			if !db.IsFull(d.Fault()) {
				t.Errorf("the fault is %v, want a full disk", d.Fault())
			}
			if err := d.TryWrite(t.Context()); err != nil || d.Fault() != nil {
				t.Errorf("a small change succeeds: got %v, fault %v", err, d.Fault())
			}
		}
		if got := strings.Count(log.String(), "can't be written"); got != 1 {
			t.Errorf("%d lines of log, want one:\n%s", got, &log)
		}
		time.Sleep(time.Minute)
		_ = d.Update(t.Context(), much)
		if got := strings.Count(log.String(), "can't be written"); got != 2 {
			t.Errorf("%d lines of log after a minute, want two:\n%s", got, &log)
		}
	})
}

// What a closure does wrong says nothing of the disk.
func TestNoFault(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	if err := d.Update(t.Context(), insert("")); err == nil {
		t.Error("an empty name was taken")
	}
	if err := d.Update(t.Context(), func(context.Context, *db.Tx) error { return errors.New("own") }); err == nil {
		t.Error("no error")
	}
	if err := d.Fault(); err != nil {
		t.Errorf("got %v, want none", err)
	}
}
