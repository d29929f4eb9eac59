package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// sbom is the file that lists what the binaries are made of.
const sbom = "sbom.cdx.json"

// writeSBOM lists the modules that Go noted in the binaries: what is really in them, rather
// than what go.mod names.
func (r *release) writeSBOM() error {
	main := cdx.Component{
		BOMRef: purl("picloud", r.version), Type: cdx.ComponentTypeApplication, Name: "picloud", Version: r.version,
		Licenses: &cdx.Licenses{{Expression: "MIT OR Apache-2.0"}},
	}
	components := []cdx.Component{goComponent(r.info.GoVersion)}
	needs := []string{components[0].BOMRef}
	for _, d := range r.info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		ref := purl(d.Path, d.Version)
		c := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: d.Path, Version: d.Version, PackageURL: ref, Scope: cdx.ScopeRequired}
		if h, err := sum(d.Sum); err != nil {
			return fmt.Errorf("%s: %w", d.Path, err)
		} else if h != "" {
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: h}}
		}
		components, needs = append(components, c), append(needs, ref)
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	slices.Sort(needs)

	bom := cdx.NewBOM()
	bom.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, []byte(strings.Join(needs, "\n")+r.version)).String()
	bom.Metadata = &cdx.Metadata{Timestamp: r.at.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &needs}}
	out, err := os.Create(filepath.Join(r.dist, sbom))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return err
	}
	return out.Close()
}

func purl(module, version string) string {
	return "pkg:golang/" + module + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// goComponent is the standard library, which no list of modules has.
func goComponent(version string) cdx.Component {
	ref := purl("std", strings.TrimPrefix(version, "go"))
	return cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: "std", Version: version, PackageURL: ref, Scope: cdx.ScopeRequired}
}

// sum turns the h1: sum of a module into hexadecimal.
func sum(h1 string) (string, error) {
	if h1 == "" {
		return "", nil
	}
	text, ok := strings.CutPrefix(h1, "h1:")
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("the sum %q is not of the form that Go writes", h1)
	}
	return hex.EncodeToString(raw), nil
}
