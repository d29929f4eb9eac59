package executor

import (
	"math/bits"
	"sync"
	"unsafe"
)

// An arena is the whole memory of one QuickJS runtime: a range of addresses reserved at
// once and handed out in blocks. It gives the engine three things that libc's allocator
// can't: no lock shared with other runtimes, release of everything at once (also after a
// panic in the engine, when nothing in it can be trusted any more), and revocation: when
// the range is made inaccessible, a native loop that never polls the interrupt handler
// faults at its next memory access, which unwinds its goroutine as a panic.
//
// Blocks are kept by two-level segregated fit: constant time, boundary tags, coalescing.
// QuickJS has its own allocator for small objects on top, so blocks are mostly 4 KiB and up.
type arena struct {
	base, size uintptr // the reserved range
	top        uintptr // blocks live below it, from base
	last       uintptr // size of the block that ends at top; 0 when there is none
	usable     uintptr // bytes from base that are accessible
	peak       uintptr // highest top since reset, relative to base

	rows  uint64 // bit i: a free block of row i exists
	cells [arenaRows]uint16
	free  [arenaRows][arenaCells]uintptr

	mu      sync.Mutex // guards revoked, and usable against revocation
	revoked bool
}

const (
	arenaHeader = 16 // size of the block before, own size with the free bit
	arenaAlign  = 16
	arenaMin    = 32 // smallest payload: a free block keeps its two links there
	arenaShift  = 4  // log2 of the cells in a row
	arenaCells  = 1 << arenaShift
	arenaRows   = 44
	arenaStep   = 256 << 10 // memory becomes accessible in steps of this, doubling
	arenaKeep   = 1 << 20   // stays with the process when an arena waits for its next runtime

	blockFree = 1
)

// block is the header before each payload.
type block struct {
	before uint64 // payload size of the block before this one; 0 for the first
	tagged uint64 // payload size | blockFree
}

type links struct{ next, prev uintptr }

func blockAt(p uintptr) *block          { return (*block)(unsafe.Add(unsafe.Pointer(nil), p)) }
func linksAt(b uintptr) *links          { return (*links)(unsafe.Add(unsafe.Pointer(nil), b+arenaHeader)) }
func (b *block) size() uintptr          { return uintptr(b.tagged &^ blockFree) }
func (b *block) isFree() bool           { return b.tagged&blockFree != 0 }
func arenaRound(n uintptr) uintptr      { return (max(n, arenaMin) + arenaAlign - 1) &^ (arenaAlign - 1) }
func blockSize(payload uintptr) uintptr { return blockAt(payload - arenaHeader).size() }

// cellOf says where free blocks of a size are kept.
func cellOf(size uintptr) (row, cell int) {
	row = bits.Len64(uint64(size)) - 1
	return row, int(size>>(row-arenaShift)) & (arenaCells - 1)
}

// malloc returns a payload of at least n bytes, or 0.
func (a *arena) malloc(n uintptr) uintptr {
	n = arenaRound(n)
	if b := a.take(n); b != 0 {
		return b + arenaHeader
	}
	b := a.top
	if !a.reach(b + arenaHeader + n) {
		return 0
	}
	*blockAt(b) = block{before: uint64(a.last), tagged: uint64(n)}
	a.grow(b+arenaHeader+n, n)
	return b + arenaHeader
}

// grow moves the top after a block of size n.
func (a *arena) grow(top, n uintptr) {
	a.top, a.last = top, n
	a.peak = max(a.peak, top-a.base)
}

// take finds a free block for n bytes, splits off what it doesn't need, and returns it; or 0.
func (a *arena) take(n uintptr) uintptr {
	row, _ := cellOf(n)
	row, cell := cellOf(n + (1<<(row-arenaShift) - 1)) // any block of this cell or a later one is large enough
	if m := a.cells[row] >> cell << cell; m != 0 {
		cell = bits.TrailingZeros16(m)
	} else {
		m := a.rows &^ (1<<(row+1) - 1)
		if m == 0 {
			return 0
		}
		row = bits.TrailingZeros64(m)
		cell = bits.TrailingZeros16(a.cells[row])
	}
	b := a.free[row][cell]
	a.unlink(b)
	a.trim(b, n)
	return b
}

// trim marks b used and frees what is behind its first n bytes when that is worth it.
func (a *arena) trim(b, n uintptr) {
	h := blockAt(b)
	size := h.size()
	h.tagged = uint64(size)
	if size < n+arenaHeader+arenaMin {
		return
	}
	h.tagged = uint64(n)
	rest := b + arenaHeader + n
	*blockAt(rest) = block{before: uint64(n), tagged: uint64(size - n - arenaHeader)}
	a.tell(rest)
	a.release(rest)
}

// tell writes b's size where the block after it (or the top) looks for it.
func (a *arena) tell(b uintptr) {
	size := blockAt(b).size()
	if next := b + arenaHeader + size; next == a.top {
		a.last = size
	} else {
		blockAt(next).before = uint64(size)
	}
}

// release makes b free, together with free neighbours; at the top it shrinks the arena.
func (a *arena) release(b uintptr) {
	h := blockAt(b)
	if h.before != 0 {
		if p := b - arenaHeader - uintptr(h.before); blockAt(p).isFree() {
			a.unlink(p)
			blockAt(p).tagged += arenaHeader + uint64(h.size())
			b, h = p, blockAt(p)
			h.tagged &^= blockFree
		}
	}
	if next := b + arenaHeader + h.size(); next != a.top && blockAt(next).isFree() {
		a.unlink(next)
		h.tagged += arenaHeader + uint64(blockAt(next).size())
	}
	if b+arenaHeader+h.size() == a.top {
		a.top, a.last = b, uintptr(h.before)
		return
	}
	a.tell(b)
	h.tagged |= blockFree
	a.link(b)
}

func (a *arena) link(b uintptr) {
	row, cell := cellOf(blockAt(b).size())
	head := a.free[row][cell]
	*linksAt(b) = links{next: head}
	if head != 0 {
		linksAt(head).prev = b
	}
	a.free[row][cell] = b
	a.cells[row] |= 1 << cell
	a.rows |= 1 << row
}

func (a *arena) unlink(b uintptr) {
	l := *linksAt(b)
	if l.next != 0 {
		linksAt(l.next).prev = l.prev
	}
	if l.prev != 0 {
		linksAt(l.prev).next = l.next
		return
	}
	row, cell := cellOf(blockAt(b).size())
	a.free[row][cell] = l.next
	if l.next == 0 {
		if a.cells[row] &^= 1 << cell; a.cells[row] == 0 {
			a.rows &^= 1 << row
		}
	}
}

func (a *arena) dealloc(payload uintptr) { a.release(payload - arenaHeader) }

// realloc changes a payload's size, in place when it can; 0 leaves the old one as it is.
func (a *arena) realloc(payload, n uintptr) uintptr {
	b := payload - arenaHeader
	h := blockAt(b)
	old := h.size()
	n = arenaRound(n)
	if n <= old {
		a.trim(b, n)
		return payload
	}
	next := b + arenaHeader + old
	if next == a.top {
		if !a.reach(payload + n) {
			return 0
		}
		h.tagged = uint64(n)
		a.grow(payload+n, n)
		return payload
	}
	if nb := blockAt(next); nb.isFree() && old+arenaHeader+nb.size() >= n {
		a.unlink(next)
		h.tagged += arenaHeader + uint64(nb.size())
		a.tell(b)
		a.trim(b, n)
		return payload
	}
	p := a.malloc(n)
	if p != 0 {
		copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), p)), old), unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), payload)), old))
		a.dealloc(payload)
	}
	return p
}

// reach makes everything below end accessible.
func (a *arena) reach(end uintptr) bool {
	if end <= a.base+a.usable {
		return true
	}
	want := end - a.base
	if want > a.size {
		return false
	}
	want = min(max((want+arenaStep-1)&^(arenaStep-1), min(2*a.usable, a.usable+16*arenaStep)), a.size)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.revoked || protect(a.base+a.usable, want-a.usable, true) != nil {
		return false
	}
	a.usable = want
	return true
}

// revoke makes the memory inaccessible for good. It may be called from any goroutine.
func (a *arena) revoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.revoked {
		a.revoked = true
		_ = protect(a.base, a.size, false) // nothing else would stop that loop; the caller sees it in its deadline
	}
}

func (a *arena) isRevoked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.revoked
}

// reset forgets all blocks. Memory beyond arenaKeep goes back to the machine.
func (a *arena) reset() {
	if a.peak > arenaKeep {
		discard(a.base+arenaKeep, a.usable-min(a.usable, arenaKeep))
	}
	a.top, a.last, a.peak, a.rows = a.base, 0, 0, 0
	clear(a.cells[:])
	clear(a.free[:])
}

// arenas are the ones that wait for their next runtime.
var arenas struct {
	sync.Mutex
	idle  map[uintptr][]*arena // by size
	count int
}

const arenasIdle = 32 // most that wait

// drainArenas gives back the ones that wait.
func drainArenas() {
	arenas.Lock()
	idle := arenas.idle
	arenas.idle, arenas.count = nil, 0
	arenas.Unlock()
	for _, l := range idle {
		for _, a := range l {
			unreserve(a.base, a.size)
		}
	}
}

// newArena reserves size bytes, or takes an arena of that size that waits.
func newArena(size uintptr) (*arena, error) {
	size = (size + arenaStep - 1) &^ (arenaStep - 1)
	arenas.Lock()
	if l := arenas.idle[size]; len(l) > 0 {
		a := l[len(l)-1]
		arenas.idle[size] = l[:len(l)-1]
		arenas.count--
		arenas.Unlock()
		return a, nil
	}
	arenas.Unlock()
	base, err := reserve(size)
	if err != nil {
		return nil, err
	}
	return &arena{base: base, top: base, size: size}, nil
}

// close gives the memory back.
func (a *arena) close() {
	if !a.isRevoked() {
		a.reset()
		arenas.Lock()
		if arenas.idle == nil {
			arenas.idle = map[uintptr][]*arena{}
		}
		if arenas.count < arenasIdle {
			arenas.idle[a.size] = append(arenas.idle[a.size], a)
			arenas.count++
			arenas.Unlock()
			return
		}
		arenas.Unlock()
	}
	unreserve(a.base, a.size)
}
