package executor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"picloud/app/cloud"
)

// The language between the instance and its isolated workers: frames of a kind, a length and
// fields. What comes from a worker is read as an enemy's: every length is bounded, and memory
// is taken as bytes arrive, not as they are announced.

// frameKind says what a frame is.
type frameKind byte

const (
	// To the worker.
	frameInit    frameKind = iota + 1 // how much memory, and the SDK: the first frame
	frameCompile                      // a source
	frameOpen                         // a context
	frameClose                        // a context is not needed any more
	frameRun                          // run a context once
	frameAnswer                       // to a host call
	// From the worker.
	frameCompiled // answers frameCompile
	frameCall     // a host call, inside of a run
	frameDone     // the run is over
)

const (
	frameHead = 5         // kind and length
	frameMost = 1<<32 - 1 // bytes, whatever the bound
	frameStep = 64 << 10  // memory is taken in steps that at most double
)

var (
	errFrameSize = errors.New("a frame is longer than allowed")
	errFrameText = errors.New("a frame's fields are broken")
)

// message is frames that are being written.
type message struct{ b []byte }

// begin starts a frame behind what is in m, and end must follow.
func (m *message) begin(k frameKind) (at int) {
	at = len(m.b)
	m.b = append(m.b, byte(k), 0, 0, 0, 0)
	return at
}

func (m *message) end(at int) error {
	n := len(m.b) - at - frameHead
	if int64(n) > frameMost {
		return errFrameSize
	}
	binary.LittleEndian.PutUint32(m.b[at+1:], uint32(n))
	return nil
}

func (m *message) number(n int64) { m.b = binary.AppendVarint(m.b, n) }

func (m *message) text(s string) {
	m.number(int64(len(s)))
	m.b = append(m.b, s...)
}

func (m *message) bytes(s []byte) {
	m.number(int64(len(s)))
	m.b = append(m.b, s...)
}

func (m *message) flag(v bool) { m.number(int64(btoi(v))) }

func (m *message) limits(l cloud.Limits) {
	for _, field := range limitFields {
		m.number(*field.of(&l))
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fields reads a frame's payload. After the first mistake everything is zero and err is set.
type fields struct {
	b   []byte
	err error
}

func (f *fields) number() int64 {
	n, size := binary.Varint(f.b)
	if size <= 0 {
		f.b, f.err = nil, errFrameText
		return 0
	}
	f.b = f.b[size:]
	return n
}

// part is a field's bytes, good until the next frame is read.
func (f *fields) part() []byte {
	n := f.number()
	if n < 0 || n > int64(len(f.b)) {
		f.b, f.err = nil, errFrameText
		return nil
	}
	p := f.b[:n]
	f.b = f.b[n:]
	return p
}

func (f *fields) text() string { return string(f.part()) }

func (f *fields) flag() bool { return f.number() != 0 }

func (f *fields) limits() (l cloud.Limits) {
	for _, field := range limitFields {
		*field.of(&l) = f.number()
	}
	return l
}

// count is the number of elements that follow, at most most.
func (f *fields) count(most int64) int64 {
	n := f.number()
	if n < 0 || n > most {
		f.b, f.err = nil, errFrameText
		return 0
	}
	return n
}

// end is the error of a frame that was read to its end.
func (f *fields) end() error {
	if f.err == nil && len(f.b) > 0 {
		return errFrameText
	}
	return f.err
}

// frames reads one frame after the other.
type frames struct {
	r    *bufio.Reader
	most int64 // bytes of a frame
	buf  []byte
}

func newFrames(r io.Reader, most int64) *frames {
	return &frames{r: bufio.NewReaderSize(r, 8<<10), most: most}
}

// next reads a frame. Its fields are good until the next one is read.
func (f *frames) next() (frameKind, *fields, error) {
	head, err := f.r.Peek(frameHead)
	if err != nil {
		return 0, nil, err
	}
	kind, n := frameKind(head[0]), int64(binary.LittleEndian.Uint32(head[1:]))
	if n > f.most {
		return 0, nil, fmt.Errorf("%w: %d bytes", errFrameSize, n)
	}
	f.r.Discard(frameHead)
	if cap(f.buf) > frameStep { // a large one is not kept
		f.buf = nil
	}
	f.buf, err = readGrowing(f.r, f.buf[:0], n)
	return kind, &fields{b: f.buf}, err
}

// readGrowing reads n bytes into b, whose memory grows as they come.
func readGrowing(r io.Reader, b []byte, n int64) ([]byte, error) {
	for int64(len(b)) < n {
		step := int(min(n-int64(len(b)), int64(max(frameStep, len(b)))))
		b = slices.Grow(b, step)
		m, err := io.ReadFull(r, b[len(b):len(b)+step])
		b = b[:len(b)+m]
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// tail keeps the last bytes that are written to it: a worker's last words.
type tail struct{ bytes.Buffer }

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > tailBytes {
		p = p[len(p)-tailBytes:]
	}
	if over := t.Len() + len(p) - tailBytes; over > 0 {
		t.Next(over)
	}
	t.Buffer.Write(p)
	return n, nil
}
