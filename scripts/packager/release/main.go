// Command packager finishes a release: it makes Debian packages from the binaries in a
// folder, writes down what is in them (SBOM, CycloneDX), and gathers the licences of all of
// it. It is a module of its own, so that none of its dependencies are the product's.
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// release is what is packaged: binaries of one version in one folder.
type release struct {
	dist, source, version string
	at                    time.Time // of every file in it
	info                  *buildinfo.BuildInfo
}

// targets maps the architectures of Debian to binaries. armhf gets the one for ARMv6, as
// Raspberry Pi OS means by armhf.
var targets = []struct{ debian, binary string }{
	{"amd64", "picloud_linux_amd64"},
	{"arm64", "picloud_linux_arm64"},
	{"armhf", "picloud_linux_armv6"},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("packager: ")
	var r release
	var epoch int64
	flag.StringVar(&r.dist, "dist", "", "folder with the binaries, where the results go")
	flag.StringVar(&r.source, "source", "", "folder with the source")
	flag.StringVar(&r.version, "version", "", "version of the release, such as 1.2.3")
	flag.Int64Var(&epoch, "epoch", 0, "time of the release, in Unix seconds")
	flag.Parse()
	r.at = time.Unix(epoch, 0).UTC()
	if err := r.run(); err != nil {
		log.Fatal(err)
	}
}

func (r *release) run() error {
	if err := r.readInfo(); err != nil {
		return err
	}
	if err := r.writeSBOM(); err != nil {
		return fmt.Errorf("write the SBOM: %w", err)
	}
	if err := r.writeLicences(); err != nil {
		return fmt.Errorf("gather the licences: %w", err)
	}
	if err := r.writeImageData(); err != nil {
		return err
	}
	for _, t := range targets {
		if err := r.writeDeb(t.debian, t.binary); err != nil {
			return fmt.Errorf("package for %s: %w", t.debian, err)
		}
	}
	return nil
}

// readInfo reads what Go noted in the binaries, which must all be made of the same modules.
func (r *release) readInfo() error {
	names, err := filepath.Glob(filepath.Join(r.dist, "picloud_linux_*"))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("no binaries in %s: %w", r.dist, err)
	}
	var first string
	for _, name := range names {
		info, err := buildinfo.ReadFile(name)
		if err != nil {
			return err
		}
		var deps []string
		for _, d := range info.Deps {
			deps = append(deps, d.Path+"@"+d.Version+" "+d.Sum)
		}
		slices.Sort(deps)
		if all := strings.Join(deps, "\n"); first == "" {
			first, r.info = all, info
		} else if all != first {
			return fmt.Errorf("%s is made of other modules than %s", name, names[0])
		}
	}
	return nil
}

// writeImageData makes the folder that becomes /data in the container image.
func (r *release) writeImageData() error {
	dir := filepath.Join(r.dist, "data")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text := "# Settings of this instance: `picloud config` lists them.\n"
	return os.WriteFile(filepath.Join(dir, "picloud.toml"), []byte(text), 0o644)
}
