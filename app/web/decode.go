package web

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"picloud/app/cloud"
)

// readBody reads a whole request body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body := http.MaxBytesReader(w, r.Body, limit)
	if r.ContentLength > 0 && r.ContentLength <= believed {
		b := make([]byte, r.ContentLength)
		_, err := io.ReadFull(body, b)
		return b, readError(err, limit)
	}
	b, err := io.ReadAll(body)
	return b, readError(err, limit)
}

// believed is the longest body that gets its memory before it arrives. Who announces more
// must send it first.
const believed = 64 << 10

func readError(err error, limit int64) error {
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return tooLarge(limit)
	}
	return cloud.Errorf(cloud.BadRequest, "the request body ended early: send it whole").WithCause(err)
}

func tooLarge(limit int64) error {
	return cloud.Errorf(cloud.TooLarge, "the request body is larger than %d bytes", limit)
}

// decodeBody reads the JSON object of an admin request into v, a pointer to a struct. No body
// is an empty object.
func decodeBody(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	raw, err := readBody(w, r, limit)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		raw = []byte("{}")
	} else if ct := mediaType(r.Header.Get("Content-Type")); ct != "" && !isJSON(ct) {
		// A form on a foreign page can send any other type without asking first.
		return cloud.Errorf(cloud.BadRequest, "the body is %s: send JSON with content-type: application/json", ct)
	}
	return decode(raw, v)
}

// decode is stricter than encoding/json: names count as written, unknown ones and trailing
// text are errors, and every error names the field.
func decode(raw []byte, v any) error {
	if err := validJSON(raw); err != nil {
		return err
	}
	return decodeValue(raw, reflect.ValueOf(v).Elem(), "")
}

// maxDepth is how deep JSON may be nested: about half of what the engine can read with the
// stack that a script has. What is deeper would end an execution that never began.
const maxDepth = 1000

// deeper reports whether valid JSON is nested more than max levels deep.
func deeper(raw []byte, max int) bool {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '[', '{':
			if depth++; depth > max {
				return true
			}
		case ']', '}':
			depth--
		case '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}

// validJSON says where raw stops being one JSON value.
func validJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return cloud.Errorf(cloud.BadRequest, "the body is not UTF-8")
	}
	if json.Valid(raw) {
		if deeper(raw, maxDepth) {
			return cloud.Errorf(cloud.BadRequest, "the body is nested more than %d levels deep", maxDepth)
		}
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(json.Unmarshal(raw, new(json.RawMessage)), &syntax) {
		return cloud.Errorf(cloud.BadRequest, "the body is not valid JSON: %s at byte %d", syntax, syntax.Offset)
	}
	return cloud.Errorf(cloud.BadRequest, "the body is not valid JSON")
}

func decodeValue(raw []byte, v reflect.Value, name string) error {
	if v.Kind() == reflect.Pointer && string(raw) != "null" && isObject(v.Type().Elem()) {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if isObject(v.Type()) {
		return decodeObject(raw, v, name)
	}
	if v.Kind() == reflect.Slice && isObject(v.Type().Elem()) {
		return decodeObjects(raw, v, name)
	}
	err := json.Unmarshal(raw, v.Addr().Interface())
	var own *cloud.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return cloud.Errorf(cloud.BadRequest, "%s: %s", name, own.Msg)
	}
	return cloud.Errorf(cloud.BadRequest, "%s: want %s", name, describe(v.Type()))
}

func decodeObject(raw []byte, v reflect.Value, name string) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return cloud.Errorf(cloud.BadRequest, "%s: want an object", cmp.Or(name, "the body"))
	}
	fields := fieldsOf(v.Type())
	for _, member := range slices.Sorted(maps.Keys(members)) { // before what is missing: a misspelt name is both
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == member }) {
			return cloud.Errorf(cloud.BadRequest, "unknown field %q: %s", join(name, member), known(fields))
		}
	}
	for _, f := range fields {
		raw, given := members[f.name]
		if !given {
			if f.required {
				return cloud.Errorf(cloud.Invalid, "%s is missing", join(name, f.name))
			}
			continue
		}
		if err := decodeValue(raw, v.FieldByIndex(f.index), join(name, f.name)); err != nil {
			return err
		}
	}
	return nil
}

// decodeObjects reads a list of objects; errors name the place in it.
func decodeObjects(raw []byte, v reflect.Value, name string) error {
	var entries []json.RawMessage
	if json.Unmarshal(raw, &entries) != nil {
		return cloud.Errorf(cloud.BadRequest, "%s: want a list of objects", name)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(entries), len(entries)))
	for i, entry := range entries {
		if err := decodeValue(entry, v.Index(i), fmt.Sprintf("%s[%d]", name, i)); err != nil {
			return err
		}
	}
	return nil
}

func known(fields []field) string {
	if len(fields) == 0 {
		return "nothing is expected here"
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return "the known ones are " + strings.Join(names, ", ")
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// field is a struct field as JSON names it. Embedded structs are flattened.
type field struct {
	name     string
	index    []int
	typ      reflect.Type
	required bool // by the tag required:"true" (input)
	optional bool // may be left out of an answer
}

// fieldsOf lists the fields of a struct in the order of its declaration.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			continue
		}
		if slices.ContainsFunc(out, func(o field) bool { return o.name == name }) {
			continue // shadowed by an outer field
		}
		out = append(out, field{
			name: cmp.Or(name, f.Name), index: f.Index, typ: f.Type,
			required: f.Tag.Get("required") == "true",
			optional: strings.Contains(opts, "omit") || throughPointer(t, f.Index),
		})
	}
	return out
}

// throughPointer reports whether a field is promoted from an embedded pointer, which may be
// nil.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		f := t.Field(i)
		if f.Type.Kind() == reflect.Pointer {
			return true
		}
		t = f.Type
	}
	return false
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isObject reports whether t is a struct that decode takes apart itself.
func isObject(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Kind() == reflect.Struct && !p.Implements(jsonUnmarshaler) && !p.Implements(textUnmarshaler)
}

func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return describe(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list, each entry " + describe(t.Elem())
	case reflect.Map:
		return "an object, each value " + describe(t.Elem())
	}
	return "another type"
}

// decodeQuery reads the URL's query into v, a pointer to a struct. Parameters that nobody
// asked for are ignored; a bad value names its parameter.
func decodeQuery(query string, v any) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return cloud.Errorf(cloud.BadRequest, "the query is not well-formed: escape %%, & and ;")
	}
	for _, f := range fieldsOf(reflect.TypeOf(v).Elem()) {
		text := values.Get(f.name)
		if text == "" {
			continue
		}
		if !utf8.ValidString(text) {
			return cloud.Errorf(cloud.BadRequest, "%s is not UTF-8", f.name)
		}
		if err := decodeValue(queryJSON(f.typ, text), reflect.ValueOf(v).Elem().FieldByIndex(f.index), f.name); err != nil {
			return err
		}
	}
	return nil
}

// queryJSON writes the text of a query parameter as the JSON that decodeValue wants.
func queryJSON(t reflect.Type, text string) []byte {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Int, reflect.Bool:
		if !json.Valid([]byte(text)) {
			return []byte(`"?"`) // refused as not a number
		}
		return []byte(text)
	}
	b, _ := json.Marshal(text)
	return b
}

// pageQuery asks for a part of a list.
type pageQuery struct {
	Limit  *int   `json:"limit"`
	Cursor string `json:"cursor"`
}

func (q pageQuery) page() (cloud.Page, error) {
	p := cloud.Page{Cursor: q.Cursor}
	if q.Limit == nil {
		return p, nil
	}
	if *q.Limit < 1 || *q.Limit > cloud.MaxPage {
		return p, cloud.Errorf(cloud.BadRequest, "limit: want 1 to %s", strconv.Itoa(cloud.MaxPage))
	}
	p.Limit = *q.Limit
	return p, nil
}

// mediaType is the type of a Content-Type header in lower case, without parameters.
func mediaType(header string) string {
	t, _, _ := strings.Cut(header, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}
