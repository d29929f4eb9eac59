package project

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "picloud.json:1: it ends early"},
		{"cut off", "{\n\"app\":\n", "picloud.json:2: it ends early"},
		{"not JSON", "{\n  \"app\" \"x\"\n}", "picloud.json:2: "},
		{"no app", `{"functions":{}}`, "name the app"},
		{"unknown field", "{\n\n\"apps\": \"x\"\n\n}", `picloud.json:3: unknown field "apps"`},
		{"a wrong type", "{\n\"app\": 1}", "picloud.json:2: app: a number can't stand here"},
		{"a function that is none", `{"app":"x","functions":{"f":1}}`, "functions"},
		{"a null", `{"app":"x","functions":{"f":null}}`, "functions.f: want an object"},
		{"no name", `{"app":"x","functions":{"":{}}}`, "empty name"},
		{"a name that is given", `{"app":"x","functions":{"f":{"name":"g"}}}`, "functions.f.name: leave it out"},
		{"a source", `{"app":"x","functions":{"f":{"source":"1"}}}`, "functions.f.source: leave it out"},
		{"a file elsewhere", `{"app":"x","functions":{"f":{"file":"../f.js"}}}`, "functions.f.file: want a path below"},
		{"an absolute file", `{"app":"x","functions":{"f":{"file":"/etc/passwd"}}}`, "functions.f.file: want a path below"},
		{"more", `{"app":"x"} {}`, "more after the object"},
		{"good", `{"$schema":"s","app":"x","functions":{"b":{"file":"a/b.js","any":[1]},"a":{}}}`, ""},
	} {
		p, err := Parse([]byte(tt.in))
		if tt.want == "" {
			if err != nil || len(p.Functions) != 2 || p.Functions[1].File != "a/b.js" || string(p.Functions[1].Fields["any"]) != "[1]" {
				t.Errorf("%s: got %+v, %v", tt.name, p, err)
			}
			continue
		}
		if cloud.KindOf(err) != cloud.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want Invalid with %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"app":"x"}`, `{"app":"x","functions":{"f":{"file":"a.ts","routes":[{"path":"/"}]}}}`,
		`{"app":"x","functions":{"f":null}}`, `{"app":"x","functions":{"f":{"file":"../x"}}}`, "{\n\"app\": 1", `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse(raw)
		if err != nil {
			if cloud.KindOf(err) != cloud.Invalid || !strings.HasPrefix(err.Error(), FileName) {
				t.Errorf("got %v, want an Invalid error that names the file", err)
			}
			return
		}
		for _, f := range p.Functions {
			if f.Name == "" || f.File != "" && !filepath.IsLocal(filepath.FromSlash(f.File)) || f.Fields["source"] != nil || f.Fields["file"] != nil {
				t.Errorf("got the function %+v", f)
			}
		}
	})
}

// made writes files into a fresh directory and opens the project there.
func made(t *testing.T, files map[string]string) *Project {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBuild(t *testing.T) {
	t.Parallel()
	const plain = "// as it is\nexport default () => 1;\n"
	const es5 = "module.exports = function () { return 1 } // as it is"
	p := made(t, map[string]string{
		FileName:                        `{"app":"x","functions":{"plain":{},"typed":{},"user":{},"old":{"engine":"otto"},"common":{}}}`,
		"functions/plain.js":            plain,
		"functions/old.js":              es5,
		"functions/typed.ts":            "interface A { b: number }\n\nexport default (a: A): number => a.b;\n",
		"functions/user.js":             "import { n } from \"lib\";\nimport m from \"app:shared\";\nimport d from \"../data.json\";\nexport default () => [n, m, d.x];\n",
		"functions/common.js":           "const lib = require(\"lib\");\nmodule.exports = () => lib.n;\n",
		"data.json":                     `{"x":42}`,
		"node_modules/lib/package.json": `{"name":"lib","main":"main.js","module":"module.js"}`,
		"node_modules/lib/main.js":      "exports.n = 'from main';",
		"node_modules/lib/module.js":    "export const n = 'from module'; export const unused = 'unused';",
		"node_modules/lib/lib.test.js":  "",
		"tests/a.test.ts":               "",
		"tests/deep/b.test.js":          "",
		"tests/.test.js":                "",
		".hidden/c.test.js":             "",
	})
	bundles, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]*Bundle{}
	for _, b := range bundles {
		by[b.Name] = b
	}
	if by["plain"].Source != plain || by["old"].Source != es5 {
		t.Errorf("got %q and %q, want the files as they are", by["plain"].Source, by["old"].Source)
	}
	typed := by["typed"]
	if strings.Contains(typed.Source, "interface") {
		t.Errorf("got %s, want it without types", typed.Source)
	}
	line := 1 + strings.Count(typed.Source[:strings.Index(typed.Source, "a.b")], "\n")
	if file, l, _ := typed.Position(line, 40); file != "functions/typed.ts" || l != 3 {
		t.Errorf("line %d of\n%s\ncomes from %s:%d, want functions/typed.ts:3", line, typed.Source, file, l)
	}
	user := by["user"].Source
	if !strings.Contains(user, "from module") || !strings.Contains(user, "42") || !strings.Contains(user, `from "app:shared"`) || strings.Contains(user, "unused") {
		t.Errorf("got %s, want lib and data bundled, and app:shared left", user)
	}
	if want := []string{"data.json", "functions/user.js", "node_modules/lib/module.js"}; !slices.Equal(by["user"].Inputs, want) {
		t.Errorf("got inputs %v, want %v", by["user"].Inputs, want)
	}
	if !strings.Contains(by["common"].Source, "export default") {
		t.Errorf("got %s, want a CommonJS file as a module", by["common"].Source)
	}
	tests, err := p.Tests()
	if want := []string{"tests/a.test.ts", "tests/deep/b.test.js"}; err != nil || !slices.Equal(tests, want) {
		t.Errorf("got tests %v, %v, want %v", tests, err, want)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	p := made(t, map[string]string{
		FileName:         `{"app":"x","functions":{"a":{},"b":{}}}`,
		"functions/a.js": "export default () => {\n  return );\n};\n",
		"functions/b.ts": "import fs from \"fs\";\nexport default () => fs;\n",
	})
	_, err := p.Build()
	wrong, ok := err.(*BuildError)
	if !ok {
		t.Fatalf("got %v, want a BuildError", err)
	}
	for _, want := range []string{"functions/a.js:2:10: Unexpected", `functions/b.ts:1:16: Could not resolve "fs"`} {
		if !strings.Contains(wrong.Error(), want) {
			t.Errorf("got %q, want %q", wrong, want)
		}
	}
	if frames := wrong.Frames(false); !strings.Contains(frames, "return );") {
		t.Errorf("got %s, want the line", frames)
	}
	p = made(t, map[string]string{FileName: `{"app":"x","functions":{"a":{"engine":"otto"}}}`, "functions/a.ts": ""})
	if _, err := p.Build(); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("TypeScript for otto: got %v", err)
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	p := made(t, map[string]string{
		FileName:         `{"app":"x","functions":{"a":{}}}`,
		"functions/a.ts": "type T = 1;\nexport default (t: T) => {\n  throw new Error(\"here\");\n};\n",
	})
	bundles, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	source := bundles[0].Source
	line := 1 + strings.Count(source[:strings.Index(source, "throw")], "\n")
	stack := "at a_default (a.js:" + itoa(line) + ":9)\nat b (ba.js:1:1)"
	trace, frame := bundles[0].Trace(stack)
	if !strings.Contains(trace, "(functions/a.ts:3:") || !strings.Contains(trace, "(ba.js:1:1)") || !strings.Contains(frame, "3 │   throw new Error") {
		t.Errorf("got %s\n%s", trace, frame)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// The schema knows every field that the instance takes for a function but those that the
// project decides on.
func TestSchemaFollowsTheScript(t *testing.T) {
	t.Parallel()
	var schema struct {
		Defs map[string]struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(cloud.Script{})
	var script map[string]any
	if err := json.Unmarshal(b, &script); err != nil {
		t.Fatal(err)
	}
	for field := range script {
		own := slices.Contains([]string{"id", "app_id", "name", "source", "version", "created_at", "updated_at"}, field)
		if _, known := schema.Defs["function"].Properties[field]; known == own {
			t.Errorf("%s: known to the schema: %v", field, known)
		}
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, ".gitignore")
	if err := os.WriteFile(own, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	written, err := Init(dir, Starter{App: "shop", Types: "types", URL: "http://pi", Key: "pic_x"})
	if err != nil || slices.Contains(written, ".gitignore") {
		t.Fatalf("got %v, %v", written, err)
	}
	if b, _ := os.ReadFile(own); string(b) != "mine" {
		t.Errorf("a file that was there became %q", b)
	}
	if info, err := os.Stat(filepath.Join(dir, ".env.local")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf(".env.local: got %v, %v", info, err)
	}
	p, err := Open(dir)
	if err != nil || p.App != "shop" {
		t.Fatalf("got %+v, %v", p, err)
	}
	if _, err := p.Build(); err != nil {
		t.Error(err)
	}
	if _, err := Init(dir, Starter{App: "shop"}); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("twice: got %v", err)
	}
}
