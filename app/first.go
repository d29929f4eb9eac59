package app

import (
	"cmp"
	"context"
	"net"
	"runtime/debug"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/route"
	"picloud/app/sdk"
	"picloud/app/web"
	"picloud/db"
	"picloud/schema"
	"picloud/scripts"
)

// firstStart makes a fresh instance useful: the owner when the configuration names one, and
// the app default with the function hello.
func (a *App) firstStart(ctx context.Context) error {
	needed, err := a.control.SetupNeeded(ctx)
	if err != nil {
		return err
	}
	if needed && a.cfg.OwnerUsername != "" {
		if _, err := a.control.CreateOwner(ctx, a.cfg.OwnerUsername, a.cfg.OwnerPassword); err != nil {
			return err
		}
	}
	return a.control.Once(ctx, "starter", func() error { return a.starter(ctx) })
}

// starter creates what `curl /hello` answers with.
func (a *App) starter(ctx context.Context) error {
	app, err := a.control.CreateApp(ctx, nil, "default", "Default", "Made at the first start")
	if err != nil {
		return err
	}
	hello := &cloud.Script{AppID: app.ID, Name: "hello", Description: "Says hello", Source: scripts.Hello}
	if err := a.control.CreateScript(ctx, nil, hello); err != nil {
		return err
	}
	return a.control.CreateRoute(ctx, &cloud.Route{
		AppID: app.ID, ScriptID: hello.ID, HostKind: route.Any, PathKind: route.Exact, Path: "/hello", DispatchMode: cloud.DispatchSync,
	})
}

// announce logs where the instance is, the setup link while there is no owner, and what
// keeps secrets from being read.
func (a *App) announce(ctx context.Context, addr net.Addr) {
	if err := a.secrets.Check(ctx); err != nil {
		a.log.Error("secrets can't be read: scripts that ask for one fail", "err", err)
	}
	scheme := "http"
	if a.cfg.tls() {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		host = addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	base := scheme + "://" + net.JoinHostPort(host, port)
	a.log.Info("serving", "url", base, "dashboard", base+"/admin/", "hello", base+"/hello", "data", a.cfg.DataDir)
	token, err := a.control.SetupToken(ctx)
	if err != nil {
		a.log.Error("make the setup link", "err", err)
	} else if token != "" {
		a.log.Warn("this instance has no owner yet: open the link to become it", "setup", base+"/admin/setup?token="+token)
	}
}

// Types is picloud.d.ts, the types of what scripts can use.
func Types() string { return sdk.Types }

// Product is the version of this source. A release stamps both with -ldflags -X.
var (
	Product = "0.1.0"
	commit  string // "": as Go noted it while building
)

// BuildVersion describes the binary.
func BuildVersion() web.Version {
	v := web.Version{Product: Product, API: 1, SDK: sdk.Version, Schema: schema.Version(schema.State), Commit: cmp.Or(commit, "unknown")}
	if commit != "" {
		return v
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

// Offline is a change to users on the data directory of a stopped instance.
type Offline struct {
	Context            context.Context
	Config             *Config
	Username, Password string
	Role               cloud.InstanceRole // of CreateUser
}

// CreateUser adds a user to a stopped instance.
func CreateUser(o Offline) error {
	return o.with(func(c *control.Control) error {
		_, err := c.CreateUser(o.Context, nil, control.UserInput{Username: o.Username, Password: o.Password, Role: o.Role})
		return err
	})
}

// ResetPassword gives a user of a stopped instance another password, makes them active and
// ends their sessions.
func ResetPassword(o Offline) error {
	return o.with(func(c *control.Control) error {
		_, err := c.ResetPassword(o.Context, o.Username, o.Password)
		return err
	})
}

// RotateKey gives the secrets of a stopped instance another master key and says how many
// there are. Everything is on the disk before the former key is given up.
func RotateKey(ctx context.Context, cfg *Config) (int, error) {
	full := *cfg
	full.Durability = db.Full
	a, err := New(ctx, &full)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	return a.secrets.Rotate(ctx)
}

// with opens the data directory for f. A running instance holds it: then f does not run.
func (o Offline) with(f func(*control.Control) error) error {
	a, err := New(o.Context, o.Config)
	if err != nil {
		return err
	}
	defer a.Close()
	return f(a.control)
}
