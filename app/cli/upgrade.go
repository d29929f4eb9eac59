package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"picloud/app"
	"picloud/app/cloud"
	"picloud/durable"
)

// systemDataDir is where the installed service keeps its data.
const systemDataDir = "/var/lib/picloud"

// previous is the ending of the binary that an upgrade took the place of.
const previous = ".previous"

// upgrade puts another binary in the place of an installed one.
type upgrade struct {
	file    string // the other binary
	target  string // the installed one
	dataDir string // "" without data
	sums    string // file like SHA256SUMS; "": the one beside file
	sum     string // SHA-256 of file, instead of sums
	trust   bool   // no checksum at all
	out     io.Writer
}

func upgradeCommand() *cobra.Command {
	u := &upgrade{}
	var revert bool
	c := &cobra.Command{
		Use:   "upgrade FILE",
		Short: "Put another version of the program in place, after it proved itself",
		Long: "Puts the program FILE in the place of the installed one. Before that its checksum is compared with\n" +
			"SHA256SUMS beside it, it must be made for this machine and run, the database is copied, and the new\n" +
			"program must migrate and check a second copy, compile every script in it and answer a request. Whatever\n" +
			"fails leaves the installed program as it is. The instance may run meanwhile: the new version works after\n" +
			"its next start.\n\n" +
			"The program before stays beside the new one (" + previous + "), the copy of the database beside the database\n" +
			"(picloud.db.before-upgrade). --revert puts the program before back.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == revert {
				return usageError{errors.New("give either FILE or --revert")}
			}
			u.out = cmd.OutOrStdout()
			if err := u.where(); err != nil {
				return err
			}
			if u.file = u.target + previous; revert {
				u.trust = true
			} else {
				u.file = args[0]
			}
			return u.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&u.target, "binary", "", "the installed program (default: the one that runs this)")
	f.StringVar(&u.dataDir, "data-dir", "", "data directory of the instance (default: PICLOUD_DATA_DIR, ./data, or "+systemDataDir+")")
	f.StringVar(&u.sums, "sums", "", "file with checksums (default: SHA256SUMS beside FILE)")
	f.StringVar(&u.sum, "sha256", "", "checksum of FILE, instead of a file with checksums")
	f.BoolVar(&u.trust, "no-checksum", false, "use FILE as it is, for one that was built here")
	f.BoolVar(&revert, "revert", false, "put back the program that the last upgrade took the place of")
	return c
}

// where finds the installed program and its data.
func (u *upgrade) where() (err error) {
	if u.target == "" {
		if u.target, err = os.Executable(); err != nil {
			return fmt.Errorf("find the installed program: %w", err)
		}
	}
	if u.target, err = filepath.EvalSymlinks(u.target); err != nil {
		return err
	}
	if packaged(u.target) {
		return cloud.Errorf(cloud.Conflict, "%s came with a Debian package: upgrade it with apt install ./picloud_VERSION_ARCH.deb", u.target)
	}
	return u.findData()
}

// findData finds the data directory: the one that was named, or the first that has data.
func (u *upgrade) findData() error {
	named := u.dataDir
	if named == "" {
		named = os.Getenv(app.Settings[0].Env())
	}
	dirs := []string{named}
	if named == "" {
		dirs = []string{app.Settings[0].Default, systemDataDir}
	}
	u.dataDir = ""
	for _, dir := range dirs {
		_, err := os.Stat(filepath.Join(dir, "picloud.db"))
		if err == nil {
			u.dataDir = dir
			return nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: work as root, or name the data directory with --data-dir", err)
		}
	}
	if named != "" {
		return cloud.Errorf(cloud.NotFound, "there is no picloud.db in %s: name the data directory of the instance", named)
	}
	return nil
}

// run does it all, or leaves the installed program as it was.
func (u *upgrade) run(ctx context.Context) error {
	if err := u.verify(); err != nil {
		return err
	}
	dir, staged, err := u.stage()
	defer os.RemoveAll(dir)
	if err != nil {
		return fmt.Errorf("put the new program beside the installed one: %w", err)
	}
	version, err := u.execute(ctx, staged, "/", "version")
	if err != nil {
		return fmt.Errorf("the new program does not run here: %w", err)
	}
	u.say("%s: its checksum and architecture are right, and it runs", version)
	if err := u.prove(ctx, staged); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if err := u.swap(ctx, staged, version); err != nil {
		return err
	}
	u.say("%s is the new program; the one before is %s", u.target, u.target+previous)
	u.say("%s", u.howToRestart())
	return nil
}

func (u *upgrade) say(format string, args ...any) { fmt.Fprintf(u.out, format+"\n", args...) }

// howToRestart says what makes the new program work.
func (u *upgrade) howToRestart() string {
	if u.dataDir == systemDataDir {
		return "The new version works after: systemctl restart picloud"
	}
	return "The new version works once the instance was stopped and started again."
}

// swap makes staged the installed program in one step, and takes that back if it does not
// run from there.
func (u *upgrade) swap(ctx context.Context, staged, version string) error {
	before := u.target + previous + ".part"
	if err := os.Remove(before); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Link(u.target, before); err != nil {
		if err := copyFile(u.target, before, 0o755); err != nil { // a file system without links
			return fmt.Errorf("keep the program before: %w", err)
		}
	}
	defer os.Remove(before)
	if err := os.Rename(staged, u.target); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	got, err := u.execute(ctx, u.target, "/", "version")
	if err == nil && got != version {
		err = fmt.Errorf("it says %q", got)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("in its place the new program does not run: %w", err), os.Rename(before, u.target))
	}
	if err := os.Rename(before, u.target+previous); err != nil {
		return err
	}
	return durable.Sync(filepath.Dir(u.target))
}
