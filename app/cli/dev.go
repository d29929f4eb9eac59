package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"picloud/app/project"
)

func devCommand() *cobra.Command {
	c := projectCommand("dev", "Run a project on an instance of its own, and deploy it again at every save", runDev)
	c.Long = c.Short + ".\nThe instance lives in a temporary directory and is gone when you stop it (Ctrl-C), unless --data-dir. Executions are\n" +
		"printed as they finish; what is wrong with a source is shown in its lines, and the last good state stays in force."
	c.Flags().Int("port", 8787, "port to listen on, on this computer alone; 0 for any that is free")
	c.Flags().String("data-dir", "", "keep the data in this folder")
	return c
}

func runDev(cmd *cobra.Command, p *project.Project) error {
	dir, _ := cmd.Flags().GetString("data-dir")
	port, _ := cmd.Flags().GetInt("port")
	if dir == "" {
		made, err := os.MkdirTemp("", "picloud-dev-")
		if err != nil {
			return fmt.Errorf("make a directory for the data: %w", err)
		}
		defer os.RemoveAll(made)
		dir = made
	}
	w, err := newWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if w.skip, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("find the data: %w", err)
	}
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	l, err := startLocal(cmd.Context(), localOptions{Dir: dir, Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), App: p.App, Logger: logger})
	if err != nil {
		return err
	}
	d := &dev{local: l, dir: p.Dir, watcher: w, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	fmt.Fprintf(d.out, "%s runs at %s\n", p.App, l.base)
	ctx, stop := context.WithCancel(cmd.Context())
	followed := make(chan error, 1)
	go func() { followed <- d.follow(ctx, cmd) }()
	err = d.watch(ctx)
	stop()
	return errors.Join(err, <-followed, l.Close())
}

// dev is a project that is deployed again whenever it changes.
type dev struct {
	*local
	dir      string
	watcher  *watcher
	out, err io.Writer

	mu      sync.Mutex        // guards bundles
	bundles []*project.Bundle // as deployed last
}

// follow prints executions until ctx ends.
func (d *dev) follow(ctx context.Context, cmd *cobra.Command) error {
	cmd.SetContext(ctx)
	r := &remote{client: d.client, cmd: cmd}
	path := segments("apps", d.app, "executions")
	fromNow := url.Values{"since": {time.Now().UTC().Format(time.RFC3339)}}
	return r.follow(path, fromNow, &logPrinter{remote: r, scripts: segments("apps", d.app, "scripts"), place: d.place})
}

// place shows a stack in the lines of the project's files.
func (d *dev) place(script, stack string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.bundles, func(b *project.Bundle) bool { return b.Name == script })
	if i < 0 {
		return stack
	}
	trace, frame := d.bundles[i].Trace(stack)
	return trace + "\n" + frame
}

// watch deploys the project now and after every change, until ctx ends.
func (d *dev) watch(ctx context.Context) error {
	d.reload(ctx)
	for {
		if err := d.watcher.wait(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		d.reload(ctx)
	}
}

// reload deploys the project as it is now. What is wrong with it is said, and the state
// before stays in force.
func (d *dev) reload(ctx context.Context) {
	began := time.Now()
	out, err := d.deploy(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		fmt.Fprintf(d.err, "picloud: %v\n", err)
	case len(out.Changes) > 0:
		out.show(d.out)
		fmt.Fprintf(d.out, "deployed in %d ms\n", time.Since(began).Milliseconds())
	}
}

func (d *dev) deploy(ctx context.Context) (*outcome, error) {
	p, err := project.Open(d.dir)
	if err != nil {
		return nil, errors.Join(err, d.watcher.add(d.dir, nil))
	}
	bundles, err := build(p, d.err)
	if err := errors.Join(err, d.watcher.add(d.dir, bundles)); err != nil {
		return nil, err
	}
	// What fails in the new state must not be shown in the lines of the old one.
	d.mu.Lock()
	defer d.mu.Unlock()
	var out outcome
	if err := d.call(ctx, http.MethodPost, segments("apps", d.app, "deploy"), payload(bundles, true, ""), &out); err != nil {
		return nil, named(err, bundles)
	}
	d.bundles = bundles
	return &out, nil
}
