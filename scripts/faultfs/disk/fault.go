package disk

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Operations that faults name.
const (
	opRead     = "read"
	opWrite    = "write"
	opFsync    = "fsync"
	opOpen     = "open"
	opCreate   = "create"
	opTruncate = "truncate"
	opRename   = "rename"
	opUnlink   = "unlink"
	opMkdir    = "mkdir"
	opChange   = "change" // all but read and open
)

var operations = []string{opRead, opWrite, opFsync, opOpen, opCreate, opTruncate, opRename, opUnlink, opMkdir}

var errnos = map[string]syscall.Errno{
	"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO, "EROFS": syscall.EROFS, "EDQUOT": syscall.EDQUOT,
	"EMFILE": syscall.EMFILE, "ENFILE": syscall.ENFILE, "EACCES": syscall.EACCES, "ENOMEM": syscall.ENOMEM,
}

// Fault is what goes wrong, and when.
type Fault struct {
	Ops   []string      // names of operations
	Errno syscall.Errno // 0: they succeed
	Match string        // pattern of the file's name; "": every file but *-shm
	After int           // matching operations that pass first
	Count int           // operations that are affected; 0: all from then on
	Half  bool          // a failed write has written the first half of its bytes
	Delay time.Duration

	seen int
}

// ParseFault reads the words of a SPEC, which doc.go of the command describes.
func ParseFault(spec string) (*Fault, error) {
	f := &Fault{}
	for _, word := range strings.Fields(spec) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not key=value", word)
		}
		if err := f.set(key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	if len(f.Ops) == 0 {
		return nil, fmt.Errorf("op is missing: name one or more of %s, change", strings.Join(operations, ", "))
	}
	return f, nil
}

func (f *Fault) set(key, value string) (err error) {
	switch key {
	case "op":
		f.Ops, err = parseOps(value)
	case "error":
		var ok bool
		if f.Errno, ok = errnos[value]; !ok {
			return fmt.Errorf("%q is not known: choose one of %v", value, slices.Sorted(maps.Keys(errnos)))
		}
	case "match":
		f.Match = value
		_, err = path.Match(value, "")
	case "after":
		f.After, err = strconv.Atoi(value)
	case "count":
		f.Count, err = strconv.Atoi(value)
	case "half":
		f.Half, err = strconv.ParseBool(value)
	case "delay":
		f.Delay, err = time.ParseDuration(value)
	default:
		return fmt.Errorf("unknown key")
	}
	return err
}

func parseOps(list string) ([]string, error) {
	var ops []string
	for op := range strings.SplitSeq(list, ",") {
		switch {
		case op == opChange:
			ops = append(ops, opWrite, opFsync, opCreate, opTruncate, opRename, opUnlink, opMkdir)
		case slices.Contains(operations, op):
			ops = append(ops, op)
		default:
			return nil, fmt.Errorf("%q is not an operation: there are %v and change", op, operations)
		}
	}
	return ops, nil
}

// hit counts one operation and reports whether it is affected.
func (f *Fault) hit(op, name string) bool {
	if !slices.Contains(f.Ops, op) || !f.matches(name) {
		return false
	}
	f.seen++
	return f.seen > f.After && (f.Count == 0 || f.seen <= f.After+f.Count)
}

func (f *Fault) matches(name string) bool {
	if f.Match == "" {
		return !mapped(name)
	}
	ok, _ := path.Match(f.Match, name) // the pattern was tried when it was parsed
	return ok
}

// mapped reports that a file is one that SQLite maps into memory.
func mapped(name string) bool { return strings.HasSuffix(name, "-shm") }

// faults are those in force, and what was asked for so far.
type faults struct {
	mu     sync.Mutex // guards all of it
	next   int
	active map[int]*Fault
	asked  map[string]int
	failed map[string]int
}

func newFaults() *faults {
	return &faults{active: map[int]*Fault{}, asked: map[string]int{}, failed: map[string]int{}}
}

func (f *faults) add(fault *Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	f.active[f.next] = fault
	return f.next
}

// clear removes one fault, or all when n is 0.
func (f *faults) clear(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == 0 {
		clear(f.active)
	}
	delete(f.active, n)
}

func (f *faults) stats() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, op := range operations {
		out = append(out, fmt.Sprintf("%s=%d/%d", op, f.asked[op], f.failed[op]))
	}
	return strings.Join(out, " ")
}

// apply waits as long as the operation is to take, and says whether and how it fails.
func (f *faults) apply(op, name string) (errno syscall.Errno, half bool) {
	errno, half, delay := f.decide(op, name)
	if delay > 0 {
		time.Sleep(delay)
	}
	return errno, half
}

func (f *faults) decide(op, name string) (errno syscall.Errno, half bool, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[op]++
	for _, n := range slices.Sorted(maps.Keys(f.active)) {
		fault := f.active[n]
		if !fault.hit(op, name) {
			continue
		}
		delay += fault.Delay
		if errno == 0 && fault.Errno != 0 {
			errno, half = fault.Errno, fault.Half
			f.failed[op]++
		}
	}
	return errno, half, delay
}
