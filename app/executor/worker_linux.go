package executor

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"picloud/app/cloud"
)

// isolated says whether this system can isolate processes.
func isolated() error { return nil }

// keepFiles keeps what the instance itself inherited from workers: its own descriptors are
// closed at exec anyway.
func keepFiles() {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, f := range list {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// starter starts workers, all on one thread of its own: the kernel ends them with the thread
// that started them, so it must live as long as the instance.
func (p *workers) starter() {
	keepFiles()
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	for {
		select {
		case f := <-p.starts:
			f()
		case <-p.quit:
			return
		}
	}
}

// start starts a worker for an app: this binary again, with nothing but a socket.
func (p *workers) start(app cloud.AppID) (*worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	far := os.NewFile(uintptr(pair[1]), "worker")
	defer far.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	w := &worker{p: p, app: app, conn: os.NewFile(uintptr(pair[0]), "worker"), gone: make(chan struct{}), seats: map[int64]*seat{}}
	w.in = newFrames(w.conn, 0)
	w.cmd = &exec.Cmd{
		Path: "/proc/self/exe", // also when the file was replaced by an upgrade
		Args: []string{os.Args[0], workerWord}, Env: []string{}, Dir: "/",
		ExtraFiles: []*os.File{far}, Stderr: &w.words, WaitDelay: time.Second,
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}, // a terminal's Ctrl-C is for the instance
	}
	failed := make(chan error, 1)
	select {
	case p.starts <- func() {
		err := w.cmd.Start()
		if err == nil {
			p.began(w)
			p.all.Go(w.reap)
		}
		failed <- err
	}:
		err = <-failed
	case <-p.quit:
		err = cloud.Errorf(cloud.Overloaded, stopping)
	}
	if err != nil {
		w.conn.Close()
		return nil, err
	}
	// When memory gets short a worker goes before the instance does.
	_ = os.WriteFile("/proc/"+strconv.Itoa(w.cmd.Process.Pid)+"/oom_score_adj", []byte("500"), 0)
	at := w.out.begin(frameInit) // sent with what comes next
	w.out.number(p.memory)
	p.kit.write(&w.out)
	return w, w.out.end(at)
}

// endOf tells from a process's end why it ended. A worker that lies about it harms nobody else.
func endOf(s *os.ProcessState, words string) string {
	status, _ := s.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return endLost
	case status.Signaled() && status.Signal() == syscall.SIGXCPU:
		return endCPU
	case slices.ContainsFunc(wordsOfMemory, func(s string) bool { return strings.Contains(words, s) }):
		return endMemory
	}
	return endFault
}

// wordsOfMemory are what Go says when it gets no memory, the last two for a thread's stack.
var wordsOfMemory = []string{"out of memory", "cannot allocate memory", "failed to create new OS thread", "pthread_create failed"}

// Bounds of a worker beside its memory.
const (
	workerFiles   = 16
	workerSeconds = 2 * (int(workerSpan/time.Second) + 300) // of processor time: two processors for its span and the longest run
)

// lockUp takes from the process what it doesn't need: memory bytes beyond what it has, and the
// kernel's calls but those that the Go runtime needs to compute.
func lockUp(memory int64) error {
	data, err := dataSize()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		what  int
		bound uint64
	}{
		{unix.RLIMIT_DATA, uint64(data + memory)}, {unix.RLIMIT_CPU, uint64(workerSeconds)}, {unix.RLIMIT_NOFILE, workerFiles},
		{unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_CORE, 0}, {unix.RLIMIT_MEMLOCK, 0}, {unix.RLIMIT_MSGQUEUE, 0},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.bound, Max: l.bound}); err != nil {
			return fmt.Errorf("limit the worker's resource %d: %w", l.what, err)
		}
	}
	return filterCalls()
}

// filtered reports whether the worker has its filter of system calls.
func (w *worker) filtered() bool {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(w.cmd.Process.Pid) + "/status")
	return bytes.Contains(b, []byte("\nSeccomp:\t2"))
}

// dataSize is how much writable private memory the process has, as RLIMIT_DATA counts it.
func dataSize() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(b, []byte("VmData:"))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	kib, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the worker's VmData: %w", err)
	}
	return kib << 10, nil
}
