package web

import (
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/data"
)

// object is a JSON object of the document; encoding/json sorts its keys.
type object = map[string]any

// openAPI writes the OpenAPI 3.1 document of the table and the Go types of its functions.
func openAPI(table []endpoint, v Version) []byte {
	g := &schemas{components: object{}, types: map[string]reflect.Type{}}
	paths := object{}
	for i := range table {
		e := &table[i]
		item, _ := paths[apiPrefix+plainPath(e.path)].(object)
		if item == nil {
			item = object{}
			paths[apiPrefix+plainPath(e.path)] = item
		}
		item[strings.ToLower(e.method)] = g.operation(e)
	}
	g.components["Error"] = g.object(reflect.TypeFor[failure](), false)
	b, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info":    object{"title": "PiCloud Edge", "version": strconv.Itoa(v.API), "description": "The admin API. Every error has the schema Error; the capability that an operation needs is its x-capability."},
		"paths":   paths,
		"components": object{
			"schemas": g.components,
			"securitySchemes": object{
				"key":     object{"type": "http", "scheme": "bearer", "description": "An API key, pic_…"},
				"session": object{"type": "apiKey", "in": "cookie", "name": sessionCookie, "description": "A login; changes must come from the site's own pages."},
			},
		},
	}, "", " ")
	if err != nil {
		panic(err) // made of strings, maps and lists
	}
	return b
}

// plainPath is a pattern of http.ServeMux as OpenAPI writes it.
func plainPath(pattern string) string { return strings.ReplaceAll(pattern, "...}", "}") }

func (g *schemas) operation(e *endpoint) object {
	op := object{
		"operationId":  operationID(e),
		"summary":      e.doc,
		"x-capability": e.needs,
		"parameters":   g.parameters(e),
		"responses":    g.responses(e),
		"security":     []object{{"key": []string{}}, {"session": []string{}}},
	}
	if e.needs == cloud.Public {
		op["security"] = []object{}
	}
	switch {
	case e.run.upload != "":
		op["requestBody"] = object{"required": true, "content": object{e.run.upload: object{}}}
	case e.hasBody() && e.run.in != reflect.TypeFor[none]():
		op["requestBody"] = object{
			"required": slices.ContainsFunc(fieldsOf(e.run.in), func(f field) bool { return f.required }),
			"content":  object{"application/json": object{"schema": g.schema(e.run.in, true)}},
		}
	}
	return op
}

// operationID is the method and the path in camel case: getAppsAppScripts.
func operationID(e *endpoint) string {
	id := strings.ToLower(e.method)
	words := func(r rune) bool { return strings.ContainsRune("/{}._-", r) }
	for _, w := range strings.FieldsFunc(strings.TrimPrefix(plainPath(e.path), "/admin"), words) {
		id += strings.ToUpper(w[:1]) + w[1:]
	}
	return id
}

func (g *schemas) parameters(e *endpoint) []object {
	out := []object{}
	for segment := range strings.SplitSeq(plainPath(e.path), "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			schema := object{"type": "string"}
			if strings.HasSuffix(name, "id") {
				schema["format"] = "uuid"
			}
			out = append(out, object{"name": name, "in": "path", "required": true, "schema": schema})
		}
	}
	if e.hasBody() && e.run.upload == "" {
		return out
	}
	for _, f := range fieldsOf(e.run.in) {
		schema := g.field(e.run.in, f, true)
		if f.name == "limit" {
			schema = object{"type": "integer", "minimum": 1, "maximum": cloud.MaxPage, "default": cloud.DefaultPage}
		}
		out = append(out, object{"name": f.name, "in": "query", "required": f.required, "schema": schema})
	}
	return out
}

func (g *schemas) responses(e *endpoint) object {
	ok := object{"description": http.StatusText(e.status())}
	switch {
	case e.run.media != "":
		ok["description"] = "as the summary says"
		ok["content"] = object{e.run.media: object{}}
	case e.status() != http.StatusNoContent:
		ok["content"] = object{"application/json": object{"schema": g.schema(e.run.out, false)}}
	}
	out := object{strconv.Itoa(e.status()): ok}
	for _, status := range e.failures() {
		out[strconv.Itoa(status)] = object{
			"description": http.StatusText(status),
			"content":     object{"application/json": object{"schema": ref("Error")}},
		}
	}
	return out
}

// failures are the statuses of errors that a caller should be ready for.
func (e *endpoint) failures() []int {
	out := []int{400, 500}
	if e.needs != cloud.Public {
		out = append(out, 401)
	}
	if e.needs != cloud.Public && e.needs != cloud.Any || e.writes() {
		out = append(out, 403)
	}
	if strings.Contains(e.path, "{") {
		out = append(out, 404)
	}
	if e.hasBody() {
		out = append(out, 413, 422)
	}
	if e.writes() {
		out = append(out, 409)
	}
	switch e.path {
	case "/admin/auth/login", "/admin/auth/setup", "/admin/auth/password":
		out = append(out, 429)
	case "/execute/{id}":
		out = append(out, 429, 502, 503, 504, 507)
	}
	return out
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// schemas turns Go types into JSON schemas; named structs become components.
type schemas struct {
	components object
	types      map[string]reflect.Type
}

var (
	rawMessage = reflect.TypeFor[json.RawMessage]()
	timeType   = reflect.TypeFor[cloud.Time]()
)

func (g *schemas) schema(t reflect.Type, input bool) object {
	switch {
	case t == rawMessage:
		return object{} // any value
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Array && t.Len() == 16:
		return object{"type": "string", "format": "uuid"}
	case enumOf[t] != nil:
		return object{"type": "string", "enum": enumOf[t]}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem(), input)
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": g.schema(t.Elem(), input)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.schema(t.Elem(), input)}
	case reflect.Struct:
		return g.named(t, input)
	}
	panic("no schema for " + t.String())
}

// named is a reference to t's component. Instances of generic types have no short name and
// are written out.
func (g *schemas) named(t reflect.Type, input bool) object {
	if t.Name() == "" || strings.Contains(t.Name(), "[") {
		return g.object(t, input)
	}
	name := strings.TrimSuffix(strings.ToUpper(t.Name()[:1])+t.Name()[1:], "View")
	if t == reflect.TypeFor[control.Version]() {
		name = "ScriptVersion" // Version is that of the product
	}
	if input && !strings.HasSuffix(name, "Input") && !strings.HasSuffix(name, "Patch") && !strings.HasSuffix(name, "Filter") {
		name += "Input"
	}
	switch g.types[name] {
	case nil:
		g.types[name] = t
		g.components[name] = g.object(t, input)
	case t:
	default:
		panic("two types are called " + name + " in the OpenAPI document: " + t.String() + " and " + g.types[name].String())
	}
	return ref(name)
}

func (g *schemas) object(t reflect.Type, input bool) object {
	properties, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		properties[f.name] = g.field(t, f, input)
		if input && f.required || !input && !f.optional {
			required = append(required, f.name)
		}
	}
	o := object{"type": "object", "properties": properties, "required": required}
	if input {
		o["additionalProperties"] = false
	}
	return o
}

// field is the schema of one field: what its type says, what only its name says, and null
// where that is an answer.
func (g *schemas) field(owner reflect.Type, f field, input bool) object {
	schema := g.schema(f.typ, input)
	if words := enumOfName[f.name]; words != nil && f.typ.Kind() == reflect.String {
		schema["enum"] = words
	}
	if input || f.typ.Kind() != reflect.Pointer && !nullable[f.name] && !nullable[path.Base(owner.String())+"."+f.name] {
		return schema
	}
	if kind, plain := schema["type"].(string); plain {
		schema["type"] = []string{kind, "null"}
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

// nullable are the fields that can be null although their Go type has another zero.
var nullable = map[string]bool{
	"trigger_id": true, "parent_execution_id": true, "event_id": true, "key_id": true,
	"trigger_id_filter": true, "script_id_filter": true,
	"expires_at": true, "last_used_at": true, "claimed_at": true, "lease_until": true, "resolved_at": true,
	"started_at": true, "finished_at": true, "last_sync_at": true,
	"cloud.AuditEntry.app_id": true, "cloud.AuditEntry.user_id": true, "cloud.Key.app_id": true, "web.newKey.app_id": true,
	"control.Version.saved_by": true, "deploy.Deployment.user_id": true,
}

var enumOf = map[reflect.Type][]string{
	reflect.TypeFor[cloud.Role]():         texts(cloud.Roles),
	reflect.TypeFor[cloud.Scope]():        texts(cloud.Scopes),
	reflect.TypeFor[cloud.InstanceRole](): texts(cloud.InstanceRoles),
	reflect.TypeFor[cloud.Status](): texts([]cloud.Status{
		cloud.StatusQueued, cloud.StatusRunning, cloud.StatusSuccess, cloud.StatusError,
		cloud.StatusTimeout, cloud.StatusBudget, cloud.StatusConflict, cloud.StatusDead,
	}),
}

var enumOfName = map[string][]string{
	"engine":        {cloud.EngineQuickJS, cloud.EngineOtto},
	"isolation":     {cloud.IsolationWarm, cloud.IsolationFresh},
	"dispatch_mode": {cloud.DispatchSync, cloud.DispatchAsync},
	"host_kind":     {"any", "exact", "wildcard"},
	"path_kind":     {"exact", "param", "prefix"},
	"retry_backoff": {"exponential", "linear", "constant"},
	"auth_mode":     {data.AuthPublic, data.AuthToken},
	"catch_up":      {"none", "last", "all"},
	"level":         {"debug", "info", "warn", "error"},
}

func texts[S ~string](in []S) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	return out
}
