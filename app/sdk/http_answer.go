package sdk

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"picloud/app/outbound"
)

// What an answer's body becomes.
const (
	asAuto   = "auto"
	asJSON   = "json"
	asText   = "text"
	asBase64 = "base64"
	asRaw    = "raw" // for fetch: text if it is UTF-8, else base64
)

// answer writes a response for the script.
func (o *httpOptions) answer(res *outbound.Response) ([]byte, error) {
	b := make([]byte, 0, 512+len(res.Body)+len(res.Body)/8)
	b = strconv.AppendInt(append(b, `{"status":`...), int64(res.Status), 10)
	b = strconv.AppendBool(append(b, `,"ok":`...), res.Status >= 200 && res.Status < 300)
	if o.As == asRaw {
		b = appendString(append(b, `,"text":`...), http.StatusText(res.Status))
	}
	b = appendHeaders(append(b, `,"headers":`...), res)
	b = appendString(append(b, `,"url":`...), res.URL)
	b = strconv.AppendBool(append(b, `,"redirected":`...), res.Redirected)
	b, err := o.appendBody(append(b, `,"body":`...), res)
	return append(b, '}'), err
}

func appendHeaders(b []byte, res *outbound.Response) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(res.Header)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, strings.ToLower(name)), ':')
		if name == "Set-Cookie" { // the one that can't be joined
			b = appendStrings(b, res.Header[name])
		} else {
			b = appendString(b, strings.Join(res.Header[name], ", "))
		}
	}
	return append(b, '}')
}

// appendBody appends the body in the form that was asked for, or that its type asks for.
func (o *httpOptions) appendBody(b []byte, res *outbound.Response) ([]byte, error) {
	kind, charset := contentType(res.Header.Get("Content-Type"))
	text, isText := decodeText(res.Body, charset)
	switch o.As {
	case asBase64:
		return appendBase64(b, res.Body), nil
	case asText:
		return appendString(b, text), nil
	case asRaw:
		if utf8.Valid(res.Body) {
			return appendString(b, res.Body), nil
		}
		return appendBase64(b, res.Body), nil
	case asJSON:
		if !json.Valid(res.Body) {
			return nil, invalid("the answer (status %d, %s) is not JSON", res.Status, kind)
		}
		return append(b, res.Body...), nil
	}
	switch {
	case len(res.Body) == 0:
		return append(b, "null"...), nil
	case isJSON(kind) && utf8.Valid(res.Body) && json.Valid(res.Body):
		return append(b, res.Body...), nil
	case isText && (isJSON(kind) || isWords(kind)):
		return appendString(b, text), nil
	}
	return appendBase64(b, res.Body), nil
}

func appendBase64(b, body []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, body)
	return append(b, `","is_base64":true`...)
}

// contentType takes a header apart; a missing one is text if it can be.
func contentType(header string) (kind, charset string) {
	if header == "" {
		return "text/plain", ""
	}
	kind, params, err := mime.ParseMediaType(header)
	if err != nil {
		kind, _, _ = strings.Cut(strings.ToLower(header), ";")
	}
	return strings.TrimSpace(kind), strings.ToLower(params["charset"])
}

// isWords reports that people can read content of that type.
func isWords(kind string) bool {
	if strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml") {
		return true
	}
	switch kind {
	case "application/xml", "application/javascript", "application/x-www-form-urlencoded", "application/x-ndjson", "application/yaml", "application/toml":
		return true
	}
	return false
}

// decodeText makes UTF-8 of the body. Of the older character sets it knows Latin-1, which
// small devices still send.
func decodeText(body []byte, charset string) (text string, ok bool) {
	if utf8.Valid(body) {
		return string(body), true
	}
	if charset != "iso-8859-1" && charset != "latin1" {
		return string(body), false
	}
	var b strings.Builder
	for _, c := range body {
		b.WriteRune(rune(c))
	}
	return b.String(), true
}
