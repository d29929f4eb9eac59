package main

import (
	"errors"
	"os"
	"path/filepath"

	"picloud/scripts/faultfs/cut"
	"picloud/scripts/faultfs/disk"
)

// writeCut puts into dir what a power cut left of another instance in the middle of its life,
// so that the next one hits an instance that has just come back. It returns what must be there.
func writeCut(o options, durability, work, dir string) (acks []string, err error) {
	ops, err := record(o, durability, fresh, work)
	if err != nil {
		return nil, err
	}
	d := cut.New()
	for _, op := range ops[:len(ops)/2] {
		if op.Kind == disk.Mark && op.Name != disk.Mounted {
			acks = append(acks, op.Name)
		} else {
			d.Apply(op)
		}
	}
	for seed := range uint64(100) {
		j := &job{mode: cut.Sectors, seed: o.seed + seed, image: d.Image(cut.NewLuck(cut.Sectors, o.seed+seed))}
		if err := rewrite(j, dir); err != nil {
			return nil, err
		}
		c := &checker{dir: filepath.Join(dir, "data"), acks: acks, full: durability == "full"}
		if err := c.check(); err != nil {
			return nil, err
		}
		if c.has("trigger count") && c.has("accounts") { // with relaxed it may not have come so far
			return c.kept(), errors.Join(os.RemoveAll(dir), write(j, dir))
		}
	}
	return nil, errors.New("no cut left enough to go on with")
}

// kept are the acknowledged changes that are there.
func (c *checker) kept() []string {
	var kept []string
	for _, ack := range c.acks {
		if c.has(ack) {
			kept = append(kept, ack)
		}
	}
	return kept
}
