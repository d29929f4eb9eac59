package cli

import (
	"bufio"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"picloud/app/cloud"
)

// verify makes sure that the file is the one meant, and made for this machine. Both are
// found out without running it.
func (u *upgrade) verify() error {
	if strings.HasSuffix(u.file, ".deb") {
		return cloud.Errorf(cloud.Invalid, "%s is a Debian package: install it with apt install ./%s", u.file, filepath.Base(u.file))
	}
	if !u.trust {
		if err := u.checksum(); err != nil {
			return err
		}
	}
	info, err := buildinfo.ReadFile(u.file)
	if errors.Is(err, os.ErrNotExist) {
		return cloud.Errorf(cloud.NotFound, "there is no file %s", u.file)
	} else if err != nil || info.Main.Path != "picloud" {
		return cloud.Errorf(cloud.Invalid, "%s is not PiCloud: give the program of a release, such as picloud_linux_%s", u.file, runtime.GOARCH)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if got, want := settings["GOOS"]+"/"+settings["GOARCH"], runtime.GOOS+"/"+runtime.GOARCH; got != want {
		return cloud.Errorf(cloud.Invalid, "%s is made for %s, and this is %s", u.file, got, want)
	}
	return nil
}

func (u *upgrade) checksum() error {
	want := strings.ToLower(u.sum)
	if want == "" {
		sums := u.sums
		if sums == "" {
			sums = filepath.Join(filepath.Dir(u.file), "SHA256SUMS")
		}
		f, err := os.Open(sums)
		if err != nil {
			return fmt.Errorf("%w: the file with the checksums of the release belongs beside the program; --sums names another, --no-checksum goes without", err)
		}
		defer f.Close()
		if want, err = sumOf(f, filepath.Base(u.file)); err != nil {
			return fmt.Errorf("%s: %w", sums, err)
		}
	}
	f, err := os.Open(u.file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return cloud.Errorf(cloud.Invalid, "%s is damaged or was changed (its SHA-256 is %s, not %s): get it again", u.file, got, want)
	}
	return nil
}

// sumOf finds the checksum of a file in the output of sha256sum.
func sumOf(sums io.Reader, name string) (string, error) {
	lines := bufio.NewScanner(io.LimitReader(sums, 1<<20))
	for lines.Scan() {
		sum, file, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.TrimPrefix(strings.TrimPrefix(file, " "), "*") != name {
			continue
		}
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
			return "", cloud.Errorf(cloud.Invalid, "the checksum of %s is no SHA-256", name)
		}
		return strings.ToLower(sum), nil
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", cloud.Errorf(cloud.Invalid, "no checksum of %s: these are not the files of one release", name)
}

// stage copies the file into a folder beside the installed program: on its file system,
// where a rename is one step, with its name and mode. The caller removes the folder.
func (u *upgrade) stage() (dir, staged string, err error) {
	info, err := os.Stat(u.target)
	if err != nil {
		return "", "", err
	}
	if dir, err = os.MkdirTemp(filepath.Dir(u.target), ".upgrade-"); err != nil {
		return "", "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the owner of the data runs it
		return dir, "", err
	}
	staged = filepath.Join(dir, filepath.Base(u.target))
	return dir, staged, copyFile(u.file, staged, info.Mode().Perm())
}

// copyFile copies a file and waits until it is on the disk.
func copyFile(from, to string, mode os.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			os.Remove(to)
		}
	}()
	if err := out.Chmod(mode); err != nil { // whatever the umask
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

// packaged reports whether dpkg put the program there.
func packaged(program string) bool {
	list, err := os.ReadFile("/var/lib/dpkg/info/picloud.list")
	return err == nil && strings.Contains("\n"+string(list), "\n"+program+"\n")
}
