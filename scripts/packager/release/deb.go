package main

import (
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// writeDeb packages one binary.
func (r *release) writeDeb(arch, binary string) error {
	in := func(name string) string { return filepath.Join(r.source, "scripts", "package", name) }
	file := func(from, to string, mode os.FileMode) *files.Content {
		return &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.at}}
	}
	settings := file(in("picloud.env"), "/etc/picloud/picloud.env", 0o640)
	settings.Type = files.TypeConfigNoReplace
	folder := file("", "/etc/picloud", 0o750)
	folder.Type = files.TypeDir
	contents := files.Contents{
		file(filepath.Join(r.dist, binary), "/usr/bin/picloud", 0o755),
		file(in("picloud.service"), "/lib/systemd/system/picloud.service", 0o644),
		file(filepath.Join(r.source, "README.md"), "/usr/share/doc/picloud/README.md", 0o644),
		file(filepath.Join(r.source, "CHANGELOG.md"), "/usr/share/doc/picloud/changelog.md", 0o644),
		file(filepath.Join(r.dist, licences), "/usr/share/doc/picloud/copyright", 0o644),
		file(filepath.Join(r.dist, sbom), "/usr/share/doc/picloud/"+sbom, 0o644),
		folder, settings,
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "picloud", Arch: arch, Platform: "linux", Version: r.version, MTime: r.at,
		Section: "net", Priority: "optional", License: "MIT or Apache-2.0",
		Maintainer: "PiCloud <root@localhost>",
		Description: "cloud of your own on one small computer\n" +
			"JavaScript functions behind HTTP routes, a key-value store, events that fire\n" +
			"functions, retries and a dashboard, from one binary and one SQLite file.",
		Overridables: nfpm.Overridables{
			Contents: contents,
			Depends:  []string{"init-system-helpers", "passwd"},
			Scripts:  nfpm.Scripts{PostInstall: in("postinst"), PreRemove: in("prerm"), PostRemove: in("postrm")},
		},
	})
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(r.dist, deb.Default.ConventionalFileName(info)))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := deb.Default.Package(info, out); err != nil {
		return err
	}
	return out.Close()
}
