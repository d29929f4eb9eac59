// Command powercut shows what a power cut leaves of an instance. It runs the real binary on a
// disk whose every operation is recorded, cuts the power between any two of them, builds the
// files that the disk may hold then, and checks each: the database opens and passes its
// integrity check, everything that was acknowledged before the cut is there (with durability
// full), nothing is there twice or by half, and secrets can be read. Some of the images are
// served by the real binary, which must start without repair and bring all work to its end.
//
//	go run ./powercut              # thousands of cut points, both durabilities: minutes
//	go run ./powercut -cuts 100    # fewer
//
// See docs/reliability.md for what it found.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

type options struct {
	binary     string
	cuts       int // cut points of each record; 0: all
	images     int // of each cut point
	boots      int // images of each record that the binary serves
	load       int // requests of each kind
	seed       uint64
	temp       string
	durability string // the only one; "": both
	begin      string // the only one; "": all
	keep       string // folder that keeps failed images
	ignore     string // kind of operation that the disk pretends to do: to show that the check can fail
	asFull     bool   // expect of relaxed what full promises: likewise
}

func main() {
	if dir := os.Getenv(diskDir); dir != "" {
		exit(serveDisk(dir))
	}
	var o options
	flag.StringVar(&o.binary, "picloud", "", "the binary; empty: built from the source")
	flag.IntVar(&o.cuts, "cuts", 2000, "cut points of each record; 0: all")
	flag.IntVar(&o.images, "images", 2, "images of each cut point")
	flag.IntVar(&o.boots, "boots", 50, "images of each record that the binary serves")
	flag.IntVar(&o.load, "load", 480, "requests of each kind while recording")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of what is random")
	flag.StringVar(&o.temp, "temp", "/dev/shm", "where images are built; memory is fast")
	flag.StringVar(&o.durability, "durability", "", "full or relaxed; empty: both")
	flag.StringVar(&o.begin, "begin", "", "fresh, older, again or restored; empty: all")
	flag.StringVar(&o.keep, "keep", "", "folder that keeps images that fail")
	flag.StringVar(&o.ignore, "ignore", "", "fsync or fsync-dir: the disk only pretends to do it, so losses must be found")
	flag.BoolVar(&o.asFull, "as-full", false, "expect of relaxed what full promises, so losses must be found")
	flag.Parse()
	exit(run(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(o options) error {
	if err := canMount(); err != nil {
		return err
	}
	work, err := os.MkdirTemp(o.temp, "powercut-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if o.binary == "" {
		if o.binary, err = build(work); err != nil {
			return err
		}
	}
	fmt.Println("seed", o.seed)
	failed := 0
	for _, durability := range chosen(o.durability, "full", "relaxed") {
		for _, begin := range chosen(o.begin, fresh, older, again, restored) {
			r, err := examine(o, durability, begin, work)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", durability, begin, err)
			}
			fmt.Printf("%s, %s: %s\n", durability, begin, r)
			failed += r.failed
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d images failed", failed)
	}
	return nil
}

func chosen(one string, all ...string) []string {
	if one != "" {
		return []string{one}
	}
	return all
}

// build compiles the binary of the tree that this module is in.
func build(work string) (string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "picloud").Output()
	if err != nil {
		return "", fmt.Errorf("find the source of picloud: %w", err)
	}
	binary := filepath.Join(work, "picloud")
	cmd := exec.Command("go", "build", "-C", strings.TrimSpace(string(dir)), "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build picloud: %w\n%s", err, out)
	}
	return binary, nil
}

// examine records one life and tries its cuts.
func examine(o options, durability, begin, work string) (*result, error) {
	ops, err := record(o, durability, begin, work)
	if err != nil {
		return nil, err
	}
	e := &examiner{o: o, work: work, durability: durability, begin: begin, full: durability == "full" || o.asFull, ops: ops}
	return e.run()
}
