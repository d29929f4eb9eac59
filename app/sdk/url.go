package sdk

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// urlModule writes and reads URLs and their parts, by RFC 3986.
var urlModule = Module{
	Name: "url",
	Funcs: map[string]Func{
		"url.encode":      urlEncode,
		"url.decode":      urlDecode,
		"url.encodeQuery": urlEncodeQuery,
		"url.parse":       urlParse,
	},
	JS: `
var encodeQuery = pass("url.encodeQuery");
expose("url", {
  encode: pass("url.encode"),
  decode: pass("url.decode"),
  encodeQuery: function (query) { return encodeQuery(record(query, "the query")); },
  parse: pass("url.parse")
});`,
	Types: `
/** URLs and their parts. */
declare const url: {
  /** Percent-encodes everything but A-Z a-z 0-9 - . _ ~ */
  encode(text: string): string;
  /** Undoes encode; a + stays a +. */
  decode(text: string): string;
  /** "a=1&b=x%20y", names sorted; a list repeats its name, null and undefined are left out. */
  encodeQuery(query: { [name: string]: string | number | boolean | null | undefined | (string | number | boolean)[] }): string;
  /** Takes an absolute URL apart. Throws "invalid" for anything else. */
  parse(text: string): {
    scheme: string;
    username: string;
    /** Without the port. */
    host: string;
    /** Empty when it isn't written. */
    port: string;
    path: string;
    /** A string each, a list when the name was repeated. */
    query: { [name: string]: string | string[] };
    fragment: string;
  };
};`,
}

// percent encodes all but the unreserved characters, with a space as %20.
func percent(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func urlEncode(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	text := a.text("the text")
	if a.err != nil {
		return nil, a.err
	}
	return textOut(percent(text)), nil
}

func urlDecode(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	text := a.text("the text")
	if a.err != nil {
		return nil, a.err
	}
	out, err := url.PathUnescape(text)
	if err != nil || !utf8.ValidString(out) {
		return nil, invalid("this is not percent-encoded UTF-8")
	}
	return textOut(out), nil
}

func urlEncodeQuery(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	var query map[string]json.RawMessage
	a.object("the query", &query)
	if query == nil {
		a.wrong("the query", "an object", nil)
	}
	if a.err != nil {
		return nil, a.err
	}
	text, err := encodeQuery(query)
	return textOut(text), err
}

// encodeQuery writes names in their order, and a name once for each of its values.
func encodeQuery(query map[string]json.RawMessage) (string, error) {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values, err := queryValues(name, query[name])
		if err != nil {
			return "", err
		}
		for _, v := range values {
			pairs = append(pairs, percent(name)+"="+percent(v))
		}
	}
	return strings.Join(pairs, "&"), nil
}

// queryValues are the values of one name: none for null, several for a list.
func queryValues(name string, v json.RawMessage) ([]string, error) {
	list := []json.RawMessage{v}
	if v[0] == '[' {
		_ = json.Unmarshal(v, &list) // it is valid JSON and a list
	}
	var out []string
	for _, item := range list {
		text, isText := unquote(item)
		switch {
		case string(item) == "null":
			continue
		case item[0] == '{' || item[0] == '[':
			return nil, invalid("the query's %q must be a string, a number, a boolean or a list of these, not %s", name, nameOf(item))
		case !isText:
			text = string(item)
		}
		out = append(out, text)
	}
	return out, nil
}

func urlParse(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	text := a.text("the URL")
	if a.err != nil {
		return nil, a.err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, invalid("this is not an absolute URL such as https://example.org/path?name=value")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, invalid("the URL's query is not well-formed")
	}
	parts := map[string]any{
		"scheme": u.Scheme, "username": u.User.Username(), "host": u.Hostname(), "port": u.Port(),
		"path": u.Path, "query": flatQuery(query), "fragment": u.Fragment,
	}
	return json.Marshal(parts)
}

func flatQuery(query url.Values) map[string]any {
	out := make(map[string]any, len(query))
	for name, values := range query {
		if len(values) == 1 {
			out[name] = values[0]
		} else {
			out[name] = values
		}
	}
	return out
}
