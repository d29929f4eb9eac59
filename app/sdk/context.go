package sdk

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"picloud/app/cloud"
)

// Context is ctx as JSON, which the prelude's begin turns into the script's ctx. It is built
// by hand, because every execution needs one, and with sorted names, so that a re-run sees
// the same.
func (c *Call) Context() []byte {
	inv, s := c.Inv, c.Script
	b := make([]byte, 0, 768+contextSize(inv))
	b = appendID(append(b, `{"app":{"id":`...), inv.App)
	b = appendString(append(b, `,"slug":`...), s.AppSlug)
	b = appendID(append(b, `},"script":{"id":`...), s.ID)
	b = appendString(append(b, `,"name":`...), s.Name)
	b = strconv.AppendInt(append(b, `,"version":`...), int64(s.Version), 10)
	b = appendID(append(b, `},"executionId":`...), inv.ID)
	b = appendID(append(b, `,"rootExecutionId":`...), inv.Root)
	b = strconv.AppendInt(append(b, `,"depth":`...), int64(inv.Depth), 10)
	b = strconv.AppendInt(append(b, `,"attempt":`...), int64(inv.Attempt), 10)
	b = append(b, `,"idempotencyKey":`...)
	if inv.Key != "" {
		b = appendString(b, inv.Key)
	} else {
		b = appendID(b, inv.ID) // a call that is never attempted twice
	}
	b = strconv.AppendInt(append(b, `,"deadline":`...), c.Deadline.UnixMilli(), 10)
	b = appendPrincipal(append(b, `,"principal":`...), inv.Principal, inv.App)
	if inv.Args != nil {
		b = append(append(b, `,"args":`...), inv.Args...)
	}
	if inv.Request != nil && !c.invoked {
		b = appendRequest(append(b, `,"request":`...), inv.Request)
	}
	if inv.Event != nil {
		b = append(append(b, `,"event":`...), inv.Event...)
	}
	return append(b, '}')
}

// contextSize guesses how much room what the caller sent takes.
func contextSize(inv *cloud.Invocation) int {
	n := len(inv.Event) + len(inv.Args)
	if r := inv.Request; r != nil {
		n += len(r.URL) + len(r.Body) + len(r.RawBody) + len(r.RawBody)/8 + 64*len(r.Headers)
	}
	return n
}

// appendID appends the id's text, null for the zero id.
func appendID[T any](b []byte, id cloud.ID[T]) []byte {
	if id.IsZero() {
		return append(b, "null"...)
	}
	b, _ = id.AppendText(append(b, '"'))
	return append(b, '"')
}

// appendPrincipal appends who acts, null for the public. The role is the one in this app.
func appendPrincipal(b []byte, p *cloud.Principal, app cloud.AppID) []byte {
	if p == nil {
		return append(b, "null"...)
	}
	b = appendID(append(b, `{"id":`...), p.User)
	b = appendString(append(b, `,"username":`...), p.Username)
	b = append(b, `,"role":`...)
	if role := p.RoleIn(app); role != "" {
		b = appendString(b, string(role))
	} else {
		b = append(b, "null"...)
	}
	return append(b, '}')
}

func appendRequest(b []byte, r *cloud.Request) []byte {
	b = appendString(append(b, `{"method":`...), r.Method)
	b = appendString(append(b, `,"host":`...), r.Host)
	b = appendString(append(b, `,"path":`...), r.Path)
	b = appendString(append(b, `,"url":`...), requestURL(r))
	b = appendMap(append(b, `,"params":`...), r.Params)
	b = appendQuery(append(b, `,"query":`...), r.Query)
	b = appendMap(append(b, `,"headers":`...), r.Headers)
	b = append(b, `,"body":`...)
	if len(r.Body) > 0 {
		b = append(b, r.Body...)
	} else {
		b = append(b, "null"...)
	}
	b = appendString(append(b, `,"rawBody":`...), r.RawBody)
	if r.IsBase64 {
		b = append(b, `,"is_base64":true`...)
	}
	b = appendString(append(b, `,"rest":`...), r.Rest)
	b = appendString(append(b, `,"remoteAddress":`...), r.RemoteAddress)
	return append(b, '}')
}

// requestURL is the URL that r came by, or what it must have been when r doesn't say: a
// request that was stored before URLs were, or one made up by a person.
func requestURL(r *cloud.Request) string {
	if r.URL != "" {
		return r.URL
	}
	query := url.Values{}
	for name, v := range r.Query {
		switch v := v.(type) {
		case string:
			query.Set(name, v)
		case []string:
			query[name] = v
		case []any:
			for _, one := range v {
				query.Add(name, fmt.Sprint(one))
			}
		}
	}
	text := "http://" + cmp.Or(r.Host, "localhost") + cmp.Or(r.Path, "/") // the path is escaped
	if len(query) > 0 {
		text += "?" + query.Encode()
	}
	return text
}

func appendMap(b []byte, m map[string]string) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		b = appendString(b, m[name])
	}
	return append(b, '}')
}

// appendQuery appends query parameters: a string each, or a list when one is repeated.
func appendQuery(b []byte, m map[string]any) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		switch v := m[name].(type) {
		case string:
			b = appendString(b, v)
		case []string:
			b = appendStrings(b, v)
		default: // a stored request that was read back holds []any
			b = appendAny(b, v)
		}
	}
	return append(b, '}')
}

func appendAny(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, text...)
}
