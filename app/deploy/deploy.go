// Package deploy puts a whole project into an app: scripts, routes and triggers change in one
// transaction or not at all, and every deployment is kept, so that it can be brought back.
//
// control owns scripts and routes, outbox owns triggers; a deployment spans both, so it lives
// above them. It owns the tables deployments and deployed_sources.
package deploy

import (
	"context"
	"errors"
	"fmt"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/outbox"
	"picloud/db"
)

// Bounds of a project.
const (
	MaxFunctions   = 200
	MaxRoutes      = 1000
	MaxTriggers    = 1000
	MaxSourceBytes = 16 << 20 // of all functions together
)

// Kept is how many deployments of an app are kept.
const Kept = 20

// Function is a script with the routes and triggers that lead to it.
type Function struct {
	File     string // where its author finds it; errors name it
	Script   *cloud.Script
	Routes   []*cloud.Route
	Triggers []*cloud.Trigger
}

// name is what errors call the function.
func (f *Function) name() string {
	if f.File != "" {
		return f.File
	}
	return f.Script.Name
}

// Project is what an app is to hold. What the deployment before put there and the project no
// longer has is deleted; what people made by hand stays, unless Prune is set.
type Project struct {
	Functions []*Function
	Prune     bool
	Note      string // what the deployment is called in the list
}

// Outcome is what a deployment changed, or would change.
type Outcome struct {
	Number  int       `json:"number"` // of the deployment; 0 when nothing was changed
	Changes []*Change `json:"changes"`
	ByHand  []*Change `json:"by_hand"` // what was made by hand and stays; action is keep
}

// Deployer deploys. It is safe for concurrent use.
type Deployer struct {
	db      *db.DB
	control *control.Control
	outbox  *outbox.Outbox
}

// New makes a deployer on the database of both.
func New(d *db.DB, c *control.Control, o *outbox.Outbox) *Deployer { return &Deployer{d, c, o} }

// errOvertaken: the app was changed while the deployment was being checked.
var errOvertaken = errors.New("the app was changed meanwhile")

// attempts bounds how often a deployment starts over because others change the same app.
const attempts = 5

// Plan checks a project as Deploy does and says what Deploy would change.
func (d *Deployer) Plan(ctx context.Context, by *cloud.Principal, app cloud.AppID, p *Project) (*Outcome, error) {
	if err := p.checkBounds(); err != nil {
		return nil, err
	}
	var pl *plan
	err := d.control.Routing(ctx, func() (err error) {
		pl, err = d.prepare(ctx, by, app, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return pl.outcome(), nil
}

// Deploy makes the app hold the project, in one transaction. Everything is checked and
// compiled before; an Invalid or Conflict error names each file that is at fault, and then
// nothing was changed. What is the same already is left untouched, and when all of it is,
// there is no deployment.
func (d *Deployer) Deploy(ctx context.Context, by *cloud.Principal, app cloud.AppID, p *Project) (*Outcome, error) {
	return d.deploy(ctx, by, app, p, 0)
}

func (d *Deployer) deploy(ctx context.Context, by *cloud.Principal, app cloud.AppID, p *Project, restores int) (*Outcome, error) {
	if err := p.checkBounds(); err != nil {
		return nil, err
	}
	var out *Outcome
	for range attempts {
		err := d.control.Routing(ctx, func() (err error) {
			out, err = d.attempt(ctx, by, app, p, restores)
			return err
		})
		if !errors.Is(err, errOvertaken) {
			return out, err
		}
	}
	return nil, cloud.Errorf(cloud.Conflict, "the app is being changed by others at the same time: try again")
}

// attempt prepares a deployment and makes it if the app is still as it was then.
func (d *Deployer) attempt(ctx context.Context, by *cloud.Principal, app cloud.AppID, p *Project, restores int) (*Outcome, error) {
	pl, err := d.prepare(ctx, by, app, p)
	if err != nil {
		return nil, err
	}
	out := pl.outcome()
	if !pl.changesAnything() {
		return out, nil
	}
	for _, s := range pl.scripts.gone {
		// Requests that are under way find the script in memory until the routes are switched.
		if _, err := d.control.Script(ctx, s.ID); err != nil {
			return nil, errOvertaken
		}
	}
	err = d.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		now, err := d.read(tx.Rx, app)
		if err != nil {
			return err
		}
		if !now.same(pl.before) {
			return errOvertaken
		}
		if err := d.apply(tx, by, pl); err != nil {
			return err
		}
		out.Number, err = d.keep(tx, by, pl, p.Note, restores)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkBounds refuses what is too large before anything is looked at.
func (p *Project) checkBounds() error {
	routes, triggers, bytes := 0, 0, 0
	for _, f := range p.Functions {
		routes, triggers, bytes = routes+len(f.Routes), triggers+len(f.Triggers), bytes+len(f.Script.Source)
	}
	for _, b := range []struct {
		what    string
		is, max int
	}{
		{"functions", len(p.Functions), MaxFunctions}, {"routes", routes, MaxRoutes},
		{"triggers", triggers, MaxTriggers}, {"bytes of source", bytes, MaxSourceBytes},
	} {
		if b.is > b.max {
			return cloud.Errorf(cloud.TooLarge, "the project has %d %s: at most %d can be deployed at once", b.is, b.what, b.max)
		}
	}
	return nil
}

// current is everything of an app that deployments are about.
type current struct {
	scripts  []*cloud.Script
	routes   []*cloud.Route
	triggers []*cloud.Trigger
	last     *kept // the newest deployment, nil for none
}

func (d *Deployer) read(rx *db.Rx, app cloud.AppID) (*current, error) {
	var c current
	var err error
	if c.scripts, err = d.control.ScriptsTx(rx, app); err != nil {
		return nil, err
	}
	if c.routes, err = d.control.RoutesTx(rx, app); err != nil {
		return nil, err
	}
	if c.triggers, err = d.outbox.TriggersTx(rx, app); err != nil {
		return nil, err
	}
	if c.last, err = newest(rx, app); err != nil {
		return nil, fmt.Errorf("read the newest deployment: %w", err)
	}
	return &c, nil
}

// same reports whether nothing was changed between two readings.
func (c *current) same(o *current) bool {
	if len(c.scripts) != len(o.scripts) || len(c.routes) != len(o.routes) || len(c.triggers) != len(o.triggers) ||
		c.last.number() != o.last.number() {
		return false
	}
	for i, s := range c.scripts {
		if s.ID != o.scripts[i].ID || s.Version != o.scripts[i].Version {
			return false
		}
	}
	for i, r := range c.routes {
		if r.ID != o.routes[i].ID {
			return false
		}
	}
	for i, t := range c.triggers {
		if u := o.triggers[i]; t.ID != u.ID || len(differing(t, u)) > 0 {
			return false
		}
	}
	return true
}
