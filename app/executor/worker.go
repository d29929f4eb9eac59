package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

// workerWord is the argument that makes this binary an isolated worker.
const workerWord = "isolated-worker"

// workerFile is the descriptor of a worker's end of the socket.
const workerFile = 3

// Worker serves as an isolated worker when the process was started as one, and then doesn't
// return. It must come before anything else in main, and in a test's TestMain.
func Worker() {
	if len(os.Args) != 2 || os.Args[1] != workerWord {
		return
	}
	f := os.NewFile(workerFile, "instance")
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeSocket == 0 {
		fmt.Fprintln(os.Stderr, workerWord+" is for PiCloud itself: it starts it with PICLOUD_ISOLATION=process")
		os.Exit(2)
	}
	runtime.GOMAXPROCS(2) // one for the script, one for the watchdog and the garbage collector
	if err := (&inmate{conn: f, in: newFrames(f, frameMost), engines: map[string]Engine{}, contexts: map[int64]Context{}}).serve(); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// inmate is the worker's side: it has engines and contexts, and nothing else.
type inmate struct {
	conn     *os.File
	in       *frames
	out      message
	kit      *kit
	engines  map[string]Engine // made when they are first used
	contexts map[int64]Context
	most     int64 // bytes of a frame to the instance, in the run that is under way
}

// serve locks the process up, then does what it is told until the instance closes the socket.
func (w *inmate) serve() error {
	kind, f, err := w.in.next()
	if err != nil {
		return err
	}
	if kind != frameInit {
		return errFrameText
	}
	memory := f.number()
	w.kit = kitOf(f)
	if err := f.end(); err != nil {
		return err
	}
	if err := lockUp(memory); err != nil {
		return err
	}
	debug.SetMemoryLimit(memory)
	_, err = w.obey()
	return err
}

// obey handles frames until one answers the host call that is under way, if there is one.
func (w *inmate) obey() (*fields, error) {
	for {
		kind, f, err := w.in.next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case frameAnswer:
			return f, nil
		case frameCompile:
			err = w.compile(f)
		case frameOpen:
			err = w.open(f)
		case frameClose:
			err = w.close(f)
		case frameRun:
			err = w.run(f)
		default:
			err = errFrameText
		}
		if err != nil {
			return nil, err
		}
	}
}

// send writes what is in out.
func (w *inmate) send() error {
	_, err := w.conn.Write(w.out.b)
	w.out.b = w.out.b[:0]
	if cap(w.out.b) > frameStep {
		w.out.b = nil
	}
	return err
}

func (w *inmate) compile(f *fields) error {
	engine, module, name, source := f.text(), f.flag(), f.text(), f.text()
	if err := f.end(); err != nil {
		return err
	}
	e, err := w.engine(engine)
	if err != nil {
		return err
	}
	p, err := compileWith(e, module, name, source)
	at := w.out.begin(frameCompiled)
	w.out.flag(err == nil)
	if err != nil {
		w.out.text(string(cloud.KindOf(err)))
		w.out.text(cloud.Message(err))
	} else {
		w.out.bytes(packed(p, name, source))
		w.out.number(int64(len(p.Imports())))
		for _, name := range p.Imports() {
			w.out.text(name)
		}
	}
	if err := w.out.end(at); err != nil {
		return err
	}
	return w.send()
}

// engine makes an engine when it is first used.
func (w *inmate) engine(name string) (Engine, error) {
	if e := w.engines[name]; e != nil {
		return e, nil
	}
	e, err := w.kit.engine(name)
	if err == nil {
		w.engines[name] = e
	}
	return e, err
}

func compileWith(e Engine, module bool, name, source string) (Program, error) {
	if module {
		return e.CompileModule(name, source)
	}
	return e.Compile(name, source)
}

// open makes a context. That it can't be made is told by its first run.
func (w *inmate) open(f *fields) error {
	id, engine, limits := f.number(), f.text(), f.limits()
	e, err := w.engine(engine)
	if err != nil {
		return err
	}
	var programs []Program
	for range f.count(1 << 20) {
		p, err := unpacked(e, append([]byte(nil), f.part()...))
		if err != nil {
			return err
		}
		programs = append(programs, p)
	}
	if err := f.end(); err != nil || len(programs) == 0 {
		return errors.Join(err, errFrameText)
	}
	c, err := e.NewContext(programs[0], limits, programs[1:]...)
	if err != nil {
		c = brokenContext{err}
	}
	w.contexts[id] = c
	return nil
}

func (w *inmate) close(f *fields) error {
	id := f.number()
	if c := w.contexts[id]; c != nil {
		c.Close()
		drainArenas() // what waits for its next use would count as the process's data
	}
	delete(w.contexts, id)
	return f.end()
}

func (w *inmate) run(f *fields) error {
	id, left, nested, limits := f.number(), f.number(), f.number(), f.limits()
	input := append([]byte(nil), f.part()...)
	c := w.contexts[id]
	if err := f.end(); err != nil || c == nil {
		return errors.Join(err, errFrameText)
	}
	outer := w.most
	w.most = frameBound(limits)
	h := &inmateHost{w: w, c: c, input: input}
	finished, fail := c.Run(h, Budget{Ctx: context.Background(), Deadline: time.Now().Add(time.Duration(left)), Limits: limits, Nested: int(nested)})
	if h.err != nil {
		return h.err // the instance is gone
	}
	if fail == nil && int64(len(finished)) > w.most-frameStep {
		fail = verdict("", cloud.BudgetExceeded, "the answer is larger than the script's memory")
	}
	w.most = outer
	at := w.out.begin(frameDone)
	w.out.flag(fail == nil)
	if fail == nil {
		w.out.text(finished)
	} else {
		w.out.bytes(tellFailure(fail))
	}
	w.out.flag(c.Spent())
	w.out.number(c.Memory())
	if err := w.out.end(at); err != nil {
		return err
	}
	return w.send()
}

// brokenContext is one that could not be made.
type brokenContext struct{ err error }

func (c brokenContext) Run(Host, Budget) (string, *Failure) {
	return "", &Failure{Err: c.err, Trace: &cloud.Trace{Message: cloud.Message(c.err)}}
}
func (c brokenContext) Spent() bool   { return true }
func (c brokenContext) Memory() int64 { return 0 }
func (c brokenContext) Close()        {}

// inmateHost passes host calls on to the instance.
type inmateHost struct {
	w     *inmate
	c     Context // that makes the calls
	input []byte
	err   error // of the socket: the worker must end
}

func (h *inmateHost) Context() []byte { return h.input }

// errEnded is the fatal error of a host call in a worker: the instance knows the real one.
var errEnded = errors.New("the instance ended the run")

func (h *inmateHost) Host(op, args string) (string, error) {
	if int64(len(args)) > h.w.most-frameStep {
		return "", cloud.Errorf(cloud.BudgetExceeded, "what was passed to %.100s is larger than the script's memory", op)
	}
	w := h.w
	at := w.out.begin(frameCall)
	w.out.text(op)
	w.out.text(args)
	w.out.number(h.c.Memory())
	h.err = errors.Join(w.out.end(at), w.send())
	if h.err != nil {
		return "", errEnded
	}
	f, err := w.obey()
	if err != nil {
		h.err = err
		return "", errEnded
	}
	ended, out := f.flag(), f.text()
	if h.err = f.end(); h.err != nil || ended {
		return "", errEnded
	}
	return out, nil
}

// toldFailure is a Failure on its way from a worker.
type toldFailure struct {
	Kind    cloud.Kind
	Message string
	Trace   cloud.Trace
	Thrown  *sdk.Thrown `json:",omitempty"`
	Stuck   bool        `json:",omitempty"`
	Ended   bool        `json:",omitempty"` // by the fatal error of a host call, which the instance knows
}

func tellFailure(f *Failure) []byte {
	t := toldFailure{Kind: cloud.KindOf(f.Err), Message: cloud.Message(f.Err), Thrown: f.Thrown, Stuck: f.Stuck, Ended: errors.Is(f.Err, errEnded)}
	if t.Kind == cloud.Internal {
		t.Message = f.Err.Error() // for the instance's log
	}
	if f.Trace != nil {
		t.Trace = *f.Trace
	}
	b, _ := json.Marshal(t) // texts and numbers can't fail
	return b
}
