package web

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"picloud/app/cloud"
)

// decodeRequestBody fills in the body of a script's request as its Content-Type says: JSON is
// taken as it is, without being built up; text and forms become strings; anything else is
// base64.
func decodeRequestBody(req *cloud.Request, contentType string, b []byte) error {
	if len(b) == 0 {
		req.Body = null
		return nil
	}
	switch ct := mediaType(contentType); {
	case isJSON(ct):
		if err := validJSON(b); err != nil {
			return err
		}
		req.Body, req.RawBody = b, string(b)
	case ct == "application/x-www-form-urlencoded":
		form, err := formJSON(string(b))
		if err != nil {
			return err
		}
		req.Body, req.RawBody = form, string(b)
	case strings.HasPrefix(ct, "text/"):
		req.RawBody = strings.ToValidUTF8(string(b), "\uFFFD")
		req.Body = jsonString(req.RawBody)
	default:
		req.RawBody = base64.StdEncoding.EncodeToString(b)
		req.Body, req.IsBase64 = jsonString(req.RawBody), true
	}
	return nil
}

var null = json.RawMessage("null")

// formJSON is a form as an object of strings; of a repeated name the last value counts.
func formJSON(text string) (json.RawMessage, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, cloud.Errorf(cloud.BadRequest, "the form is not well-formed: escape %%, & and ;")
	}
	form := make(map[string]string, len(values))
	for name, all := range values {
		form[name] = all[len(all)-1]
	}
	return json.Marshal(form)
}

func jsonString(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a string is always JSON
	return b
}

// decodeQueryValues is a query as the script sees it: a string, or a list of strings when a
// name is repeated. Scripts' URLs are written by anybody, so what is malformed is left out.
func decodeQueryValues(raw string) map[string]any {
	if raw == "" {
		return map[string]any{}
	}
	values, _ := url.ParseQuery(raw)
	out := make(map[string]any, len(values))
	for name, all := range values {
		if len(all) == 1 {
			out[name] = all[0]
		} else {
			out[name] = all
		}
	}
	return out
}
