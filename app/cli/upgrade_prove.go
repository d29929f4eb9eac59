package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"picloud/app"
	"picloud/app/cloud"
	"picloud/durable"
)

// selfTestTime bounds what the new program may take to prove itself: a large database on a
// slow card is read twice.
const selfTestTime = 30 * time.Minute

// spare is the room that must be left on the disk beside the copies, in bytes.
const spare = 32 << 20

// selfTestCommand is what an upgrade asks of the new program.
func selfTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "selftest DIR",
		Short:  "Try this program on a copy of a database",
		Long:   "Tries this program in DIR, which may hold a copy of a picloud.db: the copy is migrated, checked, and its\nscripts compiled. Nothing in it is run. `picloud upgrade` does this before it swaps programs.",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := app.RunSelfTest(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "apps: %d, scripts: %d, database version: %d\n", s.Apps, s.Scripts, s.Schema)
			return err
		},
	}
}

// prove copies the database, and has the new program try itself on a copy of the copy. The
// first one stays as picloud.db.before-upgrade.
func (u *upgrade) prove(ctx context.Context, staged string) error {
	ctx, cancel := context.WithTimeout(ctx, selfTestTime)
	defer cancel()
	dir, err := os.MkdirTemp(u.dataDir, "upgrade-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := u.give(dir); err != nil {
		return err
	}
	if u.dataDir == "" {
		u.say("there is no data to try it on: a fresh instance must do")
		return u.selfTest(ctx, staged, dir)
	}
	if err := u.room(); err != nil {
		return err
	}
	kept := filepath.Join(dir, "kept")
	if err := app.CopyDatabase(ctx, u.dataDir, kept); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	trial := filepath.Join(dir, "picloud.db")
	if err := copyFile(kept, trial, 0o600); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	if err := u.give(kept, trial); err != nil {
		return err
	}
	if err := u.selfTest(ctx, staged, dir); err != nil {
		return err
	}
	if _, err := u.execute(ctx, staged, u.dataDir, "config", "--data-dir", u.dataDir); err != nil {
		return fmt.Errorf("the new program does not take the settings in %s: %w", app.FileName, err)
	}
	copied := filepath.Join(u.dataDir, "picloud.db.before-upgrade")
	if err := os.Rename(kept, copied); err != nil {
		return err
	}
	u.say("the database as it is now: %s", copied)
	return durable.Sync(u.dataDir)
}

// selfTest has the new program try itself in dir.
func (u *upgrade) selfTest(ctx context.Context, staged, dir string) error {
	found, err := u.execute(ctx, staged, dir, "selftest", dir)
	if err != nil {
		return fmt.Errorf("the self-test of the new program failed: %w", err)
	}
	u.say("self-test passed: %s", found)
	return nil
}

// room makes sure that two copies of the database fit on its disk.
func (u *upgrade) room() error {
	var need int64 = spare
	for _, name := range []string{"picloud.db", "picloud.db-wal"} {
		info, err := os.Stat(filepath.Join(u.dataDir, name))
		if err == nil {
			need += 2 * info.Size()
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(u.dataDir, &disk); err != nil {
		return fmt.Errorf("ask for the free disk space: %w", err)
	}
	if free := int64(disk.Bavail) * int64(disk.Bsize); free < need {
		return cloud.Errorf(cloud.Conflict, "two copies of the database need %s, and %s are free on the disk of %s: make room first", size(need), size(free), u.dataDir)
	}
	return nil
}

// execute runs a program in dir and returns what it says on one line. It gets nothing of our
// environment, and for root runs as the owner of the data: it has proved nothing yet.
func (u *upgrade) execute(ctx context.Context, program, dir string, args ...string) (string, error) {
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if uid, gid, ok := u.owner(); ok {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	if err := cmd.Run(); err != nil {
		if said := strings.TrimPrefix(strings.TrimSpace(complaint.String()), "picloud: "); said != "" {
			return "", errors.New(said)
		}
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

// owner is who owns the data, when we are root and it isn't.
func (u *upgrade) owner() (uid, gid uint32, ok bool) {
	if os.Geteuid() != 0 || u.dataDir == "" {
		return 0, 0, false
	}
	var s unix.Stat_t
	if err := unix.Stat(filepath.Join(u.dataDir, "picloud.db"), &s); err != nil || s.Uid == 0 {
		return 0, 0, false
	}
	return s.Uid, s.Gid, true
}

// give hands files to the owner of the data.
func (u *upgrade) give(names ...string) error {
	uid, gid, ok := u.owner()
	if !ok {
		return nil
	}
	for _, name := range names {
		if err := os.Lchown(name, int(uid), int(gid)); err != nil {
			return err
		}
	}
	return nil
}
