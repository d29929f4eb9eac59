package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// manager makes and deletes apps and what is in them, one at a time, as an operator does by hand.
type manager struct {
	t     *torture
	rng   *rand.Rand
	n     int    // of the present app
	app   string // its slug
	start int64  // of the instance, when all was read last
	parts map[string]*register
	key   string // the secret of the app's key; "" while none was seen
	keyID string

	deleting bool // the app, until that is acknowledged
}

// partNames are what an app holds, in the order in which it is read. The route's value is what
// the script says through it, the secret included.
var partNames = []string{"app", "script", "route", "value", "secret", "domain", "trigger", "topic", "key"}

func (t *torture) newManager() *manager {
	m := &manager{t: t, rng: rand.New(rand.NewPCG(t.o.Seed, 1<<34))}
	m.another()
	return m
}

// another turns to an app that isn't there yet.
func (m *manager) another() {
	m.n++
	m.app, m.key, m.keyID, m.start = fmt.Sprintf("tenant-%d", m.n), "", "", 0
	m.parts = map[string]*register{}
	for _, name := range partNames {
		m.parts[name] = &register{name: name + " of " + m.app, possible: []string{""}}
	}
}

func (m *manager) serve(ctx context.Context) {
	for ctx.Err() == nil {
		m.t.gate.RLock()
		if v := m.step(ctx); v != nil && ctx.Err() == nil {
			m.t.broken(v)
		}
		m.t.gate.RUnlock()
		_ = sleep(ctx, time.Duration(m.rng.Int64N(int64(2*pause))))
	}
}

func (m *manager) at(path string) string { return "/apps/" + m.app + path }

// step writes one thing; after a start, it reads everything first.
func (m *manager) step(ctx context.Context) *Violation {
	if m.deleting {
		return m.deleteApp(ctx)
	}
	if start := m.t.in.starts.Load(); start != m.start {
		ok, v := m.readAll(ctx)
		if ok {
			m.start = start
		}
		if v != nil || !ok {
			return v
		}
	}
	if m.has("app") == "" {
		m.wrote("app", "there", m.t.api.admin(ctx, "POST", "/apps", object{"slug": m.app}))
		return nil
	}
	if m.rng.IntN(25) == 0 {
		return m.deleteApp(ctx)
	}
	name := partNames[1+m.rng.IntN(len(partNames)-1)]
	if m.has(name) != "" && name != "script" && m.rng.IntN(3) == 0 {
		m.remove(ctx, name)
	} else {
		m.put(ctx, name, fmt.Sprint(m.rng.IntN(1_000_000)))
	}
	return nil
}

// has is what a part is known to be; of several possible values the last.
func (m *manager) has(name string) string {
	p := m.parts[name].possible
	return p[len(p)-1]
}

func (m *manager) wrote(name, value string, got answer) {
	if got.status == 404 && value == "" || got.status == 409 && value != "" {
		return // it is so already
	}
	m.parts[name].wrote(value, got.outcome)
	if got.outcome == Acknowledged {
		m.t.report.managed()
	}
}

// deleteApp deletes the app, and tries again until it is gone: a kill may leave it half emptied.
func (m *manager) deleteApp(ctx context.Context) *Violation {
	got := m.t.api.admin(ctx, "DELETE", m.at("?cascade=true"), nil)
	if m.deleting = got.outcome != Acknowledged && got.status != 404; m.deleting {
		return nil
	}
	m.t.report.managed()
	return m.deleted(ctx)
}

// deleted sees that nothing is left of the app, and turns to another one.
func (m *manager) deleted(ctx context.Context) *Violation {
	for _, p := range m.parts {
		p.possible = []string{""}
	}
	ok, v := m.readAll(ctx)
	if m.deleting = !ok; ok { // else it is asked for again
		m.another()
	}
	return v
}

func (m *manager) put(ctx context.Context, name, value string) {
	api := m.t.api
	switch name {
	case "script":
		m.putScript(ctx, value)
	case "route":
		if id := m.find(ctx, "/scripts", "name", "s"); id != "" && m.has("route") == "" {
			m.wrote("route", "there", api.admin(ctx, "POST", "/scripts/"+id+"/routes", object{"path": "/s"}))
		}
	case "value":
		m.wrote("value", value, api.admin(ctx, "PUT", m.at("/kv/c/k"), object{"value": value}))
	case "secret":
		m.wrote("secret", value, api.admin(ctx, "PUT", m.at("/secrets/s"), object{"value": value}))
	case "domain":
		m.wrote("domain", "there", api.admin(ctx, "POST", m.at("/domains"), object{"host": m.app + ".example.org"}))
	case "trigger":
		if id := m.find(ctx, "/scripts", "name", "s"); id != "" && m.has("trigger") == "" {
			m.wrote("trigger", "there", api.admin(ctx, "POST", m.at("/triggers/queue"), object{"script_id": id, "queue": "q"}))
		}
	case "topic":
		m.wrote("topic", "there", api.admin(ctx, "PUT", m.at("/topics/t"), object{"external_subscribable": true}))
	case "key":
		if m.key == "" {
			m.putKey(ctx)
		}
	}
}

func (m *manager) putScript(ctx context.Context, value string) {
	source := object{"source": `/* ` + value + ` */ export default (ctx) => ({ said: "` + value + `", secret: secrets.get("s") ?? "" });`}
	if id := m.find(ctx, "/scripts", "name", "s"); id != "" {
		m.wrote("script", value, m.t.api.admin(ctx, "PATCH", "/scripts/"+id, source))
		return
	}
	if m.has("script") == "" {
		source["name"] = "s"
		m.wrote("script", value, m.t.api.admin(ctx, "POST", m.at("/scripts"), source))
	}
}

// putKey makes a key that is bound to the app. One whose answer was cut can't be known.
func (m *manager) putKey(ctx context.Context) {
	got := m.t.api.admin(ctx, "POST", "/api-keys", object{"name": m.app, "scopes": []string{"script:read"}, "app": m.app})
	var made struct{ ID, Key string }
	if got.outcome == Acknowledged && json.Unmarshal(got.body, &made) == nil {
		m.key, m.keyID = made.Key, made.ID
		m.wrote("key", "there", got)
	}
}

func (m *manager) remove(ctx context.Context, name string) {
	api := m.t.api
	id := ""
	switch name {
	case "route":
		id = m.find(ctx, "/routes", "path", "/s")
	case "domain":
		id = m.find(ctx, "/domains", "host", m.app+".example.org")
	case "trigger":
		id = m.find(ctx, "/triggers", "kind", "queue")
	}
	path := map[string]string{"route": "/routes/" + id, "value": m.at("/kv/c/k"), "secret": m.at("/secrets/s"), "domain": m.at("/domains/" + id),
		"trigger": m.at("/triggers/" + id), "topic": m.at("/topics/t"), "key": "/api-keys/" + m.keyID}[name]
	if id == "" && slices.Contains([]string{"route", "domain", "trigger"}, name) {
		return
	}
	got := api.admin(ctx, "DELETE", path, nil)
	m.wrote(name, "", got)
	if name == "key" && got.outcome == Acknowledged {
		m.parts["key"].name = "deleted key of " + m.app
	}
}

// find is the id of what a list of the app has, "" when it has nothing of that name.
func (m *manager) find(ctx context.Context, list, field, name string) string {
	id, _ := m.look(ctx, list, field, name)
	return id
}

// look is find that says whether there was an answer.
func (m *manager) look(ctx context.Context, list, field, name string) (id string, ok bool) {
	got := m.t.api.admin(ctx, "GET", m.at(list), nil)
	var found struct{ Items, Triggers []map[string]any }
	if got.status == 404 {
		return "", true
	}
	if got.status != 200 || json.Unmarshal(got.body, &found) != nil {
		return "", false
	}
	for _, o := range slices.Concat(found.Items, found.Triggers) {
		if o[field] == name {
			id, _ := o["id"].(string)
			return id, true
		}
	}
	return "", true
}

// readAll reads all parts and compares them with what they can be; ok is false when an answer
// didn't come.
func (m *manager) readAll(ctx context.Context) (ok bool, v *Violation) {
	for _, name := range partNames {
		value, ok := m.read(ctx, name)
		if !ok {
			return false, nil
		}
		if v := m.parts[name].saw(value); v != nil {
			return false, v
		}
	}
	return true, nil
}

func (m *manager) read(ctx context.Context, name string) (value string, ok bool) {
	switch name {
	case "app":
		got := m.t.api.admin(ctx, "GET", m.at(""), nil)
		return there(got.status == 200), got.status == 200 || got.status == 404
	case "script":
		return m.readScript(ctx)
	case "route":
		id, ok := m.look(ctx, "/routes", "path", "/s")
		return there(id != ""), ok
	case "value":
		got := m.t.api.admin(ctx, "GET", m.at("/kv/c/k"), nil)
		var kept struct{ Value string }
		return kept.Value, got.status == 404 || got.status == 200 && json.Unmarshal(got.body, &kept) == nil
	case "secret":
		return m.readSecret(ctx)
	case "domain":
		id, ok := m.look(ctx, "/domains", "host", m.app+".example.org")
		return there(id != ""), ok
	case "trigger":
		id, ok := m.look(ctx, "/triggers", "kind", "queue")
		return there(id != ""), ok
	case "topic":
		got := m.t.api.admin(ctx, "GET", m.at("/topics/t"), nil)
		return there(got.status == 200), got.status == 200 || got.status == 404
	case "key":
		if m.key == "" {
			return "", true
		}
		got := m.t.api.as(ctx, m.key, "GET", "/api/v1/admin/auth/me", nil)
		return there(got.status == 200), got.status == 200 || got.status == 401
	}
	panic("no part " + name)
}

func there(yes bool) string {
	if yes {
		return "there"
	}
	return ""
}

func (m *manager) readScript(ctx context.Context) (value string, ok bool) {
	id, ok := m.look(ctx, "/scripts", "name", "s")
	if id == "" || !ok {
		return "", ok
	}
	got := m.t.api.admin(ctx, "GET", "/scripts/"+id, nil)
	var script struct{ Source string }
	if got.status != 200 || json.Unmarshal(got.body, &script) != nil {
		return "", false
	}
	_, err := fmt.Sscanf(script.Source, "/* %s */", &value)
	return value, err == nil
}

// readSecret reads the secret through the script, when there is a way to it, and else only
// whether it is there.
func (m *manager) readSecret(ctx context.Context) (value string, ok bool) {
	if m.has("route") != "" {
		got := m.t.api.public(ctx, "GET", "/~"+m.app+"/s", nil)
		var answer struct{ Said, Secret string }
		if got.status != 200 || json.Unmarshal(got.body, &answer) != nil {
			return "", false
		}
		return answer.Secret, true
	}
	got := m.t.api.admin(ctx, "GET", m.at("/secrets"), nil)
	var list struct{ Items []struct{ Name string } }
	if got.status == 404 {
		return "", true
	}
	if got.status != 200 || json.Unmarshal(got.body, &list) != nil {
		return "", false
	}
	if len(list.Items) == 0 {
		return "", true
	}
	return some, true
}
