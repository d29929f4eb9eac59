package executor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

// link makes s import modules, as control does.
func link(s cloud.Script, key uint64, modules ...*cloud.Script) cloud.Script {
	s.Linked = &cloud.Linked{Modules: modules, Key: key, At: cloud.Time(key)}
	return s
}

func module(name, source string) *cloud.Script {
	return &cloud.Script{ID: cloud.NewID[cloud.ScriptID](), Name: name, Kind: cloud.KindModule, Version: 1, Source: source}
}

func TestModules(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	tax := module("tax", "export const rate = 0.2;\nexport default function (n) {\n  if (n < 0) throw new RangeError('negative')\n  return n * (1 + rate)\n}")
	price := module("price", `import tax, { rate } from "app:tax"; let asked = 0; export function gross(n) { asked++; return [tax(n), rate] } export { rate as again } from "app:tax"; export const count = () => asked`)
	tests := []struct{ name, source, want string }{
		{"named and default", `import tax, { rate } from "app:tax"; export default () => [tax(10), rate]`, `[12,0.2]`},
		{"through another", `import { gross, again } from "app:price"; export default () => [gross(20), again]`, `[[24,0.2],0.2]`},
		{"all of it", `import * as p from "app:price"; export default () => Object.keys(p).sort()`, `["again","count","gross"]`},
		{"a fetch handler", `import { gross } from "app:price"; export default { fetch() { return Response.json(gross(10)) } }`, `[12,0.2]`},
		{"one instance for all", `import { gross } from "app:price"; import * as p from "app:price"; export default () => { const before = p.count(); gross(1); return p.count() - before }`, `1`},
		{"later", `import "app:price"; export default async () => (await import("app:price")).gross(10)`, `[12,0.2]`},
		{"an error inside", "import tax from \"app:tax\";\nexport default () => tax(-1)", `script_error: RangeError: negative at tax.js:3`},
		{"a missing export", `import { nope } from "app:tax"; export default () => nope`, `script_error: SyntaxError: Could not find export 'nope' in module 'tax.js'`},
		{"not imported", `export default async () => { await import("app:other") }`, `script_error: ReferenceError: could not load module 'other.js'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := m.scripts.save(link(cloud.Script{Source: tt.source}, 1, price, tax))
			for range 2 {
				res := m.call(s)
				got := string(res.Body)
				if res.Err != nil {
					got = fmt.Sprintf("%s: %s at %s:%d", cloud.KindOf(res.Err), res.Trace.Message, res.Trace.File, res.Trace.Line)
				}
				if !strings.HasPrefix(got, tt.want) {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			}
		})
	}
}

// TestContextsGoByTheirModules checks that a saved module is used by the next execution.
func TestContextsGoByTheirModules(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	v := module("v", `export const v = 1`)
	s := m.scripts.save(link(cloud.Script{Source: `import { v } from "app:v"; export default () => v`}, 1, v))
	for i := range 5 {
		next := *v
		next.Version, next.Source = i+2, fmt.Sprintf("export const v = %d", i+2)
		linked := link(*s, uint64(i+2), &next)
		m.scripts.mu.Lock()
		m.scripts.m[s.ID] = &linked
		m.scripts.mu.Unlock()
		for range 2 {
			if got, want := string(m.call(s).Body), fmt.Sprint(i+2); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

func TestImportsAreFound(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	tests := []struct {
		name   string
		script cloud.Script
		want   string // the imports, or a part of the error
	}{
		{"none", cloud.Script{Source: `export default () => 1`}, ""},
		{"each once", cloud.Script{Source: `import a from "app:a"; import { b } from 'app:b'; import "app:a"; export * from "app:c"; export default a`}, "a\nb\nc"},
		{"of a module", cloud.Script{Kind: cloud.KindModule, Source: `import a from "app:a"; export const x = a`}, "a"},
		{"a module without exports", cloud.Script{Kind: cloud.KindModule, Source: `globalThis.x = 1`}, ""},
		{"of itself", cloud.Script{Name: "me", Source: `import a from "app:me"; export default a`}, "me"},
		{"not of the app", cloud.Script{Source: `import a from "fs"; export default a`}, "imports 'fs'"},
		{"a path", cloud.Script{Source: `import a from "./a.js"; export default a`}, "imports './a.js'"},
		{"a format", cloud.Script{Source: `import a from "%s%n%n"; export default a`}, "imports '%s%n%n'"},
		{"nothing", cloud.Script{Source: `import a from "app:"; export default a`}, "imports 'app:'"},
		{"on otto", cloud.Script{Engine: cloud.EngineOtto, Source: `import a from "app:a"; module.exports = a`}, "otto knows no modules"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.script
			if s.Name == "" {
				s.Name = "main"
			}
			got := ""
			if err := m.Check(t.Context(), &s); err != nil {
				if got = cloud.Message(err); cloud.KindOf(err) != cloud.Invalid || !strings.Contains(got, tt.want) {
					t.Errorf("got %v, want invalid with %q", err, tt.want)
				}
			} else if s.Imports != tt.want {
				t.Errorf("got %q, want %q", s.Imports, tt.want)
			}
		})
	}
}

// TestDynamicImportsLeaveNothing runs a script that asks for many modules that aren't there.
func TestDynamicImportsLeaveNothing(t *testing.T) {
	t.Parallel()
	c := start(t, quickOf(t, InProcess, sdk.Prelude), `export default async () => { let n = 0; for (let i = 0; i < 1000; i++) { try { await import("app:x" + i) } catch (e) { n++ } } return n }`)
	if got := outcome(c.Run(newHost(`{}`), budget(time.Minute))); got != "j1000" {
		t.Errorf("got %s", got)
	}
	if n := len(c.(*quickContext).imports); n != 0 {
		t.Errorf("%d names were kept", n)
	}
}
