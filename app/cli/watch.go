package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"picloud/app/project"
)

// settleTime is how long after a change another one counts with it: editors write a file in
// several steps.
const settleTime = 15 * time.Millisecond

// watcher tells when files of a project change. It watches directories, because editors
// replace files.
type watcher struct {
	*fsnotify.Watcher
	known map[string]bool // directories
	skip  string          // a directory that changes by itself, "" for none
}

func newWatcher() (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	return &watcher{Watcher: w, known: map[string]bool{}}, nil
}

// add watches the project's directory with those below it, and those of what its functions
// were made of.
func (w *watcher) add(dir string, bundles []*project.Bundle) error {
	dirs := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil // what went while it was looked at is of no interest
		case path != dir && (ignored(d.Name()) || path == w.skip):
			return filepath.SkipDir
		}
		dirs[path] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("watch files: %w", err)
	}
	for _, b := range bundles {
		for _, input := range b.Inputs {
			dirs[filepath.Dir(filepath.Join(dir, filepath.FromSlash(input)))] = true
		}
	}
	for d := range dirs {
		if w.known[d] {
			continue
		}
		if err := w.Add(d); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("watch %s (too many directories may be watched already): %w", d, err)
		}
		w.known[d] = true
	}
	return nil
}

func ignored(name string) bool { return name == "node_modules" || strings.HasPrefix(name, ".") }

// wait returns after a change, or when ctx ends.
func (w *watcher) wait(ctx context.Context) error {
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-settled:
			return nil
		case err := <-w.Errors:
			if err != nil {
				return fmt.Errorf("watch files: %w", err)
			}
			return nil
		case ev := <-w.Events:
			if ev.Op == fsnotify.Chmod {
				continue
			}
			if ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename) {
				delete(w.known, ev.Name)
			}
			settled = time.After(settleTime)
		}
	}
}
