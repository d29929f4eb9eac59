package deploy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"picloud/app/cloud"
)

// Actions of a Change.
const (
	Create = "create"
	Update = "update"
	Delete = "delete"
	Keep   = "keep"
)

// Change is one thing that a deployment creates, updates or deletes, or leaves alone because
// it was made by hand.
type Change struct {
	Action   string   `json:"action"` // create | update | delete | keep
	What     string   `json:"what"`   // script | route | trigger
	Function string   `json:"function"`
	Name     string   `json:"name"`             // such as "GET /hello"; a script's is its function's
	Fields   []string `json:"fields,omitempty"` // that an update changes
	ByHand   bool     `json:"by_hand"`          // it was made outside of the project
}

// identity are the fields that say which thing it is and when it was made, not what it does.
var identity = []string{"id", "app_id", "script_id", "version", "created_at", "updated_at", "registered_by_principal"}

// fieldsOf are what a script, a route or a trigger does, by field, as JSON.
func fieldsOf(v any) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &fields)
	}
	if err != nil {
		panic(err) // they are plain structs, which the API writes too
	}
	for _, name := range identity {
		delete(fields, name)
	}
	if t, ok := v.(*cloud.Trigger); ok {
		maps.Copy(fields, filterFields(t))
	}
	return fields
}

// filterFields is the filter of a trigger of any kind: the one of cloud.Trigger's filters
// that is set.
func filterFields(t *cloud.Trigger) map[string]json.RawMessage {
	fields := map[string]json.RawMessage{}
	for _, filter := range filters(t) {
		b, err := json.Marshal(filter.Interface())
		if err == nil && !filter.IsNil() {
			err = json.Unmarshal(b, &fields)
		}
		if err != nil {
			panic(err)
		}
	}
	return fields
}

// filters are the pointers to the filters of all kinds, by the name of their field.
func filters(t *cloud.Trigger) map[string]reflect.Value {
	found := map[string]reflect.Value{}
	v := reflect.ValueOf(t).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct && f.Tag.Get("json") == "-" {
			found[f.Name] = v.Field(i)
		}
	}
	return found
}

// differing names the fields in which two things differ.
func differing(a, b any) []string {
	was, is := fieldsOf(a), fieldsOf(b)
	names := map[string]bool{}
	for name := range maps.Keys(was) {
		names[name] = !bytes.Equal(was[name], is[name])
	}
	for name := range maps.Keys(is) {
		names[name] = !bytes.Equal(was[name], is[name])
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(names))
}

// describeTrigger is a trigger as people read it: its kind and what its filter selects.
func describeTrigger(t *cloud.Trigger) string {
	fields := filterFields(t)
	parts := []string{t.Kind}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if text := strings.Trim(string(fields[name]), `"`); text != "" && text != "null" && text != "[]" {
			parts = append(parts, name+"="+text)
		}
	}
	return strings.Join(parts, " ")
}

func describeRoute(r *cloud.Route) string {
	text := cmp.Or(r.Method, "ANY") + " " + r.Host + r.Path
	if r.PathKind == "prefix" {
		text += " (prefix)"
	}
	if r.DispatchMode == cloud.DispatchAsync {
		text += " (async)"
	}
	return text
}
