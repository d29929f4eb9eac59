package cloud

import "slices"

// Scope is what an API key may be given. There are seven and no more.
type Scope string

const (
	ScopeScriptRead    Scope = "script:read"
	ScopeScriptWrite   Scope = "script:write"
	ScopeRouteWrite    Scope = "route:write"
	ScopeDomainManage  Scope = "domain:manage"
	ScopeAppAdmin      Scope = "app:admin"
	ScopeLogRead       Scope = "log:read"
	ScopeInstanceAdmin Scope = "instance:admin"
)

// Scopes lists all scopes in the order of the contract.
var Scopes = []Scope{ScopeScriptRead, ScopeScriptWrite, ScopeRouteWrite, ScopeDomainManage, ScopeAppAdmin, ScopeLogRead, ScopeInstanceAdmin}

// Role is a user's role in one app. Each includes the ones before it.
type Role string

const (
	Viewer   Role = "viewer"
	Editor   Role = "editor"
	AppAdmin Role = "app_admin"
)

// Roles lists the app roles from least to most.
var Roles = []Role{Viewer, Editor, AppAdmin}

// Includes reports whether r is at least want. The empty role includes nothing.
func (r Role) Includes(want Role) bool {
	have := slices.Index(Roles, r)
	return have >= 0 && have >= slices.Index(Roles, want)
}

// InstanceRole is a user's role on the instance.
type InstanceRole string

const (
	Owner  InstanceRole = "owner"  // everything
	Admin  InstanceRole = "admin"  // everything but owners
	Member InstanceRole = "member" // only the apps they belong to
)

// InstanceRoles lists the instance roles from most to least.
var InstanceRoles = []InstanceRole{Owner, Admin, Member}

// Capability is one thing a principal may be allowed to do. Every endpoint names one.
type Capability string

const (
	Public Capability = "public" // nobody need be known
	Any    Capability = "any"    // anybody who is known

	// On the instance.
	InstanceUsers  Capability = "instance.users"
	InstanceSystem Capability = "instance.system"
	InstanceAudit  Capability = "instance.audit"
	InstanceBackup Capability = "instance.backup" // a copy of everything, owners' secrets too
	AppCreate      Capability = "app.create"

	// In one app.
	AppRead          Capability = "app.read"
	AppManage        Capability = "app.manage" // rename, settings, delete, members, audit
	DomainManage     Capability = "domain.manage"
	ScriptRead       Capability = "script.read"
	ScriptWrite      Capability = "script.write"
	RouteWrite       Capability = "route.write"
	KVRead           Capability = "kv.read"
	KVWrite          Capability = "kv.write"
	TopicPublish     Capability = "topic.publish" // and make tokens for subscribers
	TopicManage      Capability = "topic.manage"
	QueueRead        Capability = "queue.read"
	QueueWrite       Capability = "queue.write"
	QueueManage      Capability = "queue.manage" // pause, resume, purge
	TriggerManage    Capability = "trigger.manage"
	DeadLetterManage Capability = "dead_letter.manage"
	SecretManage     Capability = "secret.manage"
	OutboxManage     Capability = "outbox.manage"
	LogRead          Capability = "log.read"
	AppDeploy        Capability = "app.deploy" // all at once; needs ScriptWrite and RouteWrite beside it
)

// grant is what a capability asks for: a scope of a key, and a role of the user. An empty role means
// an instance owner or admin.
type grant struct {
	scope Scope
	role  Role
}

// ownersOnly are capabilities of the instance that its admins don't have.
var ownersOnly = []Capability{InstanceBackup}

var grants = map[Capability]grant{
	InstanceUsers:    {ScopeInstanceAdmin, ""},
	InstanceSystem:   {ScopeInstanceAdmin, ""},
	InstanceAudit:    {ScopeInstanceAdmin, ""},
	InstanceBackup:   {ScopeInstanceAdmin, ""},
	AppCreate:        {ScopeInstanceAdmin, ""},
	AppRead:          {ScopeScriptRead, Viewer},
	AppManage:        {ScopeAppAdmin, AppAdmin},
	DomainManage:     {ScopeDomainManage, AppAdmin},
	ScriptRead:       {ScopeScriptRead, Viewer},
	ScriptWrite:      {ScopeScriptWrite, Editor},
	RouteWrite:       {ScopeRouteWrite, Editor},
	KVRead:           {ScopeScriptRead, Viewer},
	KVWrite:          {ScopeScriptWrite, Editor},
	TopicPublish:     {ScopeScriptWrite, Editor},
	TopicManage:      {ScopeAppAdmin, AppAdmin},
	QueueRead:        {ScopeScriptRead, Viewer},
	QueueWrite:       {ScopeScriptWrite, Editor},
	QueueManage:      {ScopeAppAdmin, AppAdmin},
	TriggerManage:    {ScopeAppAdmin, AppAdmin},
	DeadLetterManage: {ScopeAppAdmin, AppAdmin},
	SecretManage:     {ScopeAppAdmin, AppAdmin},
	OutboxManage:     {ScopeAppAdmin, AppAdmin},
	LogRead:          {ScopeLogRead, Viewer},
	AppDeploy:        {ScopeAppAdmin, AppAdmin},
}

// Principal is who acts, with the rights they have at this moment: a user through a
// session, or through a key that narrows them further. A nil Principal is the public.
type Principal struct {
	User     UserID
	Username string
	Role     InstanceRole
	Roles    map[AppID]Role // memberships; owners and admins need none

	Key     KeyID     // zero for a session
	Scopes  []Scope   // what the key may do; unused for a session
	App     AppID     // the one app a bound key acts in; zero for every app
	Session SessionID // zero for a key
}

// RoleIn is the role p has in app, "" for none. A bound key has none elsewhere.
func (p *Principal) RoleIn(app AppID) Role {
	switch {
	case p == nil, !p.App.IsZero() && p.App != app:
		return ""
	case p.Role == Owner, p.Role == Admin:
		return AppAdmin
	}
	return p.Roles[app]
}

// Can reports whether p may do c: in app, or on the instance when c is of the instance
// (app is then ignored). A key bound to one app can do nothing on the instance.
func (p *Principal) Can(c Capability, app AppID) bool {
	if c == Public {
		return true
	}
	if p == nil {
		return false
	}
	if c == Any {
		return true
	}
	g, ok := grants[c]
	if !ok || !p.has(g.scope) {
		return false
	}
	if g.role == "" {
		return p.App.IsZero() && (p.Role == Owner || p.Role == Admin && !slices.Contains(ownersOnly, c))
	}
	return p.RoleIn(app).Includes(g.role)
}

func (p *Principal) has(s Scope) bool {
	return p.Key.IsZero() || slices.Contains(p.Scopes, s)
}

// UsableScopes lists the scopes with which a key of p's user could do anything: all for
// owners and admins, those of their best role for members, none without a membership.
func (p *Principal) UsableScopes() []Scope {
	var usable []Scope
	for _, s := range Scopes {
		for _, g := range grants {
			if g.scope == s && p.holds(g.role) {
				usable = append(usable, s)
				break
			}
		}
	}
	return usable
}

// holds reports whether p's user has a role somewhere; the empty role is that of an
// instance owner or admin.
func (p *Principal) holds(role Role) bool {
	if p.Role == Owner || p.Role == Admin {
		return true
	}
	for _, r := range p.Roles {
		if role != "" && r.Includes(role) {
			return true
		}
	}
	return false
}
