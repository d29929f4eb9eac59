package sdk

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"picloud/app/cloud"
)

// Bounds of an answer.
const (
	DefaultOutputBytes = 1 << 20  // of the body, unless the script's limits say otherwise
	maxHeaderBytes     = 32 << 10 // names and values together
	jsonType           = "application/json"
)

// Answer reads what the prelude's finish or fail wrote and makes the result of a handler that
// returned (or threw HttpError). A body over maxOutput bytes (0: DefaultOutputBytes) is
// BudgetExceeded; a bad status, header or value is Invalid. In the result's Header, set-cookie
// may hold several cookies, one a line.
func Answer(finished []byte, maxOutput int64) (*cloud.Result, error) {
	if maxOutput <= 0 {
		maxOutput = DefaultOutputBytes
	}
	res, err := readAnswer(finished)
	if err != nil {
		return nil, err
	}
	if int64(len(res.Body)) > maxOutput {
		return nil, cloud.Errorf(cloud.BudgetExceeded, "the answer has %d bytes, %d are allowed: answer less, or in pages", len(res.Body), maxOutput)
	}
	return res, nil
}

func readAnswer(finished []byte) (*cloud.Result, error) {
	if len(finished) == 0 {
		return nil, invalid("the handler gave no answer")
	}
	form, rest := finished[0], finished[1:]
	switch form {
	case 'u':
		return &cloud.Result{StatusCode: 204}, nil
	case 'r', 'h', 'f':
		res, err := readResponse(rest, form == 'f')
		if err == nil {
			res.Discard = form == 'h'
		}
		return res, err
	}
	res := &cloud.Result{StatusCode: 200}
	return res, readBody(res, finished, false)
}

// head is a response without its body.
type head struct {
	StatusCode json.RawMessage `json:"statusCode"`
	Headers    json.RawMessage `json:"headers"`
	IsBase64   json.RawMessage `json:"isBase64"`
}

// readResponse reads a response. Headers that are not the script's to set are left out of a
// lenient one: a Response may have come from another server, with that server's.
func readResponse(b []byte, lenient bool) (*cloud.Result, error) {
	first, body, ok := bytes.Cut(b, []byte("\n"))
	var h head
	if !ok || json.Unmarshal(first, &h) != nil {
		return nil, invalid("the response can't be read")
	}
	status, err := readStatus(h.StatusCode)
	if err != nil {
		return nil, err
	}
	header, err := readHeaders(h.Headers, lenient)
	if err != nil {
		return nil, err
	}
	isBase64, err := readFlag(h.IsBase64)
	if err != nil {
		return nil, err
	}
	res := &cloud.Result{StatusCode: status, Header: header}
	if status == 204 || status == 304 {
		return res, nil // HTTP allows no body
	}
	return res, readBody(res, body, isBase64)
}

func readStatus(v json.RawMessage) (int, error) {
	status, err := strconv.Atoi(string(v))
	if err != nil || status < 200 || status > 599 {
		return 0, invalid("statusCode must be a whole number from 200 to 599, not %s", nameOf(v))
	}
	return status, nil
}

func readFlag(v json.RawMessage) (bool, error) {
	switch string(v) {
	case "", "null", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, invalid("isBase64 must be true or false, not %s", nameOf(v))
}

// readBody reads a body in the prelude's form into res, with the content-type it needs.
func readBody(res *cloud.Result, b []byte, isBase64 bool) error {
	if len(b) == 0 {
		return invalid("the response can't be read")
	}
	form, rest := b[0], b[1:]
	switch form {
	case 'u':
		return nil
	case 's':
		return textBody(res, rest, isBase64)
	case 't', 'b':
		return rawBody(res, rest, form == 'b')
	case 'j':
		if isBase64 || !json.Valid(rest) {
			return invalid("with isBase64 the body must be a base64 string, not %s", nameOf(rest))
		}
		res.Body = rest
		setType(res, jsonType)
		return nil
	case 'x':
		return invalid("%s", bytes.ToValidUTF8(rest, []byte("\ufffd")))
	}
	return invalid("the response can't be read")
}

// textBody sends a string as it is when the response says that it is no JSON.
func textBody(res *cloud.Result, text []byte, isBase64 bool) error {
	given := res.Header["content-type"]
	switch {
	case isBase64:
		data, err := base64.StdEncoding.AppendDecode(nil, text)
		if err != nil {
			return invalid("with isBase64 the body must be standard base64 with padding: %s", err)
		}
		res.Body = data
		setType(res, "application/octet-stream")
	case given != "" && !isJSON(given):
		res.Body = bytes.ToValidUTF8(text, []byte("\ufffd"))
	default:
		res.Body = appendString(make([]byte, 0, len(text)+16), text)
		setType(res, jsonType)
	}
	return nil
}

// rawBody is the body of a Response: text as it is, or bytes in base64.
func rawBody(res *cloud.Result, text []byte, isBase64 bool) (err error) {
	if !isBase64 {
		res.Body = bytes.ToValidUTF8(text, []byte("\ufffd"))
		return nil
	}
	if res.Body, err = base64.StdEncoding.AppendDecode(nil, text); err != nil {
		return invalid("the response can't be read")
	}
	return nil
}

func setType(res *cloud.Result, contentType string) {
	if res.Header == nil {
		res.Header = make(map[string]string, 1)
	}
	if res.Header["content-type"] == "" {
		res.Header["content-type"] = contentType
	}
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t, _, _ = strings.Cut(strings.ToLower(contentType), ";")
		t = strings.TrimSpace(t)
	}
	return t == jsonType || t == "text/json" || strings.HasSuffix(t, "+json")
}

// ownHeaders are those that the platform or the connection sets.
var ownHeaders = map[string]bool{
	"connection": true, "content-length": true, "keep-alive": true, "proxy-authenticate": true, "proxy-authorization": true,
	"proxy-connection": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
}

func isOwn(name string) bool { return ownHeaders[name] || strings.HasPrefix(name, "x-picloud-") }

// readHeaders reads the script's headers, names in lower case.
func readHeaders(v json.RawMessage, lenient bool) (map[string]string, error) {
	if len(v) == 0 || string(v) == "null" {
		return nil, nil
	}
	var in map[string]json.RawMessage
	if json.Unmarshal(v, &in) != nil {
		return nil, invalid("headers must be an object of names and values, not %s", nameOf(v))
	}
	out, size := make(map[string]string, len(in)+1), 0
	for _, given := range slices.Sorted(maps.Keys(in)) {
		name := strings.ToLower(given)
		if lenient && isOwn(name) {
			continue
		}
		value, absent, err := readHeader(name, in[given])
		if err != nil {
			return nil, err
		}
		if absent {
			continue
		}
		if _, twice := out[name]; twice {
			return nil, invalid("the header %s is given twice, in different cases", name)
		}
		out[name] = value
		size += len(name) + len(value)
	}
	if size > maxHeaderBytes {
		return nil, invalid("the headers have %d bytes, %d are allowed", size, maxHeaderBytes)
	}
	return out, nil
}

// readHeader reads one header's value: a string, a number, a boolean or a list of these. One
// that is null is left out.
func readHeader(name string, v json.RawMessage) (value string, absent bool, err error) {
	switch {
	case string(v) == "null":
		return "", true, nil
	case !httpguts.ValidHeaderFieldName(name):
		return "", false, invalid("%.100q is not a header's name", name)
	case isOwn(name):
		return "", false, invalid("the header %s is set by PiCloud itself: leave it out", name)
	}
	list := []json.RawMessage{v}
	if v[0] == '[' {
		_ = json.Unmarshal(v, &list) // it is valid JSON and a list
	}
	if len(list) == 0 {
		return "", true, nil
	}
	parts := make([]string, len(list))
	for i, part := range list {
		if parts[i], err = headerText(name, part); err != nil {
			return "", false, err
		}
	}
	if name == "set-cookie" {
		return strings.Join(parts, "\n"), false, nil
	}
	return strings.Join(parts, ", "), false, nil
}

func headerText(name string, v json.RawMessage) (string, error) {
	text, isText := unquote(v)
	if !isText {
		text = string(v)
	}
	if v[0] == '{' || v[0] == '[' || string(v) == "null" {
		return "", invalid("the header %s must be a string, not %s", name, nameOf(v))
	}
	if !httpguts.ValidHeaderFieldValue(text) {
		return "", invalid("the header %s holds a line break or another control character", name)
	}
	if name == "set-cookie" && strings.HasPrefix(strings.TrimSpace(text), "picloud_session") {
		return "", invalid("the cookie picloud_session is the dashboard's: choose another name")
	}
	return text, nil
}
