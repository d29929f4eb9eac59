package main

import (
	"os"
	"testing"

	"picloud/scripts/faultfs/disk"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(diskDir); dir != "" {
		exit(serveDisk(dir))
	}
	os.Exit(m.Run())
}

// life records a short life of the binary named by PICLOUD_BIN, or of one that is built.
func life(t *testing.T, durability, begin string) (options, []disk.Op) {
	t.Helper()
	if err := canMount(); err != nil {
		t.Skip(err)
	}
	o := options{binary: os.Getenv("PICLOUD_BIN"), load: 60, images: 1, seed: 1}
	if o.binary == "" {
		var err error
		if o.binary, err = build(t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	ops, err := record(o, durability, begin, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return o, ops
}

func examined(t *testing.T, o options, durability, begin string, ops []disk.Op) *result {
	t.Helper()
	e := &examiner{o: o, work: t.TempDir(), durability: durability, begin: begin, full: durability == "full" || o.asFull, ops: ops}
	r, err := e.run()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Promise 4, at a hundred moments of a life and more. The checks must be able to fail, too: a disk
// that only pretends to sync, or to keep names, shows losses.
func TestFullLosesNothing(t *testing.T) {
	o, ops := life(t, "full", fresh)
	o.cuts, o.boots = 120, 4
	r := examined(t, o, "full", fresh, ops)
	t.Log(r)
	if r.failed > 0 || r.lost > 0 || r.logsAside > 0 {
		t.Errorf("%d images failed, %d lack something acknowledged, %d have a damaged logs.db", r.failed, r.lost, r.logsAside)
	}
	o.cuts, o.boots = 40, 0
	for _, lie := range []disk.Kind{disk.Fsync, disk.FsyncDir} {
		o.ignore = string(lie)
		if r := examined(t, o, "full", fresh, ops); r.failed == 0 {
			t.Errorf("a disk that ignores %s lost nothing: the check finds no losses", lie)
		}
	}
}

// With relaxed the last moments may be lost, never consistency; whoever expects more than that
// must see that it is not so.
func TestRelaxedStaysConsistent(t *testing.T) {
	o, ops := life(t, "relaxed", older)
	o.cuts, o.boots = 120, 4
	r := examined(t, o, "relaxed", older, ops)
	t.Log(r)
	if r.failed > 0 || r.logsAside > 0 {
		t.Errorf("%d images failed, %d have a damaged logs.db", r.failed, r.logsAside)
	}
	o.cuts, o.boots, o.asFull = 40, 0, true
	if r := examined(t, o, "relaxed", older, ops); r.failed == 0 {
		t.Error("relaxed lost nothing: the check finds no losses")
	}
}

// A restore that is cut off leaves the former database or the restored one, with all that was
// acknowledged: never nothing, and never a database without its write-ahead log.
func TestRestoreIsWhole(t *testing.T) {
	o, ops := life(t, "full", restored)
	o.cuts, o.boots = 120, 4
	r := examined(t, o, "full", restored, ops)
	t.Log(r)
	if r.failed > 0 || r.lost > 0 {
		t.Errorf("%d images failed, %d lack something acknowledged", r.failed, r.lost)
	}
}
