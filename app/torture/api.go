package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

type object = map[string]any

// patience is how long any request may take: an instance that doesn't answer within it hangs.
const patience = time.Minute

// api sends requests to the instance, wherever its present start serves.
type api struct {
	in     *instance
	client *http.Client
	key    string // of the owner
}

func newAPI(in *instance) *api {
	return &api{in: in, client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Second}}}
}

// answer is what came of a request.
type answer struct {
	outcome Outcome
	status  int // 0: none
	body    []byte
	err     error
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, bytes.TrimSpace(a.body[:min(len(a.body), 300)]))
}

// login begins with the owner's password and goes on with a key.
func (a *api) login(ctx context.Context) error {
	var cookie string
	login := a.send(ctx, "POST", "/api/v1/admin/auth/login", object{"username": owner, "password": password}, func(resp *http.Response) {
		cookie, _, _ = strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	})
	if login.status != http.StatusOK {
		return fmt.Errorf("log in: %s", login)
	}
	made := a.sendAs(ctx, "POST", "/api/v1/admin/api-keys", object{"name": "torture", "scopes": []string{"script:read", "script:write", "route:write", "domain:manage", "app:admin", "log:read", "instance:admin"}},
		func(r *http.Request) {
			r.Header.Set("Cookie", cookie)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}, nil)
	var key struct{ Key string }
	if err := json.Unmarshal(made.body, &key); err != nil || key.Key == "" {
		return fmt.Errorf("make a key: %s", made)
	}
	a.key = key.Key
	return nil
}

// admin calls the admin API as the owner.
func (a *api) admin(ctx context.Context, method, path string, body any) answer {
	return a.as(ctx, a.key, method, "/api/v1/admin"+path, body)
}

// public calls a route.
func (a *api) public(ctx context.Context, method, path string, body any) answer {
	return a.as(ctx, "", method, path, body)
}

func (a *api) as(ctx context.Context, key, method, path string, body any) answer {
	return a.sendAs(ctx, method, path, body, func(r *http.Request) {
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
	}, nil)
}

// must calls the admin API when nobody kills the instance, and decodes the answer.
func (a *api) must(ctx context.Context, method, path string, body, out any) error {
	return a.steadily(ctx, method+" "+path, out, func() answer { return a.admin(ctx, method, path, body) })
}

// steadily repeats a request that was turned away because the machine has too much to do.
func (a *api) steadily(ctx context.Context, what string, out any, ask func() answer) error {
	for end := time.Now().Add(2 * patience); ; {
		got := ask()
		busy := got.status == http.StatusServiceUnavailable || got.status == http.StatusGatewayTimeout || got.status == http.StatusConflict
		if !busy || ctx.Err() != nil || time.Now().After(end) {
			return decoded(got, what, out)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func decoded(got answer, what string, out any) error {
	if got.outcome != Acknowledged {
		return fmt.Errorf("%s: %s", what, got)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(got.body, out); err != nil {
		return fmt.Errorf("%s: %s: %w", what, got, err)
	}
	return nil
}

func (a *api) send(ctx context.Context, method, path string, body any, see func(*http.Response)) answer {
	return a.sendAs(ctx, method, path, body, func(*http.Request) {}, see)
}

func (a *api) sendAs(ctx context.Context, method, path string, body any, prepare func(*http.Request), see func(*http.Response)) answer {
	base, err := a.in.address(ctx)
	if err != nil {
		return answer{err: err}
	}
	b, err := json.Marshal(body)
	if err != nil {
		return answer{err: err}
	}
	if body == nil {
		b = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(b))
	if err != nil {
		return answer{err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	prepare(req)
	resp, err := a.client.Do(req)
	if err != nil {
		return a.cut(err)
	}
	defer resp.Body.Close()
	got := answer{status: resp.StatusCode}
	if got.body, err = io.ReadAll(resp.Body); err != nil && resp.StatusCode >= 300 {
		return a.cut(err)
	}
	if see != nil {
		see(resp)
	}
	if got.status < 300 {
		got.outcome = Acknowledged // even if the kill cut off its body
	}
	if got.status == http.StatusInternalServerError {
		a.in.broken(&Violation{Promise: "nothing fails inside PiCloud", Found: fmt.Sprintf("%s %s answered %s", method, path, got)})
	}
	return got
}

// cut is a request whose answer never came.
func (a *api) cut(err error) answer {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return answer{err: err} // it was not sent
	}
	if net, ok := errors.AsType[net.Error](err); ok && net.Timeout() {
		a.in.broken(&Violation{Promise: "every request is answered", Found: err.Error()})
	}
	return answer{outcome: Unknown, err: err}
}
