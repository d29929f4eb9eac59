package sdk

import (
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/robertkrimen/otto"
	"modernc.org/quickjs"

	"picloud/app/cloud"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s is out of date: look at what changed, then run go test ./app/sdk -update", path)
	}
}

// surface is everything a script can reach, one name a line, as a script finds it.
func surface(t *testing.T) []string {
	t.Helper()
	names := func(e engine) map[string]bool {
		text, err := e.eval(`Object.getOwnPropertyNames(this).join(" ")`)
		must(t, err)
		all := map[string]bool{}
		for name := range strings.FieldsSeq(text) {
			all[name] = true
		}
		return all
	}
	bare, e := names(ottoEngine{otto.New()}), ottoEngine{otto.New()}
	delete(bare, "console") // otto brings one of its own
	s := newSandbox(t, e, false)
	added := names(e)
	maps.DeleteFunc(added, func(name string, _ bool) bool { return bare[name] || strings.HasSuffix(name, "ForTest") })

	inv := publicCall()
	inv.Principal = &cloud.Principal{User: id(9), Username: "ada", Role: cloud.Owner}
	inv.Request = &cloud.Request{IsBase64: true}
	inv.Event, inv.Args = []byte(`{}`), []byte(`{}`)
	s.begin(inv)
	var lines []string
	for name := range added {
		lines = append(lines, name)
		lines = append(lines, members(s, name, name)...)
	}
	lines = append(lines, members(s, `kv.collection("x")`, "KvCollection")...)
	lines = append(lines, members(s, `Object.getPrototypeOf(kv.collection("x"))`, "KvCollection")...)
	lines = append(lines, members(s, `new HttpError(404, 1)`, "HttpError")...)
	for _, part := range []string{"ctx", "ctx.app", "ctx.script", "ctx.principal", "ctx.request"} {
		lines = append(lines, members(s, part, part)...)
	}
	lines = append(lines, modernSurface(t)...)
	slices.Sort(lines)
	return slices.Compact(lines)
}

// modernSurface is what only modern engines have.
func modernSurface(t *testing.T) []string {
	t.Helper()
	vm, err := quickjs.NewVM()
	must(t, err)
	t.Cleanup(func() { _ = vm.Close() })
	e := quickEngine{vm}
	_, err = e.eval("var modernForTest = (" + strings.TrimRight(strings.TrimSpace(withoutHead(Modern)), ";") + ")")
	must(t, err)
	s := newSandbox(t, e, false)
	var lines []string
	for _, name := range modernGlobals() {
		lines = append(lines, name)
		text := s.value(`var c = ` + name + `, all = []; if (/^class/.test(c)) {
			for (var x of [c, c.prototype]) { all = all.concat(Object.getOwnPropertyNames(x)); }
			var base = Object.getPrototypeOf(c.prototype); // Body is no global
			if (base.constructor.name === "Body") { all = all.concat(Object.getOwnPropertyNames(base)); }
		} return all.join(" ")`)
		for member := range strings.FieldsSeq(strings.Trim(text, `"`)) {
			if !slices.Contains([]string{"length", "name", "prototype", "constructor"}, member) || name == "File" && member == "name" || name == "DOMException" && member == "name" {
				lines = append(lines, name+"."+member)
			}
		}
	}
	return lines
}

func members(s *sandbox, expression, prefix string) []string {
	s.t.Helper()
	text := s.value(`return Object.keys(` + expression + `).join(" ")`)
	var lines []string
	for name := range strings.FieldsSeq(strings.Trim(text, `"`)) {
		lines = append(lines, prefix+"."+name)
	}
	return lines
}

func TestSurface(t *testing.T) {
	t.Parallel()
	golden(t, "surface.txt", strings.Join(surface(t), "\n")+"\n")
}

func TestTypesGolden(t *testing.T) {
	t.Parallel()
	golden(t, "picloud.d.ts", Types)
}

var (
	blockStart = regexp.MustCompile(`^(?:declare (?:const|class) (\w+)|interface (\w+)).*\{$`)
	function   = regexp.MustCompile(`^declare function (\w+)`)
	member     = regexp.MustCompile(`^  (?:static )?(?:readonly )?(\w+)\??[(<:]`)
	nested     = regexp.MustCompile(`^  (app|script|principal): .*?\{ (.*) \};$`)
	field      = regexp.MustCompile(`(\w+): `)
)

// declared is what picloud.d.ts says of the names that the surface has.
func declared() []string {
	prefixes := map[string]string{"Context": "ctx", "HttpRequest": "ctx.request", "KvCollection": "KvCollection", "HttpError": "HttpError", "Body": "Body"}
	var lines []string
	prefix := ""
	for line := range strings.Lines(Types) {
		line = strings.TrimRight(line, "\n")
		switch m := blockStart.FindStringSubmatch(line); {
		case m != nil && strings.HasPrefix(line, "declare const"):
			prefix = m[1]
			lines = append(lines, prefix)
		case m != nil:
			prefix = prefixes[m[1]+m[2]]
			if m[1] != "" {
				lines = append(lines, m[1])
				prefix = m[1]
			}
		case strings.HasPrefix(line, "}"):
			prefix = ""
		}
		if m := function.FindStringSubmatch(line); m != nil {
			lines = append(lines, m[1])
		}
		if m := member.FindStringSubmatch(line); m != nil && prefix != "" && m[1] != "constructor" && m[1] != "private" {
			lines = append(lines, prefix+"."+m[1])
		}
		if m := nested.FindStringSubmatch(line); m != nil && prefix == "ctx" {
			for _, f := range field.FindAllStringSubmatch(m[2], -1) {
				lines = append(lines, "ctx."+m[1]+"."+f[1])
			}
		}
	}
	for _, line := range lines {
		if member, ok := strings.CutPrefix(line, "Body."); ok {
			lines = append(lines, "Request."+member, "Response."+member)
		}
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Body.") })
	slices.Sort(lines)
	return slices.Compact(lines)
}

func TestTypesAreInStepWithSurface(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/surface.txt")
	must(t, err)
	have, said := strings.Fields(string(text)), declared()
	for _, name := range have {
		if !slices.Contains(said, name) {
			t.Errorf("%s is there, but picloud.d.ts doesn't declare it", name)
		}
	}
	for _, name := range said {
		if !slices.Contains(have, name) {
			t.Errorf("picloud.d.ts declares %s, but it isn't there", name)
		}
	}
}

func TestModulesNameTheirFunctions(t *testing.T) {
	t.Parallel()
	for _, m := range Modules {
		for op := range m.Funcs {
			if !strings.HasPrefix(op, m.Name+".") {
				t.Errorf("module %s has the function %s", m.Name, op)
			}
		}
		if m.Types == "" {
			t.Errorf("module %s declares no types", m.Name)
		}
	}
}

// tsc is a TypeScript compiler: the one that PICLOUD_TSC names, the one on the PATH, or one
// that npm installs into the user's cache.
func tsc(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PICLOUD_TSC"); path != "" {
		return path
	}
	if path, err := exec.LookPath("tsc"); err == nil {
		return path
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("neither tsc nor npm is here: set PICLOUD_TSC to a tsc")
	}
	cache, err := os.UserCacheDir()
	must(t, err)
	dir := filepath.Join(cache, "picloud", "typescript-5.9.3")
	path := filepath.Join(dir, "node_modules", ".bin", "tsc")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if out, err := exec.CommandContext(t.Context(), npm, "install", "--prefix", dir, "--no-audit", "--no-fund", "--silent", "typescript@5.9.3").CombinedOutput(); err != nil {
		t.Skipf("npm can't install typescript: %v\n%s", err, out)
	}
	return path
}

func TestTypesWithCompiler(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a compiler")
	}
	t.Parallel()
	compiler := tsc(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "picloud.d.ts"), []byte(Types), 0o644))
	samples, err := filepath.Glob("testdata/types/*")
	must(t, err)
	if len(samples) == 0 {
		t.Fatal("no sample scripts in testdata/types")
	}
	args := []string{"--noEmit", "--strict", "--allowJs", "--checkJs", "--noImplicitAny", "false", "--target", "es2023", "--lib", "es2023",
		"--typeRoots", dir, "--module", "es2022", "--moduleDetection", "force", filepath.Join(dir, "picloud.d.ts")}
	out, err := exec.CommandContext(t.Context(), compiler, append(args, samples...)...).CombinedOutput()
	if err != nil {
		t.Errorf("the sample scripts don't check: %v\n%s", err, out)
	}
}
