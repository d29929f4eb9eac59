package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// limited starts the program with so few files that it may open.
func limited(files int) func(*exec.Cmd) error {
	return func(c *exec.Cmd) error {
		c.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, files), "sh", c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
		return c.Start()
	}
}

// Idle connections take all files that the process may open. It isn't killed, says little, does
// not spin; whom it can't answer, it tells or closes; and when the connections go, it works again.
func TestOutOfFiles(t *testing.T) {
	for name, env := range map[string]string{
		"with the default bound": "PICLOUD_MAX_CONNECTIONS=0",
		"without a bound":        "PICLOUD_MAX_CONNECTIONS=1000",
	} {
		t.Run(name, func(t *testing.T) {
			in, start := newFaulty(t, func(string) {})
			in.launch = limited(96)
			start(env)
			l := newLoad(t, in)
			l.step(t)
			in.crowd(t, l)
			l.recovers(t)
			in.until(t, "GET", "/readyz", `"ready"`)
			l.check(t)
			if n := in.lines(t, ""); n > 30 {
				t.Errorf("%d lines of log", n)
			}
		})
	}
}

// crowd opens 300 idle connections, asks for all kinds of things through one that was there
// before, and closes them.
func (in *instance) crowd(t *testing.T, l *load) {
	t.Helper()
	for range 300 {
		c, err := net.Dial("tcp", in.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	answers := map[string]int{}
	for range 20 {
		for _, path := range []string{"/hello", "/read", "/readyz"} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+in.addr+path, nil)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				answers[path+" none"]++
			} else {
				answers[fmt.Sprint(path, " ", resp.StatusCode)]++
				resp.Body.Close()
			}
			cancel()
		}
	}
	t.Log(answers)
}
