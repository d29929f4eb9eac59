package db

// For the tests in package db_test.

func (d *DB) OpenReaders() int { return d.ro.Stats().OpenConnections }

// WriterStatements must not be called while a transaction is under way.
func (d *DB) WriterStatements() int { return len(d.writer.conn.stmts) }

const (
	MaxStatements = maxStatements
	MaxBatch      = maxBatch
	KeepIdle      = keepIdle
)

// Divide divides n by weights.
func Divide(n int64, weights []int64) (parts []int64) {
	d := divider{n: n}
	for _, w := range weights {
		d.total += w
	}
	for _, w := range weights {
		parts = append(parts, d.part(w))
	}
	return parts
}
