package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	owner    = "owner"
	password = "correct horse battery staple"
	// startTime is how long a start may take, on a machine that does other things too.
	startTime = 60 * time.Second
)

// instance is the process that is killed, over all of its starts.
type instance struct {
	program string
	args    []string
	env     []string
	dir     string // of its log
	broken  func(*Violation)

	starts atomic.Int64 // how often it was started

	mu      sync.Mutex
	cmd     *exec.Cmd
	url     string        // where it serves; "" while it doesn't
	serving chan struct{} // closed when url is set
	ended   chan struct{} // closed when the process has ended
	wanted  bool          // somebody meant it to end
	closed  bool          // nobody will start it again
}

// settings make events quick and give every attempt that a kill breaks another one.
var settings = []string{
	"PICLOUD_OWNER_USERNAME=" + owner, "PICLOUD_OWNER_PASSWORD=" + password,
	"PICLOUD_LISTEN=127.0.0.1:0", "PICLOUD_MDNS=false", "PICLOUD_LITESTREAM_CONFIG=off", "PICLOUD_LOG_FORMAT=json",
	"PICLOUD_TRIGGER_RETRY_BASE_MS=10", "PICLOUD_TRIGGER_RETRY_BACKOFF=constant",
	"PICLOUD_OUTBOUND_ALLOW=127.0.0.1", "PICLOUD_OUTBOUND_RETRY_MAX_ATTEMPTS=100", "PICLOUD_OUTBOUND_RETRY_BASE_MS=10",
	"PICLOUD_CLOCK_WAIT=0s", "PICLOUD_DISK_RESERVE_BYTES=0",
}

func newInstance(program, dir, durability string, broken func(*Violation)) *instance {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PICLOUD_") })
	return &instance{
		program: program, dir: dir, broken: broken,
		args:    []string{"serve", "--data-dir", filepath.Join(dir, "data"), "--durability", durability},
		env:     append(env, settings...),
		serving: make(chan struct{}),
	}
}

// start runs the program; more settings hold for this start alone.
func (in *instance) start(more ...string) error {
	log, err := os.OpenFile(filepath.Join(in.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wanted, in.ended = false, make(chan struct{})
	in.cmd = exec.Command(in.program, in.args...)
	in.cmd.Env = append(in.env[:len(in.env):len(in.env)], more...)
	in.cmd.Stderr = &logReader{in: in, file: log, start: in.starts.Add(1)}
	if err := in.cmd.Start(); err != nil {
		return err
	}
	go in.wait(in.cmd, in.ended, log)
	return nil
}

// wait sees to the end of a process, and tells when nobody wanted it.
func (in *instance) wait(cmd *exec.Cmd, ended chan struct{}, log *os.File) {
	err := cmd.Wait()
	log.Close()
	in.mu.Lock()
	wanted := in.wanted
	in.down()
	in.mu.Unlock()
	close(ended)
	if !wanted {
		in.broken(&Violation{Promise: "the instance goes on until it is stopped", Found: fmt.Sprintf("start %d ended by itself: %v", in.starts.Load(), howItEnded(err))})
	}
}

func howItEnded(err error) string {
	if err == nil {
		return "exit code 0"
	}
	return err.Error()
}

// down makes clients wait, with in.mu held.
func (in *instance) down() {
	if in.url != "" && !in.closed {
		in.url, in.serving = "", make(chan struct{})
	}
}

// up is called when the instance has said where it serves.
func (in *instance) up(url string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.closed {
		in.url = url
		close(in.serving)
	}
}

// close lets go of all who wait for the instance, for ever.
func (in *instance) close() {
	in.kill()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed = true; in.url == "" {
		close(in.serving)
	}
}

// address waits until the instance serves and says where.
func (in *instance) address(ctx context.Context) (string, error) {
	for {
		in.mu.Lock()
		url, serving := in.url, in.serving
		in.mu.Unlock()
		if url != "" {
			return url, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-serving:
			if in.isClosed() {
				return "", context.Canceled
			}
		}
	}
}

func (in *instance) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}

// ready waits until /readyz says so.
func (in *instance) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		url, err := in.address(ctx)
		if err == nil && answers(ctx, url+"/readyz") {
			return nil
		}
		select {
		case <-ctx.Done():
			return &Violation{Promise: "the next start needs no repair", Found: fmt.Sprintf("start %d was not ready after %v", in.starts.Load(), startTime)}
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the process with SIGKILL and waits for that. It reports whether the process still ran.
func (in *instance) kill() bool { return in.end(syscall.SIGKILL, 0) }

// stopThenKill asks the process to stop, and kills it after a while.
func (in *instance) stopThenKill(after time.Duration) (killed bool) {
	return in.end(syscall.SIGTERM, after)
}

func (in *instance) end(first syscall.Signal, after time.Duration) (killed bool) {
	in.mu.Lock()
	cmd, ended := in.cmd, in.ended
	in.wanted = true
	in.down()
	in.mu.Unlock()
	if cmd == nil {
		return false
	}
	if first != syscall.SIGKILL {
		_ = cmd.Process.Signal(first)
		select {
		case <-ended:
			return false
		case <-time.After(after):
		}
	}
	err := cmd.Process.Kill()
	<-ended
	return err == nil
}

// logReader keeps what the instance logs and reads it: where it serves, and what went wrong.
type logReader struct {
	in    *instance
	file  *os.File
	start int64
	rest  []byte // of a line that has no end yet
}

// expected are warnings that the load itself causes.
var expected = []string{
	"not ready", // it is asked before it can be
	"the handler of a dead letter failed; the letter stays open",
	"a download of the database was broken off",
	"requests were still running at the end of the drain time",
}

func (l *logReader) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			break
		}
		l.read(line)
		l.rest = rest
	}
	return l.file.Write(b)
}

func (l *logReader) read(line []byte) {
	var said struct{ Level, Msg, URL string }
	if err := json.Unmarshal(line, &said); err != nil {
		said.Level = "ERROR" // of Go itself, such as a panic
	}
	if said.Msg == "serving" {
		l.in.up(said.URL)
	}
	if (said.Level == "WARN" || said.Level == "ERROR") && !slices.Contains(expected, said.Msg) {
		l.in.broken(&Violation{Promise: "the next start needs no repair, and nothing fails inside PiCloud", Found: fmt.Sprintf("start %d logged: %s", l.start, line)})
	}
}
