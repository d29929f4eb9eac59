package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/app/outbound"
)

// HTTPSender sends what http.later stored. Its Send is the outbox.Sender of SourceHTTPOut.
type HTTPSender struct {
	Client   *outbound.Client
	Secrets  Secrets
	Breakers *outbound.Breakers
	// Hold keeps requests to a host of an app from being tried before a time; zero lets them go.
	Hold   func(ctx context.Context, app cloud.AppID, host string, until cloud.Time) error
	Now    func() time.Time
	Logger *slog.Logger
}

// Secrets finds the value of a secret. *data.Secrets is the real one.
type Secrets interface {
	Get(ctx context.Context, app cloud.AppID, name string) (value string, ok bool, err error)
}

// sendError is a failure that may be tried again.
type sendError struct {
	err   *cloud.Error
	after time.Duration // before the next attempt; 0: as the row's policy says
	free  bool          // it costs no attempt
}

func (e *sendError) Error() string             { return e.err.Error() }
func (e *sendError) Unwrap() error             { return e.err }
func (e *sendError) RetryAfter() time.Duration { return e.after }
func (e *sendError) Uncounted() bool           { return e.free }

// Send makes one attempt. 2xx is success. A host that can't be reached, or is too slow, costs
// no attempt; 408, 425, 429 and 5xx do; every other status is final, and so is an address
// that the guard refuses.
func (s *HTTPSender) Send(ctx context.Context, inv *cloud.Invocation) *cloud.Result {
	c := &Call{Ctx: ctx, Inv: inv, shared: &shared{}}
	res := &cloud.Result{}
	res.Err = s.send(ctx, c, res)
	if k := cloud.KindOf(res.Err); k != "" {
		res.StatusCode = k.Status()
		res.Trace = &cloud.Trace{Message: cloud.Message(res.Err)}
	}
	c.Redact(res)
	return res
}

func (s *HTTPSender) send(ctx context.Context, c *Call, res *cloud.Result) error {
	r, err := s.request(ctx, c)
	if err != nil {
		return err
	}
	host := laterHost(r.URL)
	answer, err := s.Client.Do(ctx, c.Inv.App, r)
	if err != nil {
		return s.unsent(ctx, c.Inv.App, host, err)
	}
	res.StatusCode = answer.Status
	if utf8.Valid(answer.Body) {
		res.Body = answer.Body
	}
	return s.judge(ctx, c.Inv.App, host, answer)
}

// request reads the row and puts the secrets in.
func (s *HTTPSender) request(ctx context.Context, c *Call) (*outbound.Request, error) {
	var ev laterEvent
	if err := json.Unmarshal(c.Inv.Event, &ev); err != nil || ev.HTTP == nil {
		return nil, cloud.Errorf(cloud.Invalid, "the stored request can't be decoded").WithCause(err)
	}
	c.secrets = map[string]string{}
	r, err := ev.HTTP.request(func(name string) (string, error) {
		value, ok, err := s.Secrets.Get(ctx, c.Inv.App, name)
		if err == nil && !ok {
			err = cloud.Errorf(cloud.Conflict, "the request needs the secret %s, which is not set any more: set it again", name)
		}
		c.secrets[name] = value
		return value, err
	})
	if err != nil {
		return nil, err
	}
	if err := s.Client.Prepare(r); err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "%s", cloud.Message(err)).WithCause(err) // it would be the same next time
	}
	if r.Header.Get(idempotencyKey) == "" {
		r.Header.Set(idempotencyKey, c.Inv.Key)
	}
	return r, nil
}

// unsent is the failure of a request without an answer.
func (s *HTTPSender) unsent(ctx context.Context, app cloud.AppID, host string, err error) error {
	var own *cloud.Error
	if !errors.As(err, &own) || own.Kind != cloud.Unreachable && own.Kind != cloud.Timeout {
		return err
	}
	return &sendError{err: own, after: s.failed(ctx, app, host, own.Msg), free: true}
}

// judge looks at the answer.
func (s *HTTPSender) judge(ctx context.Context, app cloud.AppID, host string, answer *outbound.Response) error {
	why := host + " answered " + strconv.Itoa(answer.Status)
	switch {
	case answer.Status >= 500, answer.Status == http.StatusRequestTimeout, answer.Status == http.StatusTooEarly, answer.Status == http.StatusTooManyRequests:
		s.failed(ctx, app, host, why)
		return &sendError{err: cloud.Errorf(cloud.Unreachable, "%s", why), after: s.retryAfter(answer.Header.Get("Retry-After"))}
	}
	s.worked(ctx, app, host)
	if answer.Status < 200 || answer.Status > 299 {
		return cloud.Errorf(cloud.Invalid, "%s: it is not sent again", why)
	}
	return nil
}

// failed tells the breaker, and holds the host's requests while it is open.
func (s *HTTPSender) failed(ctx context.Context, app cloud.AppID, host, why string) (pause time.Duration) {
	now := cloud.TimeOf(s.Now())
	state := s.Breakers.Failed(app, host, why, now)
	if state.Open {
		s.hold(ctx, app, host, state.NextTryAt)
	}
	return time.Duration(state.NextTryAt-now) * time.Millisecond
}

func (s *HTTPSender) worked(ctx context.Context, app cloud.AppID, host string) {
	if s.Breakers.Worked(app, host) {
		s.hold(ctx, app, host, 0)
	}
}

// hold is a courtesy to the host: when it can't be written, the row's own pause holds.
func (s *HTTPSender) hold(ctx context.Context, app cloud.AppID, host string, until cloud.Time) {
	if err := s.Hold(context.WithoutCancel(ctx), app, host, until); err != nil {
		s.Logger.Warn("hold the requests to a host", "app", app, "host", host, "err", err)
	}
}

// retryAfter reads the header of that name: seconds, or a time; 0 when there is none.
func (s *HTTPSender) retryAfter(v string) time.Duration {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(s.Now()), 0)
	}
	return 0
}
