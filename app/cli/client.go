package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"picloud/app/cloud"
)

const (
	adminAPI      = "/api/v1/admin"
	answerTimeout = 30 * time.Second
	maxAnswer     = 8 << 20
)

// client asks one instance's admin API, as the bearer of a key or within a session.
type client struct {
	base    string // as instanceURL returns it
	key     string
	session *http.Cookie
}

// instanceURL is the address of an instance in one way of writing: scheme, host and port.
func instanceURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return "", usageError{errors.New("give the instance's address, such as https://pi.example.org or http://pi:8080")}
	case u.User != nil:
		return "", usageError{errors.New("leave name and password out of the address: both are asked for")}
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "", usageError{errors.New("give the instance's address without a path: an instance has a host of its own")}
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// sendsInClear reports whether what is sent to base can be read on its way.
func sendsInClear(base string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "https" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// call asks for path below the admin API and reads the answer into out, nil for none. An
// error of the instance keeps its kind and message.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if resp.StatusCode > 299 {
		return c.refused(resp, body)
	}
	for _, k := range resp.Cookies() {
		if k.Name == "picloud_session" {
			c.session = k
		}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return c.stranger(resp)
	}
	return nil
}

func (c *client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader = http.NoBody
	media := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body, media = bytes.NewReader(b), "application/json"
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	resp, err := c.request(ctx, method, adminAPI+path, body, media)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &endingBody{resp.Body, cancel}
	return resp, nil
}

// endingBody ends its request's context when it is closed.
type endingBody struct {
	io.ReadCloser
	end context.CancelFunc
}

func (b *endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// request asks for a path of the instance, for as long as ctx lasts. An error of the instance
// is the answer's, not one of this method.
func (c *client) request(ctx context.Context, method, path string, body io.Reader, media string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", c.base, err)
	}
	req.Header.Set("User-Agent", "picloud-cli")
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	switch {
	case c.key != "":
		req.Header.Set("Authorization", "Bearer "+c.key)
	case c.session != nil:
		req.AddCookie(&http.Cookie{Name: c.session.Name, Value: c.session.Value})
		req.Header.Set("Origin", c.base)
	}
	resp, err := direct.Do(req)
	if err != nil {
		return nil, unreached{fmt.Errorf("reach the instance: %w", err)}
	}
	return resp, nil
}

// unreached is that nobody answered: another time it may work.
type unreached struct{ error }

func (u unreached) Unwrap() error { return u.error }

// direct follows no redirect: it would carry a password to wherever the answer points.
var direct = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// refused is the error that an answer holds.
func (c *client) refused(resp *http.Response, body []byte) error {
	var f struct {
		Error struct {
			Code    cloud.Kind `json:"code"`
			Message string     `json:"message"`
		} `json:"error"`
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode < 400:
		return fmt.Errorf("%s sends elsewhere (%s): give the address that it points to", c.base, resp.Header.Get("Location"))
	case media != "application/json", json.Unmarshal(body, &f) != nil, f.Error.Code == "":
		return c.stranger(resp)
	}
	return cloud.Errorf(f.Error.Code, "%s says: %s", c.base, f.Error.Message)
}

func (c *client) stranger(resp *http.Response) error {
	return fmt.Errorf("%s does not answer like a PiCloud instance (status %d): check the address", c.base, resp.StatusCode)
}
