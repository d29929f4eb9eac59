package cut

import "math/rand/v2"

// Mode is how a power cut treats what was not synced.
type Mode string

// The modes.
const (
	None    Mode = "none"     // all of it is lost
	All     Mode = "all"      // nothing is lost
	Ordered Mode = "ordered"  // a disk that is late, but keeps the order within each file
	Sectors Mode = "512"      // any sectors of 512 bytes reached the disk, in any order
	Pages   Mode = "4096"     // any pages of 4096 bytes did
	Few     Mode = "few"      // sectors: most were lost
	Most    Mode = "most"     // sectors: most reached it
	Names   Mode = "names"    // names are durable at once, contents are lost: a renamed file may be empty
	Content Mode = "contents" // contents are durable at once, names are lost
)

// Modes lists them.
var Modes = []Mode{None, All, Ordered, Sectors, Pages, Few, Most, Names, Content}

// Luck decides what of the changes that were not synced is on the disk. The same mode and seed
// decide the same.
type Luck struct {
	rng      *rand.Rand
	whole    float64 // share of a file's changes that are there, the first ones; below 0: by sector
	names    float64 // likewise of changes of names; below 0: each by its own chance
	chance   float64 // that a sector has all its changes, or else none
	between  float64 // that it has some
	sector   int
	nameLuck float64
}

// NewLuck is the luck of a mode.
func NewLuck(mode Mode, seed uint64) *Luck {
	l := &Luck{rng: rand.New(rand.NewPCG(seed, 1)), whole: -1, names: -1, sector: 512, between: 0.3}
	l.chance = l.rng.Float64()
	l.nameLuck = l.rng.Float64()
	switch mode {
	case None:
		l.whole, l.names = 0, 0
	case All:
		l.whole, l.names = 1, 1
	case Ordered:
		l.whole, l.names = l.rng.Float64(), l.rng.Float64()
	case Pages:
		l.sector = 4096
	case Few:
		l.chance, l.between = 0.03, 0.02
	case Most:
		l.chance, l.between = 0.98, 0.01
	case Names:
		l.whole, l.names = 0, 1
	case Content:
		l.whole, l.names = 1, 0
	}
	return l
}

// changes is how many of n changes a sector, or a size, has.
func (l *Luck) changes(n int) int {
	switch x := l.rng.Float64(); {
	case x < l.between:
		return l.rng.IntN(n + 1)
	case l.rng.Float64() < l.chance:
		return n
	}
	return 0
}

// name says whether the change i of n of names is there.
func (l *Luck) name(i, n int) bool {
	if l.names >= 0 {
		return float64(i) < l.names*float64(n)-1e-9
	}
	return l.rng.Float64() < l.nameLuck
}
