package web

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"picloud/app/cloud"
	"picloud/app/deploy"
)

// fn is one function of a project, as JSON.
func fn(name, source string, more ...string) string {
	b, _ := json.Marshal(source)
	return fmt.Sprintf(`{"name":%q,"file":"functions/%s.js","source":%s%s}`, name, name, b, strings.Join(append([]string{""}, more...), ","))
}

func project(functions ...string) string {
	return `{"functions":[` + strings.Join(functions, ",") + `]}`
}

func route(path string) string { return `"routes":[{"path":"` + path + `"}]` }

func says(what string) string { return "export default () => " + what }

// deploy deploys a project as the owner and answers what changed.
func (w *world) deploy(want int, project string) *deploy.Outcome {
	w.Helper()
	var out deploy.Outcome
	if err := json.Unmarshal(w.must(want, "POST", admin+"/apps/shop/deploy", project).Body.Bytes(), &out); err != nil {
		w.Fatal(err)
	}
	return &out
}

func (w *world) rollBack(want, number int) *deploy.Outcome {
	w.Helper()
	var out deploy.Outcome
	if err := json.Unmarshal(w.must(want, "POST", admin+"/apps/shop/rollback", fmt.Sprintf(`{"number":%d}`, number)).Body.Bytes(), &out); err != nil {
		w.Fatal(err)
	}
	return &out
}

// changes are what an outcome lists, one a line.
func changes(out *deploy.Outcome) string {
	text := ""
	for _, c := range out.Changes {
		text += strings.TrimSpace(fmt.Sprint(c.Action, " ", c.What, " ", c.Name, " ", strings.Join(c.Fields, ","))) + "\n"
	}
	return text
}

// holds is everything of the app shop but what counts its saves.
func (w *world) holds() string {
	w.Helper()
	text := ""
	for _, list := range []string{"scripts", "routes", "triggers"} {
		a := w.must(200, "GET", admin+"/apps/shop/"+list+"?limit=200", "")
		items, _ := a.body["items"].([]any)
		if list == "triggers" {
			items, _ = a.body["triggers"].([]any)
		}
		var lines []string
		for _, item := range items {
			m := item.(map[string]any)
			for _, counts := range []string{"version", "created_at", "updated_at"} {
				delete(m, counts)
			}
			b, _ := json.Marshal(m)
			lines = append(lines, string(b))
		}
		slices.Sort(lines)
		text += list + "\n" + strings.Join(lines, "\n") + "\n"
	}
	return text
}

func (w *world) answers(path, want string) {
	w.Helper()
	if a := w.do(credential{}, "GET", path, ""); a.Body.String() != want && !(want == "404" && a.Code == 404) {
		w.Errorf("%s: got %d %s, want %s", path, a.Code, a.Body, want)
	}
}

func newShop(t *testing.T) *world {
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	return w
}

func TestDeploy(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	const trigger = `"triggers":[{"kind":"kv","collection_glob":"orders"},{"kind":"dead_letter"}]`
	a, b := fn("a", says("1"), route("/a")), fn("b", says("2"), `"timeout_seconds":5`, trigger)

	plan := w.must(200, "POST", admin+"/apps/shop/deploy/plan", project(a, b))
	w.answers("/a", "404")
	out := w.deploy(200, project(a, b))
	const want = "create script a\ncreate route ANY /a\ncreate script b\ncreate trigger kv collection_glob=orders\ncreate trigger dead_letter\n"
	if got := changes(out); got != want || out.Number != 1 {
		t.Fatalf("got deployment %d:\n%s\nwant 1:\n%s", out.Number, got, want)
	}
	var planned deploy.Outcome
	if err := json.Unmarshal(plan.Body.Bytes(), &planned); err != nil || changes(&planned) != want || planned.Number != 0 {
		t.Errorf("plan: got %s, %v", plan.Body, err)
	}
	w.answers("/a", "1")

	before := w.holds()
	if out := w.deploy(200, project(b, a)); len(out.Changes) != 0 || out.Number != 0 {
		t.Errorf("the same again: got %d:\n%s", out.Number, changes(out))
	}
	if after := w.holds(); after != before {
		t.Errorf("the same again: got\n%s\nwant\n%s", after, before)
	}

	out = w.deploy(200, project(fn("a", says("3"), route("/a")), b))
	if got := changes(out); got != "update script a source\n" || out.Number != 2 {
		t.Errorf("got deployment %d:\n%s", out.Number, got)
	}
	w.answers("/a", "3")

	out = w.deploy(200, project(fn("b", says("2"), `"timeout_seconds":5`, `"triggers":[{"kind":"kv","collection_glob":"orders","ops":["insert"],"enabled":false}]`)))
	if got, want := changes(out), "update trigger kv collection_glob=orders ops=[\"insert\"] enabled,ops\ndelete script a\ndelete route ANY /a\ndelete trigger dead_letter\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	w.answers("/a", "404")
}

// A trigger that changed keeps its id: rows that wait belong to it.
func TestDeployKeepsTriggers(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	id := func() string {
		list := w.must(200, "GET", admin+"/apps/shop/triggers", "").body["triggers"].([]any)
		if len(list) != 1 {
			t.Fatalf("got %d triggers, want 1", len(list))
		}
		return list[0].(map[string]any)["id"].(string)
	}
	w.deploy(200, project(fn("a", says("1"), `"triggers":[{"kind":"kv","collection_glob":"x"}]`)))
	first := id()
	w.deploy(200, project(fn("a", says("1"), `"triggers":[{"kind":"kv","collection_glob":"y"}]`)))
	if id() != first {
		t.Error("a changed trigger got another id")
	}
}

func TestDeployIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	var ten []string
	for i := range 10 {
		ten = append(ten, fn(fmt.Sprint("f", i), says(fmt.Sprint(i)), route(fmt.Sprint("/f", i)), `"triggers":[{"kind":"kv","collection_glob":"x"}]`))
	}
	w.deploy(200, project(ten...))
	before := w.holds()
	for i := range ten {
		ten[i] = strings.Replace(ten[i], "export", "/* changed */ export", 1)
	}
	ten = append(ten, fn("more", says("1"), route("/more")))
	for _, tt := range []struct {
		name, bad string
		status    int
		want      []string
	}{
		{"source", fn("f4", "export default () => {\n  const a = ;\n}", route("/f4")), 422, []string{"functions/f4.js: ", "line 2, column"}},
		{"timeout", fn("f4", says("1"), `"timeout_seconds":301`), 422, []string{"functions/f4.js: timeout_seconds"}},
		{"limits", fn("f4", says("1"), `"limits":{"memory_bytes":99999999999999}`), 422, []string{"functions/f4.js: "}},
		{"engine", fn("f4", says("1"), `"engine":"v8"`), 422, []string{`functions/f4.js: engine: "v8" is unknown`}},
		{"path", fn("f4", says("1"), route("/api/x")), 422, []string{"functions/f4.js: route /api/x: "}},
		{"two faults", fn("f4", "export default", `"routes":[{"path":"x"},{"path":"/y","method":"LOOK"}]`), 422, []string{"functions/f4.js: route x", "functions/f4.js: route /y: method"}},
		{"a route of another", fn("f4", says("1"), route("/f3")), 409, []string{"functions/f", "/f3"}},
		{"a route twice", fn("f4", says("1"), `"routes":[{"path":"/twice"},{"path":"/twice"}]`), 409, []string{"functions/f4.js: the route ANY /twice is there twice"}},
		{"a name twice", fn("f3", says("1")), 422, []string{`the function "f3" is in functions/f3.js already`}},
		{"trigger", fn("f4", says("1"), `"triggers":[{"kind":"kv","collection_glob":"a*b"}]`), 422, []string{"functions/f4.js: kv trigger: collection_glob"}},
		{"trigger's field", fn("f4", says("1"), `"triggers":[{"kind":"kv","glob":"a"}]`), 422, []string{`functions/f4.js: kv trigger: unknown field "glob"`}},
		{"trigger's kind", fn("f4", says("1"), `"triggers":[{"kind":"moon"}]`), 422, []string{`functions/f4.js: triggers: there are no triggers of kind "moon"`}},
		{"trigger's script", fn("f4", says("1"), `"triggers":[{"kind":"kv","collection_glob":"a","script_id":null}]`), 422, []string{"leave script_id out"}},
		{"unknown field", fn("f4", says("1"), `"rout":[]`), 400, []string{`unknown field "functions[4].rout"`}},
		{"route's field", fn("f4", says("1"), `"routes":[{"path":"/f4","verb":"GET"}]`), 400, []string{`unknown field "functions[4].routes[0].verb"`}},
	} {
		bad := slices.Clone(ten)
		bad[4] = tt.bad
		for _, path := range []string{"/deploy", "/deploy/plan"} {
			a := w.do(w.owner, "POST", admin+"/apps/shop"+path, project(bad...))
			for _, part := range tt.want {
				if a.Code != tt.status || !strings.Contains(a.text("error", "message"), part) {
					t.Errorf("%s: got %d %s, want %d with %q", tt.name, a.Code, a.Body, tt.status, part)
				}
			}
		}
		if after := w.holds(); after != before {
			t.Fatalf("%s: the app was changed to\n%s\nfrom\n%s", tt.name, after, before)
		}
	}
	w.answers("/f4", "4")
	w.answers("/more", "404")
}

func TestDeployLeavesWhatWasMadeByHand(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	id := w.script("shop", "hand", says(`"hand"`), "/hand")
	w.must(201, "POST", admin+"/apps/shop/triggers/kv", `{"script_id":"`+id+`","collection_glob":"x"}`)
	out := w.deploy(200, project(fn("a", says("1"), route("/a"))))
	if len(out.ByHand) != 3 || out.ByHand[0].Action != deploy.Keep {
		t.Errorf("got %+v, want script, route and trigger kept", out.ByHand)
	}
	a := w.do(w.owner, "POST", admin+"/apps/shop/deploy", project(fn("a", says("1"), route("/hand"))))
	if a.Code != 409 || !strings.Contains(a.text("error", "message"), `functions/a.js: the route ANY /hand leads to the script "hand" already`) {
		t.Errorf("a route that is in use: got %d %s", a.Code, a.Body)
	}
	w.answers("/hand", `"hand"`)

	// The project may take a function over; its own route by hand stays.
	out = w.deploy(200, project(fn("a", says("1"), route("/a")), fn("hand", says("2"))))
	if got := changes(out); got != "update script hand source\n" || !out.Changes[0].ByHand {
		t.Errorf("got\n%s", got)
	}
	w.answers("/hand", "2")
	// A rollback brings back what people made, as they made it.
	w.rollBack(200, 0)
	w.answers("/hand", `"hand"`)

	before := w.holds()
	out = w.deploy(200, `{"prune":true,`+project(fn("a", says("1"), route("/a")))[1:])
	if got, want := changes(out), "delete script hand\ndelete route ANY /hand\ndelete trigger kv collection_glob=x\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	w.answers("/hand", "404")
	w.rollBack(200, 0)
	if after := w.holds(); after != before {
		t.Errorf("rolled back to\n%s\nwant\n%s", after, before)
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	if a := w.do(w.owner, "POST", admin+"/apps/shop/rollback", "{}"); a.Code != 404 {
		t.Errorf("before any deployment: got %d %s", a.Code, a.Body)
	}
	const trigger = `"triggers":[{"kind":"kv","collection_glob":"x","retry_max_attempts":7},{"kind":"dead_letter","source_filter":"kv"}]`
	states := []string{
		project(fn("a", says("1"), route("/a")), fn("b", says("2"), trigger)),
		project(fn("a", says("3"), `"routes":[{"path":"/a/:id","path_kind":"param","method":"get"}]`)),
		project(fn("c", says("4"), route("/a"), `"limits":{"writes":5},"description":"d","isolation":"fresh"`)),
	}
	held := []string{""}
	for _, s := range states {
		w.deploy(200, s)
		held = append(held, w.holds())
	}
	for _, number := range []int{1, 3, 2, 1} {
		w.rollBack(200, number)
		if got := w.holds(); got != held[number] {
			t.Errorf("rolled back to %d: got\n%s\nwant\n%s", number, got, held[number])
		}
	}
	w.answers("/a", "1")
	if a := w.do(w.owner, "POST", admin+"/apps/shop/rollback", `{"number":99}`); a.Code != 404 {
		t.Errorf("an unknown number: got %d %s", a.Code, a.Body)
	}
	if a := w.do(w.owner, "POST", admin+"/apps/shop/rollback", "{}"); a.Code != 404 {
		t.Errorf("further back than the first: got %d %s", a.Code, a.Body)
	}
	w.rollBack(200, 3)
	w.rollBack(200, 0)
	w.rollBack(200, 0)
	if got := w.holds(); got != held[1] {
		t.Errorf("twice back from 3: got\n%s\nwant\n%s", got, held[1])
	}
}

func TestDeploymentsAreBounded(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	for i := range deploy.Kept + 3 {
		w.deploy(200, project(fn("a", says(fmt.Sprint(i)), route("/a"))))
	}
	items := w.must(200, "GET", admin+"/apps/shop/deployments", "").body["items"].([]any)
	if len(items) != deploy.Kept || items[0].(map[string]any)["number"] != float64(deploy.Kept+3) {
		t.Errorf("got %d deployments, the first %v", len(items), items[0])
	}
	w.rollBack(200, 4)
	w.answers("/a", "3")
	if a := w.do(w.owner, "POST", admin+"/apps/shop/rollback", `{"number":3}`); a.Code != 404 {
		t.Errorf("a forgotten one: got %d %s", a.Code, a.Body)
	}
}

// Deployments that hand one route from function to function, back and forth, drop no request.
func TestDeployDropsNoRequest(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	states := []string{project(fn("a", says("1"), route("/x"))), project(fn("b", says("2"), route("/x"))), project(fn("a", says("3"), route("/x")))}
	w.deploy(200, states[0])
	done := make(chan struct{})
	var callers sync.WaitGroup
	var served [2]int
	for i := range served {
		callers.Go(func() {
			for {
				a := w.do(credential{}, "GET", "/x", "")
				if got := a.Body.String(); a.Code != 200 || got != "1" && got != "2" && got != "3" {
					t.Errorf("during a deployment: got %d %s", a.Code, got)
				}
				served[i]++
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 30 {
		w.deploy(200, states[(i+1)%len(states)])
	}
	close(done)
	callers.Wait()
	t.Logf("%v requests during 30 deployments", served)
}

func TestDeployNeedsEachCapability(t *testing.T) {
	t.Parallel()
	w := newShop(t)
	for _, without := range []cloud.Scope{cloud.ScopeScriptWrite, cloud.ScopeRouteWrite, cloud.ScopeAppAdmin} {
		k := w.key(w.owner, fmt.Sprintf(`{"name":%q,"scopes":%s}`, without, allScopes(without)))
		for _, path := range []string{"/deploy", "/deploy/plan", "/rollback", "/rollback/plan"} {
			body := project(fn("a", says("1")))
			if strings.HasPrefix(path, "/rollback") {
				body = "{}"
			}
			if a := w.do(k, "POST", admin+"/apps/shop"+path, body); a.Code != 403 {
				t.Errorf("%s without %s: got %d %s", path, without, a.Code, a.Body)
			}
		}
	}
}
