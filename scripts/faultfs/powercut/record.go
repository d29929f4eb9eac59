package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing/fstest"

	"picloud/db"
	"picloud/schema"
	"picloud/scripts/faultfs/disk"
)

// How an instance begins.
const (
	fresh    = "fresh"    // without a data directory
	older    = "older"    // with the file of an older version, which is migrated
	again    = "again"    // with what a power cut left
	restored = "restored" // without a data directory, but with a second copy on the same disk, which it restores from later
)

const olderRows = 50

// record runs an instance through its life on a recorded disk: a first start, load, an orderly
// stop, another master key, a start, load, a kill, a start, load, a stop.
func record(o options, durability, begin, work string) ([]disk.Op, error) {
	dir, err := os.MkdirTemp(work, "record-")
	if err != nil {
		return nil, err
	}
	if begin == older {
		if err := writeOlder(filepath.Join(dir, "backing", "data")); err != nil {
			return nil, fmt.Errorf("write a file of an older version: %w", err)
		}
	}
	var kept []string
	if begin == again {
		if kept, err = writeCut(o, durability, work, filepath.Join(dir, "backing")); err != nil {
			return nil, fmt.Errorf("cut the power for the first time: %w", err)
		}
	}
	r, err := newRecorded(dir)
	if err != nil {
		return nil, err
	}
	in := newInstance(o.binary, filepath.Join(r.mount(), "data"), durability)
	l := &load{in: in, disk: r}
	if begin == older {
		r.mark("older")
	}
	for _, ack := range kept {
		r.mark("%s", ack)
	}
	switch begin {
	case again:
		l.next.Store(1_000_000) // apart from what is there
		err = l.short(o.load / 3)
	case restored:
		if in.replica, err = writeReplicaConfig(dir, r.mount()); err == nil {
			err = l.restores(o.load)
		}
	default:
		err = l.life(o.load)
	}
	if err != nil && in.cmd != nil {
		in.kill()
		err = fmt.Errorf("%w\n%s", err, in.log.String())
	}
	ops, endErr := r.end()
	if err == nil {
		err = endErr
	}
	return ops, err
}

func (l *load) life(n int) error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.setup(); err != nil {
		return err
	}
	if err := l.run(n / 2); err != nil {
		return err
	}
	if err := l.in.stop(); err != nil {
		return err
	}
	if out, err := l.in.command("secrets", "rotate-key").CombinedOutput(); err != nil {
		return fmt.Errorf("rotate the master key: %w\n%s", err, out)
	}
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.run(n / 3); err != nil {
		return err
	}
	l.in.kill()
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.run(n / 6); err != nil {
		return err
	}
	return l.in.stop()
}

// short is a start, load, and a stop.
func (l *load) short(n int) error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.run(n); err != nil {
		return err
	}
	return l.in.stop()
}

// restores is a life in which the newest state is restored twice over what a kill left. The
// restored one has everything that was acknowledged, as the former one has.
func (l *load) restores(n int) error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := l.setup(); err != nil {
		return err
	}
	for range 2 {
		if err := l.run(n / 3); err != nil {
			return err
		}
		if _, err := l.in.admin("POST", "/backup/sync", nil); err != nil {
			return err
		}
		l.disk.mark(synced)
		l.in.kill()
		if out, err := l.in.command("restore", "--force").CombinedOutput(); err != nil {
			return fmt.Errorf("restore: %w\n%s", err, out)
		}
		if err := l.begin(); err != nil {
			return err
		}
	}
	if err := l.run(n / 3); err != nil {
		return err
	}
	return l.in.stop()
}

// writeReplicaConfig writes to dir that the instance on a disk has a second copy there.
func writeReplicaConfig(dir, disk string) (name string, err error) {
	name = filepath.Join(dir, "litestream.yml")
	text := fmt.Sprintf("dbs:\n  - path: %s\n    replica:\n      type: file\n      path: %s\n", filepath.Join(disk, "data", "picloud.db"), filepath.Join(disk, "replica"))
	return name, os.WriteFile(name, []byte(text), 0o600)
}

// begin starts the instance, whose owner is there from then on.
func (l *load) begin() error {
	if err := l.in.start(); err != nil {
		return err
	}
	if err := l.in.login(); err != nil {
		return err
	}
	l.disk.mark("owner")
	return nil
}

// writeOlder makes a data directory as a former version left it, with an app that has data.
func writeOlder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, err := fs.Glob(schema.State, "state/*.sql")
	if err != nil {
		return err
	}
	former := fstest.MapFS{}
	for _, name := range names[:len(names)-3] {
		text, err := schema.State.ReadFile(name)
		if err != nil {
			return err
		}
		former[name] = &fstest.MapFile{Data: text}
	}
	ctx := context.Background()
	d, err := db.Open(ctx, filepath.Join(dir, "picloud.db"), db.Options{Schema: former})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		id := make([]byte, 16)
		if _, err := tx.Exec(`INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, 'older', 'Older', 1, 1)`, id); err != nil {
			return err
		}
		for i := range olderRows {
			if _, err := tx.Exec(`INSERT INTO kv_entries (app_id, collection, key, created_at, updated_at, value) VALUES (?, 'older', ?, 1, 1, ?)`, id, fmt.Sprint(i), fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
}
