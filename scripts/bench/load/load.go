// Package load is an HTTP/1.1 load generator, closed-loop (Run) and open-loop (Open), that costs
// little itself: requests are bytes made once, answers are only counted. On a small machine a
// full HTTP client would take more of the processor than the servers that are compared.
package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Result of a run.
type Result struct {
	Requests  int
	Failures  int // answers other than 2xx
	Duration  time.Duration
	Latencies []time.Duration // sorted
}

// PerSecond is the throughput of 2xx answers.
func (r Result) PerSecond() float64 {
	return float64(r.Requests-r.Failures) / r.Duration.Seconds()
}

// Percentile of the latencies, p from 0 to 1.
func (r Result) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(int(float64(len(r.Latencies))*p), len(r.Latencies)-1)]
}

// Request makes the bytes of one request; all but a GET say how long their body is.
func Request(method, host, path, contentType string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	if contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", contentType)
	}
	if method != "GET" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// Run sends request over and over on conns connections, each waiting for its answer, for d.
func Run(addr string, request []byte, conns int, d time.Duration) (Result, error) {
	var (
		mu    sync.Mutex
		total Result
		first error
		wg    sync.WaitGroup
	)
	start := time.Now()
	for range conns {
		wg.Go(func() {
			r, err := one(addr, request, start.Add(d))
			mu.Lock()
			defer mu.Unlock()
			if err != nil && first == nil {
				first = err
			}
			total.Requests += r.Requests
			total.Failures += r.Failures
			total.Latencies = append(total.Latencies, r.Latencies...)
		})
	}
	wg.Wait()
	total.Duration = time.Since(start)
	slices.Sort(total.Latencies)
	return total, first
}

func one(addr string, request []byte, end time.Time) (Result, error) {
	var r Result
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return r, err
	}
	defer func() { c.Close() }()
	in := bufio.NewReader(c)
	for {
		t := time.Now()
		if t.After(end) {
			return r, nil
		}
		if _, err := c.Write(request); err != nil {
			return r, err
		}
		status, last, err := answer(in)
		if err != nil {
			return r, err
		}
		if last {
			c.Close()
			if c, err = net.Dial("tcp", addr); err != nil {
				return r, err
			}
			in.Reset(c)
		}
		r.Requests++
		if status < 200 || status > 299 {
			r.Failures++
		}
		r.Latencies = append(r.Latencies, time.Since(t))
	}
}

// answer reads one response with a Content-Length (or none for 204). last says that the server
// closes the connection after it.
func answer(in *bufio.Reader) (status int, last bool, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 {
		return 0, false, fmt.Errorf("short status line %q", line)
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, false, fmt.Errorf("status line %q", line)
	}
	length := -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, false, err
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):])))
			if err != nil {
				return 0, false, err
			}
		}
		last = last || bytes.EqualFold(bytes.TrimSpace(line), []byte("connection: close"))
	}
	if length < 0 && status != 204 {
		return 0, false, fmt.Errorf("answer %d without Content-Length", status)
	}
	_, err = io.CopyN(io.Discard, in, int64(max(length, 0)))
	return status, last, err
}
