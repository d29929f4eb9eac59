package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"picloud/app"
)

// local is an instance of this process, for one project: its only app is the project's.
type local struct {
	*client
	app   string
	ended chan error // gets what Run returned
	stop  context.CancelFunc
}

// localOptions of startLocal.
type localOptions struct {
	Dir    string // for its data
	Listen string
	App    string // slug
	Logger *slog.Logger
}

// startLocal starts an instance and returns when it answers. Close ends it.
func startLocal(ctx context.Context, o localOptions) (*local, error) {
	password := rand.Text()
	cfg, err := app.Load(map[string]string{
		"data-dir": o.Dir, "listen": o.Listen, "durability": "relaxed", "engines": "quickjs,otto", "litestream-config": "off", "mdns": "false",
		"owner-username": "local", "owner-password": password,
	}, func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, err
	}
	serving := make(chan net.Addr, 1)
	cfg.Logger = o.Logger
	cfg.Serving = func(addr net.Addr) { serving <- addr }
	ctx, stop := context.WithCancel(ctx)
	l := &local{app: o.App, ended: make(chan error, 1), stop: stop}
	a, err := app.New(ctx, cfg)
	if err != nil {
		stop()
		return nil, err
	}
	go func() { l.ended <- a.Run(ctx) }()
	select {
	case addr := <-serving:
		l.client = &client{base: "http://" + addr.String()}
	case err := <-l.ended:
		stop()
		return nil, err
	}
	if err := l.prepare(ctx, password); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// prepare logs in, and makes the project's app the only one, so that it has every host.
func (l *local) prepare(ctx context.Context, password string) error {
	in := object{"username": "local", "password": password}
	if err := l.call(ctx, http.MethodPost, "/auth/login", in, nil); err != nil {
		return fmt.Errorf("log in to the instance that was just started: %w", err)
	}
	return l.empty(ctx)
}

// empty makes the project's app anew, without anything in it.
func (l *local) empty(ctx context.Context) error {
	var apps struct {
		Items []struct {
			Slug string `json:"slug"`
		} `json:"items"`
	}
	if err := l.call(ctx, http.MethodGet, "/apps", nil, &apps); err != nil {
		return err
	}
	for _, a := range apps.Items {
		if err := l.call(ctx, http.MethodDelete, segments("apps", a.Slug)+"?cascade=true", nil, nil); err != nil {
			return err
		}
	}
	return l.call(ctx, http.MethodPost, "/apps", object{"slug": l.app}, nil)
}

// Close stops the instance and waits for its end.
func (l *local) Close() error {
	l.stop()
	return <-l.ended
}
