package executor

import (
	"math"
	"math/bits"

	"picloud/app/cloud"
)

// Defaults of what one execution may use.
const (
	defaultOperations = 1_000_000_000
	defaultMemory     = 64 << 20
	defaultStack      = 512 << 10
	defaultOutput     = 1 << 20
	defaultLogBytes   = 64 << 10
	defaultLogLines   = 1000
	defaultWrites     = 1000
	defaultWriteBytes = 4 << 20

	leastMemory = 8 << 20   // however small the machine
	mostMemory  = 512 << 20 // however large
	minMemory   = 1 << 20   // what any script gets beyond the SDK itself
)

// limitsFor derives defaults and ceilings from the machine: as many executions as the gate
// lets in fit into memory bytes together.
func limitsFor(memory int64, concurrent int, most cloud.Limits) (defaults, ceiling cloud.Limits) {
	share := min(max(memory/int64(concurrent), leastMemory), mostMemory)
	ceiling = fill(most, cloud.Limits{
		Operations: 50 * defaultOperations, MemoryBytes: share, StackBytes: 2 * defaultStack, OutputBytes: 8 * defaultOutput,
		LogBytes: 8 * defaultLogBytes, LogLines: 8 * defaultLogLines, Writes: 10 * defaultWrites, WriteBytes: 8 * defaultWriteBytes,
	})
	defaults = cloud.Limits{
		Operations: defaultOperations, MemoryBytes: defaultMemory, StackBytes: defaultStack, OutputBytes: defaultOutput,
		LogBytes: defaultLogBytes, LogLines: defaultLogLines, Writes: defaultWrites, WriteBytes: defaultWriteBytes,
	}
	return lower(defaults, ceiling), ceiling
}

// limits are what one execution of s may use: its own limits or the defaults, never more
// than the ceiling, which may have come down since it was saved.
func (e *Executor) limits(s *cloud.Script) cloud.Limits {
	return lower(fill(s.Limits, e.defaults), e.ceiling)
}

// checkLimits refuses a script that asks for more than the ceiling.
func (e *Executor) checkLimits(s *cloud.Script) error {
	for i, l := range limitFields {
		asked, most := *l.of(&s.Limits), *l.of(&e.ceiling)
		switch {
		case asked < 0:
			return cloud.Errorf(cloud.Invalid, "limits.%s: %d is negative: leave it out for the default", limitFields[i].name, asked)
		case asked > most:
			return cloud.Errorf(cloud.Invalid, "limits.%s: %d is over this instance's ceiling of %d", limitFields[i].name, asked, most)
		}
	}
	return nil
}

// limitFields are all limits by their names in the API.
var limitFields = []struct {
	name string
	of   func(*cloud.Limits) *int64
}{
	{"operations", func(l *cloud.Limits) *int64 { return &l.Operations }},
	{"memory_bytes", func(l *cloud.Limits) *int64 { return &l.MemoryBytes }},
	{"stack_bytes", func(l *cloud.Limits) *int64 { return &l.StackBytes }},
	{"output_bytes", func(l *cloud.Limits) *int64 { return &l.OutputBytes }},
	{"log_bytes", func(l *cloud.Limits) *int64 { return &l.LogBytes }},
	{"log_lines", func(l *cloud.Limits) *int64 { return &l.LogLines }},
	{"writes", func(l *cloud.Limits) *int64 { return &l.Writes }},
	{"write_bytes", func(l *cloud.Limits) *int64 { return &l.WriteBytes }},
}

// fill gives every limit that l leaves open the value of d.
func fill(l, d cloud.Limits) cloud.Limits {
	for _, f := range limitFields {
		if v := f.of(&l); *v <= 0 {
			*v = *f.of(&d)
		}
	}
	return l
}

// lower brings every limit of l down to that of most.
func lower(l, most cloud.Limits) cloud.Limits {
	for _, f := range limitFields {
		v := f.of(&l)
		*v = min(*v, *f.of(&most))
	}
	return l
}

// arenaSize is the range of addresses for a heap of limit bytes: what the limit doesn't
// count is fragmentation. Addresses are plenty on 64-bit machines only; there the sizes are
// powers of two, so that arenas fit the next context too.
func arenaSize(limit int64) uintptr {
	if math.MaxInt == math.MaxInt32 {
		return uintptr(limit+limit/2+8<<20) &^ (4<<20 - 1)
	}
	return 1 << bits.Len64(uint64(2*limit+16<<20)-1)
}
