package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"picloud/app/data"
	"picloud/db"
	"picloud/schema"
)

// boot serves an image with the real binary, which must find nothing to repair, and bring
// every event that waits to its end, once.
func (e *examiner) boot(c *checker) error {
	in := newInstance(e.o.binary, c.dir, e.durability)
	replicated := e.begin == restored && e.full
	if replicated {
		var err error
		if in.replica, err = writeReplicaConfig(filepath.Dir(c.dir), filepath.Dir(c.dir)); err != nil {
			return err
		}
		if err := checkReplica(in, c, slices.Index(c.acks, synced)); err != nil {
			return err
		}
	}
	if err := in.start(); err != nil {
		return err
	}
	if err := drain(in); err != nil {
		in.kill()
		return err
	}
	if replicated {
		if _, err := in.admin("POST", "/backup/sync", nil); err != nil {
			in.kill()
			return err
		}
	}
	if err := in.stop(); err != nil {
		return err
	}
	if line := complaint(in.log.String()); line != "" {
		return fmt.Errorf("the log of the start has: %s", line)
	}
	if err := drained(c, replicated); err != nil || !replicated {
		return err
	}
	return checkReplica(in, c, len(c.acks))
}

// synced is the mark of a second copy that has everything so far.
const synced = "synced"

// checkReplica restores the second copy, which must have the first so many acknowledged
// changes, to a file.
func checkReplica(in *instance, c *checker, acks int) error {
	if acks < 0 {
		return nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(c.dir), "copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if out, err := in.command("restore", "-o", filepath.Join(dir, "picloud.db")).CombinedOutput(); err != nil {
		return fmt.Errorf("restore the second copy: %w\n%s", err, out)
	}
	key, err := os.ReadFile(filepath.Join(c.dir, data.KeyFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, data.KeyFile), key, 0o600)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // there is none before the first secret
		return err
	}
	restored := &checker{dir: dir, acks: c.acks[:acks], full: true}
	if err := restored.check(); err != nil {
		return fmt.Errorf("the second copy: %w", err)
	}
	return nil
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

// drained checks the file again, now that no event waits. Replication leaves the write-ahead
// log: what isn't uploaded yet follows from there.
func drained(c *checker, replicated bool) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(filepath.Join(c.dir, "picloud.db"+suffix)); err == nil && !replicated {
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
