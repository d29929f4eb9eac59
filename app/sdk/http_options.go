package sdk

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"picloud/app/outbound"
)

// httpOptions is a request as scripts write it.
type httpOptions struct {
	Method   string                     `json:"method"`
	URL      string                     `json:"url"`
	Headers  map[string]json.RawMessage `json:"headers"`
	Query    map[string]json.RawMessage `json:"query"`
	JSON     json.RawMessage            `json:"json"`
	Body     json.RawMessage            `json:"body"`
	Base64   []byte                     `json:"base64"` // of fetch: bytes, which bring no content-type
	Form     map[string]json.RawMessage `json:"form"`
	Timeout  *float64                   `json:"timeout"`
	Redirect string                     `json:"redirect"`
	As       string                     `json:"as"`
}

// readRequest reads the one argument of a request; the client checks the rest.
func (c *Call) readRequest(in []byte) (*httpOptions, *outbound.Request, error) {
	a := readArgs(in)
	o := &httpOptions{}
	a.object("the request", o)
	if a.err != nil {
		return nil, nil, a.err
	}
	r, err := o.request()
	return o, r, err
}

func (o *httpOptions) request() (*outbound.Request, error) {
	if !slices.Contains([]string{"", asAuto, asJSON, asText, asBase64, asRaw}, o.As) {
		return nil, invalid("as is auto, json, text or base64")
	}
	r := &outbound.Request{Method: o.Method, Header: http.Header{}, Redirect: o.Redirect}
	var err error
	if r.URL, err = outbound.ParseURL(o.URL); err != nil {
		return nil, err
	}
	if o.Timeout != nil {
		if *o.Timeout < 0.001 || *o.Timeout > outbound.MaxTimeout.Seconds() {
			return nil, invalid("timeout is a number of seconds from 0.001 to %.0f", outbound.MaxTimeout.Seconds())
		}
		r.Timeout = time.Duration(*o.Timeout * float64(time.Second))
	}
	if err := addQuery(r.URL, o.Query); err != nil {
		return nil, err
	}
	if err := o.readHeaders(r.Header); err != nil {
		return nil, err
	}
	return r, o.readBody(r)
}

// addQuery puts the query behind the one that the URL has.
func addQuery(u *url.URL, query map[string]json.RawMessage) error {
	text, err := encodeQuery(query)
	if err != nil || text == "" {
		return err
	}
	if u.RawQuery != "" {
		text = u.RawQuery + "&" + text
	}
	u.RawQuery = text
	return nil
}

func (o *httpOptions) readHeaders(h http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		values, err := queryValues(name, o.Headers[name])
		if err != nil {
			return invalid("the header %s must be a string, a number, a boolean or a list of these", name)
		}
		for _, v := range values {
			if err := outbound.CheckHeader(name, v); err != nil {
				return err
			}
			h.Add(name, v)
		}
	}
	return nil
}

// readBody takes the body from the one option that has it, with the content-type that goes
// with it unless the headers say another.
func (o *httpOptions) readBody(r *outbound.Request) error {
	var kind string
	given := 0
	if len(o.JSON) > 0 {
		given, kind, r.Body = given+1, "application/json", o.JSON
	}
	if o.Form != nil {
		text, err := encodeQuery(o.Form)
		if err != nil {
			return err
		}
		given, kind, r.Body = given+1, "application/x-www-form-urlencoded", []byte(text)
	}
	if len(o.Body) > 0 && string(o.Body) != "null" {
		a := &args{rest: o.Body}
		given, kind, r.Body = given+1, "application/octet-stream", a.data("the body")
		if a.err != nil {
			return a.err
		}
		if o.Body[0] == '"' {
			kind = "text/plain; charset=utf-8"
		}
	}
	if o.Base64 != nil {
		given, r.Body = given+1, o.Base64
	}
	if given > 1 {
		return invalid("a request has one body: give json, body or form")
	}
	if kind != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", kind)
	}
	return nil
}
