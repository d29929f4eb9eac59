package sdk

import (
	"bytes"
	"embed"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// webModule is what the web's classes need of the host. The classes themselves are the
// program Modern.
var webModule = Module{
	Name: "web",
	Funcs: map[string]Func{
		"web.url":       webURL,
		"web.setUrl":    webSetURL,
		"web.multipart": webMultipart,
	},
	Globals: []string{
		"AbortController", "AbortSignal", "Blob", "DOMException", "Event", "EventTarget", "File", "FormData", "Headers", "ReadableStream",
		"ReadableStreamDefaultController", "ReadableStreamDefaultReader", "Request", "Response", "TextDecoder", "TextEncoder", "URL",
		"URLSearchParams", "atob", "btoa", "queueMicrotask", "structuredClone",
	},
	Types: webTypes,
}

//go:embed web.d.ts
var webTypes string

// Modern is the second program of the surface, for modern engines only: the web's classes
// and what other modules add to them. An engine compiles it once and hands the prelude a
// function that loads it into a context, which the prelude calls when a script first touches
// one of its globals. Its value is a function (sdk, codec):
//
//	codec.utf8(text)                        -> ArrayBuffer, half characters as U+FFFD
//	codec.text(buffer, from, n, fatal)      -> string, what isn't UTF-8 as U+FFFD or thrown
//	codec.base64(buffer, from, n)           -> string
//	codec.unbase64(text)                    -> ArrayBuffer, undefined for what is no base64
var Modern string

//go:embed web/*.js
var webParts embed.FS

// assembleModern joins the parts in the order in which they need each other. A module's part
// comes behind the classes and in a scope of its own.
func assembleModern() string {
	var b strings.Builder
	add := func(names ...string) {
		for _, name := range names {
			text, err := webParts.ReadFile("web/" + name + ".js")
			if err != nil {
				panic(err) // it is embedded
			}
			b.Write(text)
		}
	}
	add("head", "text", "headers", "url", "abort", "stream", "form", "body", "handler")
	for _, m := range Modules {
		if m.Modern != "" {
			b.WriteString("    {\n" + strings.TrimSpace(m.Modern) + "\n    }\n")
		}
	}
	add("tail")
	return b.String()
}

// modernGlobals are the names that scripts reach Modern by.
func modernGlobals() (names []string) {
	for _, m := range Modules {
		names = append(names, m.Globals...)
	}
	return names
}

// maxURL is the longest text that is read as a URL, in bytes.
const maxURL = 64 << 10

var urlParser = whatwg.NewParser()

// webURL reads a URL, against a base when there is one: the parts as web/url.js numbers
// them, undefined when it is none.
func webURL(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	text, base := a.text("the URL"), a.optionalText("the base")
	if a.err != nil {
		return nil, a.err
	}
	if len(text)+len(base) > maxURL {
		return nil, nil
	}
	var u *whatwg.Url
	var err error
	if base != "" {
		u, err = urlParser.ParseRef(base, text)
	} else {
		u, err = urlParser.Parse(text)
	}
	if err != nil {
		return nil, nil
	}
	return urlOut(u), nil
}

// urlSetters are URL's attributes; what can't be set is left as it is.
var urlSetters = map[string]func(*whatwg.Url, string){
	"protocol": (*whatwg.Url).SetProtocol, "username": (*whatwg.Url).SetUsername, "password": (*whatwg.Url).SetPassword,
	"host": (*whatwg.Url).SetHost, "hostname": (*whatwg.Url).SetHostname, "port": (*whatwg.Url).SetPort,
	"pathname": (*whatwg.Url).SetPathname, "search": (*whatwg.Url).SetSearch, "hash": (*whatwg.Url).SetHash,
}

func webSetURL(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	href, part, value := a.text("the URL"), a.text("the part"), a.text("the value")
	if a.err != nil {
		return nil, a.err
	}
	set := urlSetters[part]
	u, err := urlParser.Parse(href)
	if err != nil || set == nil || len(href)+len(value) > maxURL {
		return nil, invalid("the URL can't be changed so")
	}
	set(u, value)
	return urlOut(u), nil
}

func urlOut(u *whatwg.Url) []byte {
	return appendStrings(nil, []string{
		u.Href(false), u.Protocol(), u.Username(), u.Password(), u.Host(), u.Hostname(), u.Port(), u.Pathname(), u.Search(), u.Hash(), origin(u),
	})
}

// origin is "null" for what has none.
func origin(u *whatwg.Url) string {
	if !u.IsSpecialScheme() || u.Scheme() == "file" {
		return "null"
	}
	return u.Protocol() + "//" + u.Host()
}

// maxFormParts bounds a multipart form.
const maxFormParts = 1000

// webMultipart takes a multipart form apart: a list of {name, file, type, data}, the data in
// base64; undefined when the content-type names no such form.
func webMultipart(_ *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	contentType, text := a.text("the content-type"), a.text("the body")
	if a.err != nil {
		return nil, a.err
	}
	kind, params, err := mime.ParseMediaType(contentType)
	body, badBody := base64.StdEncoding.DecodeString(text)
	if err != nil || badBody != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, nil
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	out := []byte{'['}
	for n := 0; ; n++ {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return append(out, ']'), nil
		}
		if err == nil && n == maxFormParts {
			return nil, invalid("the form has more than %d parts", maxFormParts)
		}
		if out, err = appendPart(out, p, err); err != nil {
			return nil, invalid("the form is not well-formed multipart/form-data")
		}
	}
}

// appendPart appends one part, behind a comma unless it is the first.
func appendPart(out []byte, p *multipart.Part, err error) ([]byte, error) {
	if err != nil {
		return out, err
	}
	data, err := io.ReadAll(p)
	if err != nil {
		return out, err
	}
	if len(out) > 1 {
		out = append(out, ',')
	}
	out = appendString(append(out, `{"name":`...), p.FormName())
	if _, params, _ := mime.ParseMediaType(p.Header.Get("Content-Disposition")); params != nil {
		if file, ok := params["filename"]; ok {
			out = appendString(append(out, `,"file":`...), file)
			out = appendString(append(out, `,"type":`...), p.Header.Get("Content-Type"))
		}
	}
	out = appendString(append(out, `,"data":`...), base64.StdEncoding.EncodeToString(data))
	return append(out, '}'), nil
}
