// Package outbound is the way out: HTTP requests of scripts to other machines, bounded, and
// behind a guard that looks at every address just before it is connected to.
package outbound

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

// Options of New. The zero value works and reaches nothing but the open internet.
type Options struct {
	Allow *Allow // reserved places that every app may call
	// AllowOf are those of one app; it must answer from memory. nil: none.
	AllowOf func(cloud.AppID) []string

	MaxRequest  int64         // bytes of a request's body; 1 MiB
	MaxResponse int64         // bytes of a response's body, decompressed; 4 MiB
	Timeout     time.Duration // of a request that says nothing; 10 s
	MaxHops     int           // requests of scripts in a row, each caused by the one before; 8
	Resolver    *net.Resolver // net.DefaultResolver
	Logger      *slog.Logger  // slog.Default
}

func (o Options) withDefaults() Options {
	o.MaxRequest = cmp.Or(o.MaxRequest, 1<<20)
	o.MaxResponse = cmp.Or(o.MaxResponse, 4<<20)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.MaxHops = cmp.Or(o.MaxHops, 8)
	if o.AllowOf == nil {
		o.AllowOf = func(cloud.AppID) []string { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Client sends requests for all apps. Connections are kept for reuse, but never shared
// between apps: one may be allowed to reach what the other is not.
type Client struct {
	o        Options
	ways     ways
	requests *prometheus.CounterVec
}

// New makes a client; it needs no Close, but CloseIdle ends the connections it keeps.
func New(o Options) *Client {
	return &Client{
		o: o.withDefaults(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picloud_outbound_requests_total", Help: "HTTP requests that scripts sent, by what came of them.",
		}, []string{"app", "status"}),
	}
}

// Collectors are the client's metrics.
func (c *Client) Collectors() []prometheus.Collector { return []prometheus.Collector{c.requests} }

// Response is what came back.
type Response struct {
	Status     int
	URL        string // after redirects
	Redirected bool
	Header     http.Header
	Body       []byte // decompressed
}

// briefBytes are read of a body that nobody needs.
const briefBytes = 2 << 10

// errSlow is the cause of a context that a request's own timeout ended.
var errSlow = errors.New("the request's timeout")

// Do sends a prepared request for app and reads the whole answer. Any status is a success.
// Errors are Forbidden for an address that the guard refuses, Timeout, TooLarge, Unreachable
// for everything that goes wrong on the way, and ctx's own when that ended.
func (c *Client) Do(ctx context.Context, app cloud.AppID, r *Request) (*Response, error) {
	limited, cancel := context.WithTimeoutCause(ctx, r.Timeout, errSlow)
	defer cancel()
	res, err := c.exchange(limited, app, r)
	if err != nil {
		err = explain(limited, r, err)
	}
	c.requests.WithLabelValues(app.String(), outcome(res, err)).Inc()
	return res, err
}

func (c *Client) exchange(ctx context.Context, app cloud.AppID, r *Request) (*Response, error) {
	m, err := r.message(ctx)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: c.way(app).transport, CheckRedirect: r.redirect}
	resp, err := client.Do(m)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := c.read(resp, r.Brief)
	if err != nil {
		return nil, err
	}
	return &Response{
		Status: resp.StatusCode, Header: resp.Header, Body: body,
		URL: resp.Request.URL.String(), Redirected: resp.Request != m,
	}, nil
}

// read reads the body up to the bound; what a compressed body unpacks to counts.
func (c *Client) read(resp *http.Response, brief bool) ([]byte, error) {
	if brief {
		return io.ReadAll(io.LimitReader(resp.Body, briefBytes))
	}
	tooLarge := cloud.Errorf(cloud.TooLarge, "the answer of %s has more than %d bytes", resp.Request.URL.Hostname(), c.o.MaxResponse)
	if resp.ContentLength > c.o.MaxResponse && resp.Request.Method != http.MethodHead {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxResponse+1))
	if err == nil && int64(len(body)) > c.o.MaxResponse {
		err = tooLarge
	}
	return body, err
}

// outcome is the label of a request in the metrics: 2xx, …, or why there is no status.
func outcome(res *Response, err error) string {
	if err == nil {
		return string('0'+rune(res.Status/100)) + "xx"
	}
	if k := cloud.KindOf(err); k != cloud.Internal {
		return string(k)
	}
	return "cancelled"
}
