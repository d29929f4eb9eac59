package sdk

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/app/outbound"
	"picloud/app/outbox"
	"picloud/db"
)

// Bounds of requests that wait.
const (
	// MaxLaterTimeout is the longest that one attempt may take.
	MaxLaterTimeout = time.Minute
	// idempotencyKey is sent with every attempt, unless the script set one.
	idempotencyKey = "Idempotency-Key"
)

// laterRequest is a request in the outbox.
type laterRequest struct {
	Method         string                 `json:"method"`
	URL            laterText              `json:"url"`
	Headers        map[string][]laterText `json:"headers"`
	Body           laterText              `json:"body,omitzero"`
	Base64         []byte                 `json:"base64,omitzero"` // a body that isn't text
	TimeoutSeconds float64                `json:"timeout_seconds"`
	Redirect       string                 `json:"redirect"`
	Hops           int                    `json:"hops"`
}

// laterEvent is the payload of its row.
type laterEvent struct {
	Source string        `json:"source"`
	Op     string        `json:"op"`
	HTTP   *laterRequest `json:"http_out"`
}

// httpLater stores a request that is sent when the execution has committed.
func httpLater(c *Call, in []byte) ([]byte, error) {
	o, r, err := c.readRequest(in)
	if err != nil {
		return nil, err
	}
	if c.services.HTTP == nil || c.Unit == nil {
		return nil, cloud.Errorf(cloud.Forbidden, "this instance lets no script call other machines")
	}
	if o.As != "" {
		return nil, invalid("http.later has no option as: nobody waits for the answer")
	}
	r.Hops = c.hops()
	if err := c.services.HTTP.Prepare(r); err != nil {
		return nil, err
	}
	if r.Timeout > MaxLaterTimeout {
		return nil, invalid("timeout is at most %.0f seconds for http.later", MaxLaterTimeout.Seconds())
	}
	if err := c.services.Outbox.CheckDepth(c.Unit.Origin()); err != nil {
		return nil, err
	}
	id := cloud.NewID[cloud.RowID]()
	return textOut(id.String()), c.enqueueRequest(id, r)
}

func (c *Call) enqueueRequest(id cloud.RowID, r *outbound.Request) error {
	payload, err := json.Marshal(laterEvent{Source: cloud.SourceHTTPOut, Op: r.Method, HTTP: c.laterOf(r)})
	if err != nil {
		return err
	}
	host := laterHost(r.URL)
	m := outbox.Message{
		ID: id, Source: cloud.SourceHTTPOut, Op: r.Method, Script: c.Inv.Script,
		Lane: outbox.HTTPLane(host), Key: host, Payload: payload,
	}
	return c.Unit.DeferBytes(len(payload), func(_ context.Context, tx *db.Tx) error {
		_, err := c.services.Outbox.Enqueue(tx, c.Unit.Origin(), m)
		return err
	})
}

// laterHost names a host's lane: with the port, unless it is the usual one.
func laterHost(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if p := u.Port(); p == "80" && u.Scheme == "http" || p == "443" && u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":"+p)
	}
	return host
}

// laterOf is r as it is stored.
func (c *Call) laterOf(r *outbound.Request) *laterRequest {
	forms := c.secretForms()
	l := &laterRequest{
		Method: r.Method, URL: laterTextOf(r.URL.String(), forms), Headers: map[string][]laterText{},
		TimeoutSeconds: r.Timeout.Seconds(), Redirect: r.Redirect, Hops: r.Hops,
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, v := range r.Header[name] {
			l.Headers[name] = append(l.Headers[name], laterHeader(v, forms))
		}
	}
	switch {
	case len(r.Body) > 0 && utf8.Valid(r.Body):
		l.Body = laterTextOf(string(r.Body), forms)
	case len(r.Body) > 0:
		l.Base64 = r.Body
	}
	return l
}

// request is the one to be sent now.
func (l *laterRequest) request(get func(string) (string, error)) (*outbound.Request, error) {
	address, err := l.URL.resolve(get)
	if err != nil {
		return nil, err
	}
	r := &outbound.Request{
		Method: l.Method, Header: http.Header{}, Body: l.Base64, Redirect: l.Redirect, Hops: l.Hops, Brief: true,
		Timeout: time.Duration(l.TimeoutSeconds * float64(time.Second)),
	}
	if r.URL, err = outbound.ParseURL(address); err != nil {
		return nil, err
	}
	for name, values := range l.Headers {
		for _, v := range values {
			text, err := v.resolve(get)
			if err != nil {
				return nil, err
			}
			r.Header.Add(name, text)
		}
	}
	if l.Body != nil {
		text, err := l.Body.resolve(get)
		if err != nil {
			return nil, err
		}
		r.Body = []byte(text)
	}
	return r, nil
}
