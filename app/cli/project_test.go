package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/app/project"
)

// What an instance says of a request is told in terms of the project's files.
func TestNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "functions"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		project.FileName: `{"app":"x","functions":{"a":{},"b":{}}}`,
		"functions/a.js": "export default () => 1;\n",
		"functions/b.ts": "type N = number;\n\nexport default (): N => 2;\n",
	} {
		write(t, filepath.Join(dir, name), content)
	}
	p, err := project.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	bundles, err := p.Build()
	if err != nil {
		t.Fatal(err)
	}
	at := 1 + strings.Count(bundles[1].Source[:strings.Index(bundles[1].Source, "2")], "\n")
	for _, tt := range []struct{ in, want string }{
		{`unknown field "functions[1].rout"`, `unknown field "picloud.json: functions.b.rout"`},
		{`unknown field "functions[9].rout"`, `unknown field "functions[9].rout"`},
		{"http://pi says: functions/a.js: a.js does not compile: line 1, column 8: no such thing", "http://pi says: functions/a.js:1:8: no such thing\n     1 │ export default"},
		{"x\nfunctions/b.ts: b.js does not compile: line " + string(rune('0'+at)) + ", column 20: no\ny", "functions/b.ts:3:"},
		{"functions/c.js: c.js does not compile: line 1, column 1: no", "functions/c.js: c.js does not compile: line 1"},
	} {
		got := named(cloud.Errorf(cloud.Invalid, "%s", tt.in), bundles)
		if cloud.KindOf(got) != cloud.Invalid || !strings.Contains(got.Error(), tt.want) {
			t.Errorf("%s: got %q, want %q", tt.in, got, tt.want)
		}
	}
}
