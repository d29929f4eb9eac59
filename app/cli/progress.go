package cli

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress tells on a terminal how far long work has come; elsewhere it is silent.
type progress struct {
	to    io.Writer // nil: silent
	what  string
	total int64 // bytes; 0 or less: not known
	done  int64
	told  time.Time
}

// tellEvery keeps a slow terminal from slowing the work.
const tellEvery = 100 * time.Millisecond

func (r *remote) progress(what string, total int64) *progress {
	p := &progress{what: what, total: total}
	if f, ok := r.cmd.ErrOrStderr().(*os.File); ok && !r.json && isTerminal(f) {
		p.to = f
	}
	return p
}

// isTerminal reports whether f is a screen that somebody looks at.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// Write counts what went by.
func (p *progress) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	if p.to != nil && time.Since(p.told) >= tellEvery {
		p.told = time.Now()
		fmt.Fprint(p.to, "\r\x1b[K"+p.line())
	}
	return len(b), nil
}

const barWidth = 30

func (p *progress) line() string {
	if p.total <= 0 {
		return fmt.Sprintf("%s: %s", p.what, size(p.done))
	}
	part := min(float64(p.done)/float64(p.total), 1)
	bar := make([]byte, barWidth)
	for i := range bar {
		bar[i] = ' '
		if i < int(part*barWidth) {
			bar[i] = '='
		}
	}
	return fmt.Sprintf("%s: [%s] %3.0f%% of %s", p.what, bar, part*100, size(p.total))
}

// end clears the line.
func (p *progress) end() {
	if p.to != nil {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
