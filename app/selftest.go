package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
)

// SelfTest is what this binary found when it tried itself.
type SelfTest struct {
	Apps, Scripts int // of the copy, compiled by this binary; 0 without one
	Schema        int // version that the copy has now
}

// RunSelfTest finds out whether this binary would work here. dir may hold a COPY of an
// instance's picloud.db: it is migrated and checked, and every script in it compiled; nothing
// of it is run, so no event has a consequence. A fresh instance beside it then answers a
// request over HTTP. The settings of the machine play no part.
func RunSelfTest(ctx context.Context, dir string) (SelfTest, error) {
	var s SelfTest
	if _, err := os.Stat(filepath.Join(dir, "picloud.db")); err == nil {
		if err := s.onCopy(ctx, dir); err != nil {
			return s, fmt.Errorf("with a copy of the database: %w", err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	fresh, err := os.MkdirTemp(dir, "fresh-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(fresh)
	if err := answers(ctx, fresh); err != nil {
		return s, fmt.Errorf("as a fresh instance: %w", err)
	}
	return s, nil
}

// testConfig is the default configuration but for what reaches out of dir.
func testConfig(dir string) (*Config, error) {
	c, err := Load(map[string]string{
		"data-dir": dir, "listen": "127.0.0.1:0", "durability": string(db.Relaxed),
		"engines":           cloud.EngineQuickJS + "," + cloud.EngineOtto, // what a script needs is not the question here
		"litestream-config": "off", "mdns": "false",
	}, func(string) (string, bool) { return "", false })
	if err == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, err
}

// onCopy opens the copy as a start would, without running it.
func (s *SelfTest) onCopy(ctx context.Context, dir string) (err error) {
	cfg, err := testConfig(dir)
	if err != nil {
		return err
	}
	a, err := New(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	s.Schema = BuildVersion().Schema
	if err := a.state.IntegrityCheck(ctx); err != nil {
		return err
	}
	for page := (cloud.Page{Limit: cloud.MaxPage}); ; {
		apps, next, err := a.control.Apps(ctx, nil, page)
		if err != nil {
			return err
		}
		for _, app := range apps {
			if err := s.compile(ctx, a, app); err != nil {
				return err
			}
		}
		s.Apps += len(apps)
		if page.Cursor = next; next == "" {
			return nil
		}
	}
}

// compile compiles all scripts of an app. Their limits are left out: what they may be is a
// setting of the instance.
func (s *SelfTest) compile(ctx context.Context, a *App, app *cloud.App) error {
	for page := (cloud.Page{Limit: cloud.MaxPage}); ; {
		scripts, next, err := a.control.Scripts(ctx, app.ID, page)
		if err != nil {
			return err
		}
		for _, script := range scripts {
			script.Limits = cloud.Limits{}
			if err := a.executor.Check(ctx, script); err != nil {
				return fmt.Errorf("script %s of app %s: %w", script.Name, app.Slug, err)
			}
		}
		s.Scripts += len(scripts)
		if page.Cursor = next; next == "" {
			return nil
		}
	}
}

// answers runs a fresh instance in dir until it has answered a request.
func answers(ctx context.Context, dir string) (err error) {
	cfg, err := testConfig(dir)
	if err != nil {
		return err
	}
	a, err := New(ctx, cfg)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	run := start(ctx, func(ctx context.Context) error { return a.serve(ctx, ln) })
	defer func() { err = errors.Join(err, run.stop()) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ln.Addr().String()+"/hello", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "Hello") {
		return fmt.Errorf("GET /hello answers %d: %s", resp.StatusCode, body)
	}
	return nil
}

// CopyDatabase writes a consistent, compact copy of the picloud.db in dir to dst, while an
// instance may be using it. It needs as much room as the database at most.
func CopyDatabase(ctx context.Context, dir, dst string) error {
	return db.Copy(ctx, filepath.Join(dir, "picloud.db"), dst)
}
