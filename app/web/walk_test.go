package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
)

// reached is the status of a request that was let through to its endpoint's function.
const reached = http.StatusTeapot

// rule says who gets through to an endpoint.
type rule struct {
	public   bool
	any      bool        // whoever is known
	instance bool        // owners and admins
	owner    bool        // of them, owners only
	role     cloud.Role  // least role in the app
	scope    cloud.Scope // what a key needs
	app      bool        // the endpoint belongs to an app
}

func inApp(role cloud.Role, scope cloud.Scope) rule { return rule{app: true, role: role, scope: scope} }

var (
	forPublic   = rule{public: true}
	forAny      = rule{any: true}
	forInstance = rule{instance: true, scope: cloud.ScopeInstanceAdmin}
	forOwner    = rule{instance: true, owner: true, scope: cloud.ScopeInstanceAdmin}
	forAppRead  = inApp(cloud.Viewer, cloud.ScopeScriptRead)
	forAppAdmin = inApp(cloud.AppAdmin, cloud.ScopeAppAdmin)
	forDomains  = inApp(cloud.AppAdmin, cloud.ScopeDomainManage)
	forWriting  = inApp(cloud.Editor, cloud.ScopeScriptWrite)
	forRouting  = inApp(cloud.Editor, cloud.ScopeRouteWrite)
	forLogs     = inApp(cloud.Viewer, cloud.ScopeLogRead)
	// An app's page, but the instance's decision.
	forQuotas = rule{app: true, instance: true, scope: cloud.ScopeInstanceAdmin}
)

// rules states for every endpoint who may use it, apart from the table on purpose.
var rules = map[string]rule{
	"GET /openapi.json":                                 forPublic,
	"POST /execute/{id}":                                forWriting,
	"GET /admin/auth/setup":                             forPublic,
	"POST /admin/auth/setup":                            forPublic,
	"POST /admin/auth/login":                            forPublic,
	"POST /admin/auth/logout":                           forAny,
	"GET /admin/auth/me":                                forAny,
	"POST /admin/auth/password":                         forAny,
	"GET /admin/auth/sessions":                          forAny,
	"DELETE /admin/auth/sessions/{id}":                  forAny,
	"GET /admin/admins":                                 forInstance,
	"POST /admin/admins":                                forInstance,
	"GET /admin/admins/{id}":                            forInstance,
	"PATCH /admin/admins/{id}":                          forInstance,
	"DELETE /admin/admins/{id}":                         forInstance,
	"GET /admin/api-keys":                               forAny,
	"POST /admin/api-keys":                              forAny,
	"DELETE /admin/api-keys/{id}":                       forAny,
	"GET /admin/system":                                 forInstance,
	"GET /admin/audit":                                  forInstance,
	"GET /admin/backup":                                 forOwner,
	"GET /admin/backup/status":                          forInstance,
	"GET /admin/backup/points":                          forInstance,
	"POST /admin/backup/sync":                           forInstance,
	"POST /admin/backup/verify":                         forInstance,
	"GET /admin/apps":                                   forAny,
	"POST /admin/apps":                                  forInstance,
	"GET /admin/apps/{app}":                             forAppRead,
	"PATCH /admin/apps/{app}":                           forAppAdmin,
	"DELETE /admin/apps/{app}":                          forAppAdmin,
	"POST /admin/apps/import":                           forInstance,
	"GET /admin/apps/{app}/export":                      forAppAdmin,
	"GET /admin/apps/{app}/rewind":                      forQuotas,
	"POST /admin/apps/{app}/rewind":                     forQuotas,
	"POST /admin/apps/{app}/rewind/file":                forQuotas,
	"GET /admin/apps/{app}/audit":                       forAppAdmin,
	"GET /admin/apps/{app}/quotas":                      forAppRead,
	"PUT /admin/apps/{app}/quotas":                      forQuotas,
	"GET /admin/apps/{app}/outbound":                    forAppRead,
	"PUT /admin/apps/{app}/outbound":                    forQuotas,
	"GET /admin/apps/{app}/secrets":                     forAppAdmin,
	"PUT /admin/apps/{app}/secrets/{name}":              forAppAdmin,
	"DELETE /admin/apps/{app}/secrets/{name}":           forAppAdmin,
	"GET /admin/apps/{app}/members":                     forAppAdmin,
	"GET /admin/apps/{app}/members/{user_id}":           forAppAdmin,
	"PUT /admin/apps/{app}/members/{user_id}":           forAppAdmin,
	"DELETE /admin/apps/{app}/members/{user_id}":        forAppAdmin,
	"GET /admin/apps/{app}/domains":                     forDomains,
	"POST /admin/apps/{app}/domains":                    forDomains,
	"DELETE /admin/apps/{app}/domains/{id}":             forDomains,
	"GET /admin/apps/{app}/scripts":                     forAppRead,
	"POST /admin/apps/{app}/scripts":                    forWriting,
	"GET /admin/scripts/{id}":                           forAppRead,
	"PATCH /admin/scripts/{id}":                         forWriting,
	"DELETE /admin/scripts/{id}":                        forWriting,
	"GET /admin/scripts/{id}/versions":                  forAppRead,
	"POST /admin/scripts/{id}/rollback":                 forWriting,
	"GET /admin/scripts/{id}/routes":                    forAppRead,
	"POST /admin/scripts/{id}/routes":                   forRouting,
	"GET /admin/apps/{app}/routes":                      forAppRead,
	"GET /admin/apps/{app}/routes/match":                forAppRead,
	"DELETE /admin/routes/{id}":                         forRouting,
	"GET /admin/apps/{app}/triggers":                    forAppAdmin,
	"POST /admin/apps/{app}/triggers/kv":                forAppAdmin,
	"POST /admin/apps/{app}/triggers/dead_letter":       forAppAdmin,
	"POST /admin/apps/{app}/triggers/pubsub":            forAppAdmin,
	"GET /admin/apps/{app}/topics":                      forAppAdmin,
	"GET /admin/apps/{app}/topics/{topic}":              forAppAdmin,
	"PUT /admin/apps/{app}/topics/{topic}":              forAppAdmin,
	"DELETE /admin/apps/{app}/topics/{topic}":           forAppAdmin,
	"POST /admin/apps/{app}/topics/{topic}/messages":    forWriting,
	"POST /admin/apps/{app}/triggers/cron":              forAppAdmin,
	"POST /admin/apps/{app}/triggers/{id}/run":          forAppAdmin,
	"GET /admin/apps/{app}/triggers/{id}":               forAppAdmin,
	"PATCH /admin/apps/{app}/triggers/{id}":             forAppAdmin,
	"DELETE /admin/apps/{app}/triggers/{id}":            forAppAdmin,
	"GET /admin/apps/{app}/dead_letters":                forAppAdmin,
	"GET /admin/apps/{app}/dead_letters/count":          forAppAdmin,
	"GET /admin/apps/{app}/dead_letters/{id}":           forAppAdmin,
	"POST /admin/apps/{app}/dead_letters/{id}/replay":   forAppAdmin,
	"POST /admin/apps/{app}/dead_letters/{id}/resolve":  forAppAdmin,
	"POST /admin/apps/{app}/dead_letters/replay":        forAppAdmin,
	"POST /admin/apps/{app}/dead_letters/resolve":       forAppAdmin,
	"GET /admin/apps/{app}/outbox":                      forAppAdmin,
	"DELETE /admin/apps/{app}/outbox/{id}":              forAppAdmin,
	"POST /admin/apps/{app}/deploy":                     forAppAdmin,
	"POST /admin/apps/{app}/deploy/plan":                forAppAdmin,
	"GET /admin/apps/{app}/deployments":                 forAppAdmin,
	"POST /admin/apps/{app}/rollback":                   forAppAdmin,
	"POST /admin/apps/{app}/rollback/plan":              forAppAdmin,
	"GET /admin/apps/{app}/kv":                          forAppRead,
	"GET /admin/apps/{app}/kv/{collection}":             forAppRead,
	"GET /admin/apps/{app}/kv/{collection}/{key...}":    forAppRead,
	"PUT /admin/apps/{app}/kv/{collection}/{key...}":    forWriting,
	"DELETE /admin/apps/{app}/kv/{collection}/{key...}": forWriting,

	"POST /admin/apps/{app}/triggers/queue":           forAppAdmin,
	"GET /admin/apps/{app}/queues":                    forAppRead,
	"GET /admin/apps/{app}/queues/{name}/messages":    forAppRead,
	"POST /admin/apps/{app}/queues/{name}/messages":   forWriting,
	"DELETE /admin/apps/{app}/queues/{name}/messages": forAppAdmin,
	"POST /admin/apps/{app}/queues/{name}/pause":      forAppAdmin,
	"POST /admin/apps/{app}/queues/{name}/resume":     forAppAdmin,
	"GET /admin/apps/{app}/executions":                forLogs,
	"GET /admin/apps/{app}/executions/stream":         forLogs,
	"GET /admin/executions/{id}":                      forLogs,
	"GET /admin/executions/{id}/chain":                forLogs,
	"GET /admin/apps/{app}/abandoned_executions":      forLogs,
}

// caller is one column of the walk.
type caller struct {
	name string
	credential
	known    bool
	instance bool          // owner or admin
	role     cloud.Role    // in the app of the walk
	scopes   []cloud.Scope // of a key; nil for a session
	bound    bool          // a key that is bound to another app
}

// expect is the status the rule gives the caller.
func (c caller) expect(r rule) int {
	hasScope := c.scopes == nil || slices.Contains(c.scopes, r.scope)
	switch {
	case r.public:
		return reached
	case !c.known:
		return 401
	case r.any:
		return reached
	case r.app && (c.role == "" || c.bound):
		return 404
	case r.instance && (!c.instance || c.bound || !hasScope):
		return 403
	case r.owner && c.name == "admin":
		return 403
	case !r.instance && (!c.role.Includes(r.role) || !hasScope):
		return 403
	}
	return reached
}

// TestWalk asks every endpoint as everybody. The endpoints' functions are replaced: the walk
// is about who gets through to them.
func TestWalk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, script, route := w.app("shop")
	other, _, _ := w.app("other")
	callers := w.callers("shop", other)

	for i := range w.endpoints {
		e := &w.endpoints[i]
		e.run.serve = func(_ *Server, _ *endpoint, q *request) error {
			q.w.WriteHeader(reached)
			return nil
		}
		if strings.HasPrefix(e.path, "/admin/executions/") {
			e.in = func(ctx context.Context, q *request) (cloud.AppID, error) { // executions have a test of their own
				a, _, err := w.Control.App(ctx, nil, "shop")
				if err != nil {
					return cloud.AppID{}, err
				}
				return visible(q.who, a.ID, "execution")
			}
		}
	}
	for i := range w.endpoints {
		e := &w.endpoints[i]
		name := e.method + " " + e.path
		rule, stated := rules[name]
		if !stated {
			t.Errorf("%s: rules don't say who may use it", name)
			continue
		}
		id := cloud.NewID[cloud.RowID]().String()
		switch {
		case strings.Contains(e.path, "/scripts/{id}"), strings.HasPrefix(e.path, "/execute/"):
			id = script
		case strings.Contains(e.path, "/routes/{id}"):
			id = route
		}
		path := strings.NewReplacer("{app}", "shop", "{id}", id, "{user_id}", id, "{collection}", "c", "{key...}", "k").Replace(e.path)
		for _, c := range callers {
			if got, want := w.do(c.credential, e.method, apiPrefix+path, "").Code, c.expect(rule); got != want {
				t.Errorf("%s as %s: got %d, want %d", name, c.name, got, want)
			}
		}
	}
	if len(rules) != len(w.endpoints) {
		t.Errorf("rules has %d lines for %d endpoints", len(rules), len(w.endpoints))
	}
}

// callers makes one of each.
func (w *world) callers(app, other string) []caller {
	w.Helper()
	_, nobody := w.user("nobody", cloud.Member)
	_, adm := w.user("admin", cloud.Admin)
	out := []caller{
		{name: "anonymous"},
		{name: "a forged session", credential: credential{session: strings.Repeat("A", 43)}},
		{name: "a forged key", credential: credential{key: "pic_abcdefgh" + strings.Repeat("A", 43)}},
		{name: "a member without a role", credential: nobody, known: true},
		{name: "viewer", credential: w.member(app, cloud.Viewer), known: true, role: cloud.Viewer},
		{name: "editor", credential: w.member(app, cloud.Editor), known: true, role: cloud.Editor},
		{name: "app_admin", credential: w.member(app, cloud.AppAdmin), known: true, role: cloud.AppAdmin},
		{name: "admin", credential: adm, known: true, instance: true, role: cloud.AppAdmin},
		{name: "owner", credential: w.owner, known: true, instance: true, role: cloud.AppAdmin},
		{name: "a key bound to another app", known: true, instance: true, bound: true, role: cloud.AppAdmin, scopes: cloud.Scopes,
			credential: w.key(w.owner, fmt.Sprintf(`{"name":"bound","scopes":%s,"app":%q}`, allScopes(cloud.ScopeInstanceAdmin), other))},
	}
	for _, s := range cloud.Scopes {
		out = append(out, caller{name: "a key for " + string(s), known: true, instance: true, role: cloud.AppAdmin, scopes: []cloud.Scope{s},
			credential: w.key(w.owner, fmt.Sprintf(`{"name":%q,"scopes":[%q]}`, s, s))})
	}
	return append(out, w.expiredKey(), w.deactivated("session"), w.deactivated("key"))
}

func (w *world) expiredKey() caller {
	w.Helper()
	at := w.clock.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	c := caller{name: "an expired key", credential: w.key(w.owner, fmt.Sprintf(`{"name":"brief","scopes":%s,"expires_at":%q}`, allScopes(), at))}
	w.clock.advance(2 * time.Minute)
	return c
}

// deactivated is somebody who had every right until they were made inactive.
func (w *world) deactivated(by string) caller {
	w.Helper()
	id, c := w.user("gone-"+by, cloud.Admin)
	if by == "key" {
		c = w.key(c, fmt.Sprintf(`{"name":"gone","scopes":%s}`, allScopes()))
	}
	w.must(200, "PATCH", admin+"/admins/"+id.String(), `{"is_active":false}`)
	return caller{name: "a deactivated user's " + by, credential: c}
}
