package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"picloud/scripts/faultfs/cut"
	"picloud/scripts/faultfs/disk"
)

// examiner tries the cuts of one record.
type examiner struct {
	o          options
	work       string
	durability string
	begin      string
	full       bool // what was acknowledged must be there
	ops        []disk.Op

	mu     sync.Mutex // guards result
	result result
}

// result is what came out.
type result struct {
	ops, fsyncs, dirSyncs, acknowledged int
	cuts, images, boots                 int
	failed                              int
	lost                                int // images that lack something acknowledged (with relaxed they may)
	logsAside                           int // images whose logs.db would be set aside
	failures                            []string
}

func (r *result) String() string {
	s := fmt.Sprintf("%d operations (%d fsyncs, %d of directories), %d acknowledgements; %d cut points, %d images, %d of them served: %d failed; %d lack something acknowledged, %d have a damaged logs.db",
		r.ops, r.fsyncs, r.dirSyncs, r.acknowledged, r.cuts, r.images, r.boots, r.failed, r.lost, r.logsAside)
	return strings.Join(append([]string{s}, r.failures...), "\n  ")
}

const maxFailures = 20 // that are shown

// job is one image to check.
type job struct {
	at    int // operations before the cut
	mode  cut.Mode
	seed  uint64
	image *cut.Image
	acks  []string
	boot  bool
}

func (j *job) String() string {
	return fmt.Sprintf("cut after operation %d, mode %s, seed %d", j.at, j.mode, j.seed)
}

func (e *examiner) run() (*result, error) {
	e.result.ops = len(e.ops)
	cuts := e.choose()
	rng := rand.New(rand.NewPCG(e.o.seed, 2))
	boots := boots(rng, len(cuts)*e.o.images, e.o.boots)
	jobs := make(chan *job, 2)
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for j := range jobs {
				e.try(j)
			}
		})
	}
	d := cut.New()
	var acks []string
	for i, op := range e.ops {
		e.count(op)
		if op.Kind == disk.Mark && op.Name != disk.Mounted {
			acks = append(acks, op.Name)
		} else if string(op.Kind) != e.o.ignore {
			d.Apply(op)
		}
		if !cuts[i] {
			continue
		}
		e.result.cuts++
		for range e.o.images {
			j := &job{at: i + 1, mode: cut.Modes[rng.IntN(len(cut.Modes))], seed: rng.Uint64(), acks: acks[:len(acks):len(acks)], boot: boots[e.result.images]}
			j.image = d.Image(cut.NewLuck(j.mode, j.seed))
			jobs <- j
			e.result.images++
		}
	}
	close(jobs)
	wg.Wait()
	return &e.result, nil
}

func (e *examiner) count(op disk.Op) {
	switch op.Kind {
	case disk.Mark:
		e.result.acknowledged++
	case disk.Fsync:
		e.result.fsyncs++
	case disk.FsyncDir:
		e.result.dirSyncs++
	}
}

// boots chooses which of the images the binary serves: a third of them early, where the files
// come into being.
func boots(rng *rand.Rand, images, n int) map[int]bool {
	chosen := map[int]bool{}
	for i := range n {
		if images < 20 {
			break
		}
		if i%3 == 0 {
			chosen[rng.IntN(images/20)] = true
		} else {
			chosen[rng.IntN(images)] = true
		}
	}
	return chosen
}

// choose picks the cut points, each after an operation. Those around fsyncs and changes of
// names and sizes come first, because that is where it matters; then any.
func (e *examiner) choose() map[int]bool {
	first := slices.IndexFunc(e.ops, func(op disk.Op) bool { return op.Kind == disk.Mark && op.Name == disk.Mounted })
	chosen := map[int]bool{}
	if e.o.cuts == 0 || e.o.cuts >= len(e.ops)-first {
		for i := range e.ops {
			chosen[i] = i >= first
		}
		return chosen
	}
	rng := rand.New(rand.NewPCG(e.o.seed, 3))
	var rare, syncs []int
	for i, op := range e.ops {
		switch op.Kind {
		case disk.Create, disk.Mkdir, disk.Rename, disk.Unlink, disk.Truncate, disk.FsyncDir:
			rare = append(rare, i-1, i)
		case disk.Fsync:
			syncs = append(syncs, i-1, i)
		}
	}
	pick := func(from []int, most int) {
		for _, i := range rng.Perm(len(from))[:min(most, len(from))] {
			if from[i] >= first {
				chosen[from[i]] = true
			}
		}
	}
	pick(rare, e.o.cuts/3)
	pick(syncs, e.o.cuts/3)
	for len(chosen) < e.o.cuts {
		chosen[first+rng.IntN(len(e.ops)-first)] = true
	}
	return chosen
}

// try checks one image, and serves it when it is one of those.
func (e *examiner) try(j *job) {
	dir, err := os.MkdirTemp(e.work, "image-")
	if err != nil {
		e.note(j, nil, err)
		return
	}
	defer os.RemoveAll(dir)
	c := &checker{dir: filepath.Join(dir, "data"), acks: j.acks, full: e.full, logs: j.seed%4 == 1}
	if err = write(j, dir); err == nil {
		err = c.check()
	}
	if err == nil && j.boot {
		if err = rewrite(j, dir); err == nil {
			err = e.boot(c)
		}
	}
	e.note(j, c, err)
	if err != nil && e.o.keep != "" {
		keep := filepath.Join(e.o.keep, fmt.Sprintf("%s-%d-%s-%d", e.durability, j.at, j.mode, j.seed))
		if err := write(j, keep); err != nil {
			e.note(j, nil, err)
		}
	}
}

func rewrite(j *job, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return write(j, dir)
}

// write puts the image into a folder. What SQLite keeps in shared memory has any content then.
func write(j *job, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range j.image.Dirs {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	for name, content := range j.image.Files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	if j.seed%4 != 0 || !slices.Contains(j.image.Dirs, "data") {
		return nil
	}
	garbage := make([]byte, 32<<10)
	rng := rand.New(rand.NewPCG(j.seed, 4))
	for i := range garbage {
		garbage[i] = byte(rng.Uint32())
	}
	return os.WriteFile(filepath.Join(dir, "data", "picloud.db-shm"), garbage, 0o600)
}

func (e *examiner) note(j *job, c *checker, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c != nil && c.lost > 0 {
		e.result.lost++
	}
	if c != nil && c.logsAside {
		e.result.logsAside++
	}
	if j.boot {
		e.result.boots++
	}
	if err == nil {
		return
	}
	e.result.failed++
	if len(e.result.failures) < maxFailures {
		e.result.failures = append(e.result.failures, fmt.Sprintf("%s (%s): %v", j, describe(e.ops[j.at-1]), err))
	}
}

func describe(op disk.Op) string {
	return fmt.Sprintf("%s file %d %s %s at %d, %d bytes", op.Kind, op.File, op.Name, op.NewName, op.Off, len(op.Data))
}
