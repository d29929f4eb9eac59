package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"picloud/db"
	"picloud/schema"
)

// boot serves an image with the real binary, which must find nothing to repair, and bring
// every event that waits to its end, once.
func (e *examiner) boot(c *checker) error {
	in := newInstance(e.o.binary, c.dir, e.durability)
	if err := in.start(); err != nil {
		return err
	}
	if err := drain(in); err != nil {
		in.kill()
		return err
	}
	if err := in.stop(); err != nil {
		return err
	}
	if line := complaint(in.log.String()); line != "" {
		return fmt.Errorf("the log of the start has: %s", line)
	}
	return drained(c)
}

// expected is what an instance may say after a power cut: that an execution was cut off, that
// a restore was, and, to whom asks at once, that it isn't ready yet.
var expected = []string{"the process stopped during the attempt", "finished a restore that was interrupted", `msg="not ready"`}

// complaint is the first line of a log with something else that is wrong.
func complaint(log string) string {
	for line := range strings.Lines(log) {
		bad := strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN")
		if bad && !slices.ContainsFunc(expected, func(s string) bool { return strings.Contains(line, s) }) {
			return line
		}
	}
	return ""
}

// drain waits until nothing waits any more.
func drain(in *instance) error {
	if err := in.login(); err != nil {
		return err
	}
	for deadline := time.Now().Add(startWait); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		out, err := in.admin("GET", "/apps/default/outbox?limit=1", nil)
		if err != nil {
			return err
		}
		if len(out["items"].([]any)) == 0 {
			return nil
		}
	}
	return errors.New("events are stuck")
}

// drained checks the file again, now that no event waits.
func drained(c *checker) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(filepath.Join(c.dir, "picloud.db"+suffix)); err == nil {
			return fmt.Errorf("picloud.db%s is there after an orderly stop", suffix)
		}
	}
	d, err := db.Open(context.Background(), filepath.Join(c.dir, "picloud.db"), db.Options{Schema: schema.State, Logger: quiet})
	if err != nil {
		return err
	}
	after := &checker{dir: c.dir, acks: c.acks, full: c.full}
	err = errors.Join(after.checkState(d), d.Close())
	if err != nil {
		return fmt.Errorf("after it was served: %w", err)
	}
	if len(after.rows) > 0 || len(after.kv["done"]) != len(after.kv["counted"]) {
		return fmt.Errorf("after it was served %d events wait, %d were applied and %d of theirs", len(after.rows), len(after.kv["done"]), len(after.kv["counted"]))
	}
	// What waited in the image was applied.
	for _, r := range c.rows {
		if (r.source == "http" && after.kv["done"][r.id] == nil) || (r.source == "kv" && after.kv["counted"][r.id] == nil) {
			return fmt.Errorf("event %s of %s waited and was never applied", r.id, r.source)
		}
	}
	return nil
}
