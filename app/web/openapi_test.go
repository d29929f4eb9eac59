package web

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

type document struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Capability  string `json:"x-capability"`
		Parameters  []struct{ Name, In string }
		Responses   map[string]any
	}
	Components struct{ Schemas map[string]json.RawMessage }
}

func parseOpenAPI(t *testing.T, table []endpoint) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openAPI(table, Version{API: 1}), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenAPIFollowsTheTable(t *testing.T) {
	t.Parallel()
	table := new(Server).api()
	d := parseOpenAPI(t, table)
	operations := 0
	for _, item := range d.Paths {
		operations += len(item)
	}
	if operations != len(table) {
		t.Errorf("got %d operations, want %d", operations, len(table))
	}
	ids := map[string]bool{}
	for i := range table {
		e := &table[i]
		op, ok := d.Paths[apiPrefix+plainPath(e.path)][strings.ToLower(e.method)]
		if !ok {
			t.Errorf("%s %s is missing", e.method, e.path)
			continue
		}
		if op.Capability != string(e.needs) || op.Summary != e.doc || len(op.Responses) < 3 {
			t.Errorf("%s %s: got %+v", e.method, e.path, op)
		}
		if ids[op.OperationID] {
			t.Errorf("two operations are called %s", op.OperationID)
		}
		ids[op.OperationID] = true
		for _, name := range regexp.MustCompile(`\{(\w+)`).FindAllStringSubmatch(e.path, -1) {
			found := false
			for _, p := range op.Parameters {
				found = found || p.In == "path" && p.Name == name[1]
			}
			if !found {
				t.Errorf("%s %s: parameter %s is missing", e.method, e.path, name[1])
			}
		}
	}
}

func TestOpenAPIReferencesExist(t *testing.T) {
	t.Parallel()
	table := new(Server).api()
	d := parseOpenAPI(t, table)
	for _, m := range regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllStringSubmatch(string(openAPI(table, Version{})), -1) {
		if d.Components.Schemas[m[1]] == nil {
			t.Errorf("schema %s is missing", m[1])
		}
	}
}

// TestTable checks what the compiler can't: every change is audited, every endpoint is
// documented, and the app of a path is found by the path.
func TestTable(t *testing.T) {
	t.Parallel()
	unaudited := map[string]bool{
		"POST /execute/{id}":      true, // it has an execution log
		"POST /admin/auth/logout": true,

		"POST /admin/apps/{app}/deploy/plan":   true, // they change nothing
		"POST /admin/apps/{app}/rollback/plan": true,
	}
	table := new(Server).api()
	for i := range table {
		e := &table[i]
		name := e.method + " " + e.path
		if e.writes() != (e.audit != "") && !unaudited[name] {
			t.Errorf("%s: audit is %q", name, e.audit)
		}
		if !strings.HasSuffix(e.doc, ".") {
			t.Errorf("%s: its description %q is not a sentence", name, e.doc)
		}
		if strings.Contains(e.path, "{app}") && e.in == nil {
			t.Errorf("%s: names an app that nobody finds", name)
		}
		if e.method == http.MethodDelete && e.status() != http.StatusNoContent {
			t.Errorf("%s: answers %d", name, e.status())
		}
		if kind, of := strings.CutPrefix(e.path, triggerPath); of && kind[0] != '{' && e.method == http.MethodPost && !e.run.in.Implements(reflect.TypeFor[triggerMaker]()) {
			t.Errorf("%s: give its input the method make() (*cloud.Trigger, error), so that projects can be deployed with triggers of kind %s", name, kind)
		}
		if e.hasBody() && e.run.in.Kind() != reflect.Struct {
			t.Errorf("%s: its input is not an object", name)
		}
	}
}
