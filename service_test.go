package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The binary tells its service manager when it is ready, that it lives, and that it stops.
func TestServiceManagerHears(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	in := &instance{dir: filepath.Join(dir, "data"), addr: "127.0.0.1:" + port}
	env := append(os.Environ(), "NOTIFY_SOCKET="+socket.LocalAddr().String(), "WATCHDOG_USEC=300000", "WATCHDOG_PID=")
	if err := in.start(env, "serve", "--data-dir", in.dir, "--listen", in.addr); err != nil {
		t.Fatal(err)
	}
	defer in.kill()

	hear := func() string {
		buf := make([]byte, 256)
		if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(buf)
		if err != nil {
			t.Fatalf("heard nothing more: %v", err)
		}
		return string(bytes.TrimSpace(buf[:n]))
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := hear(); got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	if err := in.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for {
		if got := hear(); strings.HasPrefix(got, "STOPPING=1") {
			return
		}
	}
}
