// Package control is what operators manage: apps, domains, users, members, keys, sessions,
// scripts, versions and routes.
package control

import (
	"context"
	"time"

	"picloud/app/cloud"
	"picloud/app/route"
)

// Compiler checks a script before it is stored. *executor.Executor is the real one.
type Compiler interface {
	Check(ctx context.Context, s *cloud.Script) error
}

// Control answers hot lookups (scripts, routes, principals) from memory, kept in step by
// AfterCommit.
type Control struct{}

// Hot lookups.
func (c *Control) Script(ctx context.Context, id cloud.ScriptID) (*cloud.Script, error) {
	panic("not written yet")
} // shared: don't change it
func (c *Control) Principal(ctx context.Context, u cloud.UserID) (*cloud.Principal, error) {
	panic("not written yet")
}
func (c *Control) Routes() *route.Table                             { panic("not written yet") } // the current table, one atomic load
func (c *Control) FormerSlug(slug string) (current string, ok bool) { panic("not written yet") }

// Authenticate finds the principal of a session cookie or of a bearer key: Unauthenticated,
// the same error for every reason. Both slide their last use at most once a minute.
func (c *Control) AuthenticateSession(ctx context.Context, token string) (*cloud.Principal, error) {
	panic("not written yet")
}
func (c *Control) AuthenticateKey(ctx context.Context, key string) (*cloud.Principal, error) {
	panic("not written yet")
}

// From is where a request came from, for sessions, throttling and the audit log.
type From struct{ Address, UserAgent string }

// Setup and login.
func (c *Control) SetupNeeded(ctx context.Context) (bool, error)            { panic("not written yet") }
func (c *Control) SetupToken(ctx context.Context) (token string, err error) { panic("not written yet") } // made at first start; "" once an owner exists
func (c *Control) Setup(ctx context.Context, token, username, password string, from From) (*cloud.User, string, error) {
	panic("not written yet")
} // also logs in: session token
func (c *Control) Login(ctx context.Context, username, password string, from From) (*cloud.User, string, error) {
	panic("not written yet")
}
func (c *Control) Logout(ctx context.Context, id cloud.SessionID) error { panic("not written yet") }
func (c *Control) Sessions(ctx context.Context, u cloud.UserID) ([]*cloud.Session, error) {
	panic("not written yet")
}
func (c *Control) EndSession(ctx context.Context, u cloud.UserID, id cloud.SessionID) error {
	panic("not written yet")
}
func (c *Control) ChangePassword(ctx context.Context, p *cloud.Principal, current, next string) error {
	panic("not written yet")
}

// Users.
type UserInput struct {
	Username, Password string
	Role               cloud.InstanceRole
}
type UserPatch struct {
	Username *string             `json:"username"`
	Password *string             `json:"password"`
	Role     *cloud.InstanceRole `json:"instance_role"`
	IsActive *bool               `json:"is_active"`
}

func (c *Control) Users(ctx context.Context, p cloud.Page) ([]*cloud.User, string, error) {
	panic("not written yet")
}
func (c *Control) User(ctx context.Context, id cloud.UserID) (*cloud.User, error) {
	panic("not written yet")
}
func (c *Control) CreateUser(ctx context.Context, by *cloud.Principal, in UserInput) (*cloud.User, error) {
	panic("not written yet")
}
func (c *Control) UpdateUser(ctx context.Context, by *cloud.Principal, id cloud.UserID, p UserPatch) (*cloud.User, error) {
	panic("not written yet")
}
func (c *Control) DeleteUser(ctx context.Context, by *cloud.Principal, id cloud.UserID) error {
	panic("not written yet")
}

// Keys: those of the principal's user.
type KeyInput struct {
	Name      string
	Scopes    []cloud.Scope
	App       cloud.AppID // zero: not bound
	ExpiresAt cloud.Time  // zero: never
}

func (c *Control) Keys(ctx context.Context, by *cloud.Principal, p cloud.Page) ([]*cloud.Key, string, error) {
	panic("not written yet")
}
func (c *Control) CreateKey(ctx context.Context, by *cloud.Principal, in KeyInput) (k *cloud.Key, secret string, err error) {
	panic("not written yet")
}
func (c *Control) DeleteKey(ctx context.Context, by *cloud.Principal, id cloud.KeyID) error {
	panic("not written yet")
}

// Apps.
type AppPatch struct {
	Slug        *string `json:"slug"`
	Name        *string `json:"name"`
	Description *string `json:"description"`
}

// App finds an app by id or slug text; NotFound also when p (nil: anybody) has no role in it.
// A former slug is found with moved set.
func (c *Control) App(ctx context.Context, p *cloud.Principal, ref string) (a *cloud.App, moved bool, err error) {
	panic("not written yet")
}
func (c *Control) Apps(ctx context.Context, p *cloud.Principal, page cloud.Page) ([]*cloud.App, string, error) {
	panic("not written yet")
} // only those p may see
func (c *Control) CreateApp(ctx context.Context, by *cloud.Principal, slug, name, description string) (*cloud.App, error) {
	panic("not written yet")
}
func (c *Control) UpdateApp(ctx context.Context, id cloud.AppID, p AppPatch) (*cloud.App, error) {
	panic("not written yet")
}
func (c *Control) DeleteApp(ctx context.Context, id cloud.AppID, cascade bool) error {
	panic("not written yet")
} // Conflict when not empty and not cascade

// Members.
type Membership struct {
	UserID    cloud.UserID `json:"user_id"`
	Username  string       `json:"username"`
	Role      cloud.Role   `json:"role"`
	CreatedAt cloud.Time   `json:"created_at"`
}

func (c *Control) Members(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*Membership, string, error) {
	panic("not written yet")
}
func (c *Control) Membership(ctx context.Context, app cloud.AppID, u cloud.UserID) (*Membership, error) {
	panic("not written yet")
}
func (c *Control) SetMember(ctx context.Context, app cloud.AppID, u cloud.UserID, role cloud.Role) (*Membership, error) {
	panic("not written yet")
}
func (c *Control) RemoveMember(ctx context.Context, app cloud.AppID, u cloud.UserID) error {
	panic("not written yet")
}

// Domains.
func (c *Control) Domains(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Domain, string, error) {
	panic("not written yet")
}
func (c *Control) CreateDomain(ctx context.Context, app cloud.AppID, host, kind string) (*cloud.Domain, error) {
	panic("not written yet")
}
func (c *Control) DeleteDomain(ctx context.Context, app cloud.AppID, id cloud.DomainID) error {
	panic("not written yet")
}

// Scripts.
type ScriptPatch struct {
	Name           *string       `json:"name"`
	Description    *string       `json:"description"`
	Source         *string       `json:"source"`
	Engine         *string       `json:"engine"`
	Isolation      *string       `json:"isolation"`
	TimeoutSeconds *int          `json:"timeout_seconds"`
	Limits         *cloud.Limits `json:"limits"`
}
type Version struct {
	Version   int          `json:"version"`
	Source    string       `json:"source"`
	Engine    string       `json:"engine"`
	SavedBy   cloud.UserID `json:"saved_by"`
	CreatedAt cloud.Time   `json:"created_at"`
}

func (c *Control) Scripts(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Script, string, error) {
	panic("not written yet")
}
func (c *Control) CreateScript(ctx context.Context, by *cloud.Principal, s *cloud.Script) error {
	panic("not written yet")
} // fills id, version, defaults; compiled first
func (c *Control) UpdateScript(ctx context.Context, by *cloud.Principal, id cloud.ScriptID, p ScriptPatch) (*cloud.Script, error) {
	panic("not written yet")
}
func (c *Control) DeleteScript(ctx context.Context, id cloud.ScriptID) error {
	panic("not written yet")
}
func (c *Control) Versions(ctx context.Context, id cloud.ScriptID, p cloud.Page) ([]*Version, string, error) {
	panic("not written yet")
}
func (c *Control) Rollback(ctx context.Context, by *cloud.Principal, id cloud.ScriptID, version int) (*cloud.Script, error) {
	panic("not written yet")
}

// Routes.
func (c *Control) AppRoutes(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Route, string, error) {
	panic("not written yet")
}
func (c *Control) ScriptRoutes(ctx context.Context, id cloud.ScriptID, p cloud.Page) ([]*cloud.Route, string, error) {
	panic("not written yet")
}
func (c *Control) Route(ctx context.Context, id cloud.RouteID) (*cloud.Route, error) {
	panic("not written yet")
}
func (c *Control) CreateRoute(ctx context.Context, r *cloud.Route) error   { panic("not written yet") } // Conflict names the other route
func (c *Control) DeleteRoute(ctx context.Context, id cloud.RouteID) error { panic("not written yet") }

// Audit appends e; the oldest entries beyond the cap go.
func (c *Control) Audit(ctx context.Context, e *cloud.AuditEntry) error { panic("not written yet") }
func (c *Control) AuditEntries(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.AuditEntry, string, error) {
	panic("not written yet")
} // zero app: the instance's

// Options of New.
type Options struct {
	SessionTTL time.Duration
	Now        func() time.Time
}
