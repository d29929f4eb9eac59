package sdk

import (
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestKV(t *testing.T) { onEngines(t, true, checkKV) }

func checkKV(t *testing.T, s *sandbox) {
	tests := []struct{ name, script, want string }{
		{"absent", `return {type: typeof kv.collection("a").get("k")}`, `{"type":"undefined"}`},
		{"own write", `var c = kv.collection("b"); c.set("k", {n: [1, "x", null]}); return c.get("k")`, `{"n":[1,"x",null]}`},
		{"null is a value", `var c = kv.collection("c"); c.set("k", null); return [c.get("k"), c.has("k")]`, `[null,true]`},
		{"has and delete", `var c = kv.collection("d"); c.set("k", 1); return [c.has("k"), c["delete"]("k"), c["delete"]("k"), c.has("k")]`, `[true,true,false,false]`},
		{"increment", `var c = kv.collection("e"); return [c.increment("k"), c.increment("k", 2.5), c.increment("k", -4)]`, `[1,3.5,-0.5]`},
		{"add answers nothing", `var c = kv.collection("f"); return [typeof c.add("k"), typeof c.add("k", 2), c.get("k")]`, `["undefined","undefined",3]`},
		{"odd names", `var c = kv.collection("Ü \"\\\n"); c.set("__proto__", "p"); c.set("a\u0000é😀", 2); return [c.get("__proto__"), c.get("a\u0000é😀")]`, `["p",2]`},
		{"getMany", `var c = kv.collection("g"); c.set("a", 1); c.set("b", 2); return Object.keys(c.getMany(["b", "x", "a", "b"])).sort()`, `["a","b"]`},
		{"list", `var c = kv.collection("h"), i; for (i = 0; i < 5; i++) { c.set("k" + i, i); }
			var p = c.list({limit: 2}), q = c.list(p.next_cursor, 10);
			return [p.keys, q.keys, q.next_cursor, c.list({prefix: "k3"}).keys, c.list({reverse: true, limit: 1}).keys, c.list().keys.length]`,
			`[["k0","k1"],["k2","k3","k4"],null,["k3"],["k4"],5]`},
		{"entries", `var c = kv.collection("i"); c.set("a", {x: 1}); c.set("b", "y"); var e = c.entries(); return [e.entries[0].key, e.entries[0].value.x, e.entries[1].value, e.next_cursor]`,
			`["a",1,"y",null]`},
		{"no options", `var c = kv.collection("j"); c.set("k", 1, undefined); c.set("l", 2, null); c.set("m", 3, {}); c.set("n", 4, {ttl: null}); return [c.list(null).keys, c.list(undefined, 1).keys, c.entries({cursor: null, limit: 1}).entries.length, c.increment("k", undefined)]`, `[["k","l","m","n"],["k"],1,2]`},
		{"collection tells its name", `return kv.collection("visits").name`, `"visits"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.value(tt.script); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestKVRefuses(t *testing.T) { onEngines(t, true, checkKVRefuses) }

func checkKVRefuses(t *testing.T, s *sandbox) {
	tests := []struct{ name, script, want string }{
		{"an empty collection", `kv.collection("")`, "invalid: "},
		{"no collection", `kv.collection()`, "invalid: "},
		{"a collection that is no text", `kv.collection({})`, "invalid: "},
		{"a long collection", `kv.collection(new Array(130).join("x"))`, "invalid: "},
		{"a long collection in bytes", `kv.collection(new Array(50).join("€"))`, "invalid: "},
		{"an empty key", `kv.collection("a").get("")`, "invalid: "},
		{"a long key", `kv.collection("a").get(new Array(1030).join("x"))`, "invalid: "},
		{"a key that is a number", `kv.collection("a").get(5)`, "invalid: the key must be a string, not 5"},
		{"no key", `kv.collection("a").has()`, "invalid: the key must be a string, not undefined or null"},
		{"no value", `kv.collection("a").set("k")`, "invalid: the value is undefined, which JSON can't hold"},
		{"a function", `kv.collection("a").set("k", function () {})`, "invalid: the value is a function"},
		{"not a number", `kv.collection("a").set("k", NaN)`, "invalid: the value is NaN"},
		{"a circle", `var a = {}; a.a = a; kv.collection("a").set("k", a)`, "invalid: the value can't be written as JSON"},
		{"a negative ttl", `kv.collection("a").set("k", 1, {ttl: -1})`, "invalid: ttl"},
		{"a ttl that is text", `kv.collection("a").set("k", 1, {ttl: "1h"})`, "invalid: ttl must be a number"},
		{"a ttl beyond all", `kv.collection("a").set("k", 1, {ttl: 1e300})`, "invalid: ttl"},
		{"a ttl alone", `kv.collection("a").set("k", 1, 60)`, "invalid: options: want an object such as { ttl: 60 }, not a number"},
		{"a ttl of nothing", `kv.collection("a").set("k", 1, 0)`, "invalid: options: want an object such as { ttl: 60 }, not a number"},
		{"options in a list", `kv.collection("a").set("k", 1, [])`, "invalid: options: want an object such as { ttl: 60 }, not a list"},
		{"options that are a function", `kv.collection("a").set("k", 1, function () {})`, "invalid: options: want an object such as { ttl: 60 }, not a function"},
		{"options that are text", `kv.collection("a").set("k", 1, "60")`, "invalid: options: want an object such as { ttl: 60 }, not a string"},
		{"an unknown option", `kv.collection("a").set("k", 1, {tll: 5})`, "invalid: set has no option tll: there is ttl"},
		{"an option that Object has", `kv.collection("a").set("k", 1, {toString: 5})`, "invalid: set has no option toString: there is ttl"},
		{"an unknown option of list", `kv.collection("a").list({limt: 1})`, "invalid: list has no option limt: there is prefix, cursor, limit, reverse"},
		{"an unknown option of entries", `kv.collection("a").entries({ttl: 1})`, "invalid: entries has no option ttl"},
		{"a list of options", `kv.collection("a").list([])`, "invalid: options: want an object such as { prefix: \"a\", limit: 10 }, not a list"},
		{"a function in place of a cursor", `kv.collection("a").list(function () {})`, "invalid: "},
		{"by null", `kv.collection("a").increment("k", null)`, "invalid: by must be a number, not null"},
		{"adding null", `kv.collection("a").add("k", null)`, "invalid: by must be a number, not null"},
		{"by text", `kv.collection("a").increment("k", "1")`, "invalid: by must be a number"},
		{"by infinity", `kv.collection("a").add("k", Infinity)`, "invalid: argument 2 is Infinity"},
		{"keys that are no list", `kv.collection("a").getMany("k")`, "invalid: the list of keys must be"},
		{"limit", `kv.collection("a").list({limit: 1001})`, "invalid: limit"},
		{"half a limit", `kv.collection("a").list({limit: 1.5})`, "invalid: limit"},
		{"cursor", `kv.collection("a").list("nonsense")`, "invalid: "},
		{"a method without its collection", `var get = kv.collection("a").get; get("k")`, "invalid: call it on a collection"},
		{"too many writes", `var i; for (i = 0; i < 1100; i++) { kv.collection("a").set("k" + i, i); }`, "budget_exceeded: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.thrown(tt.script); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKVNeedsCapabilities(t *testing.T) { onEngines(t, true, checkKVNeedsCapabilities) }

func checkKVNeedsCapabilities(t *testing.T, s *sandbox) {
	as := func(role cloud.Role, scopes ...cloud.Scope) {
		inv := publicCall()
		inv.Principal = &cloud.Principal{User: cloud.NewID[cloud.UserID](), Username: "ada", Role: cloud.Member, Roles: map[cloud.AppID]cloud.Role{inv.App: role}}
		if scopes != nil {
			inv.Principal.Key, inv.Principal.Scopes = cloud.NewID[cloud.KeyID](), scopes
		}
		s.begin(inv)
	}
	const read, write, increment = `kv.collection("a").get("k")`, `kv.collection("a").set("k", 1)`, `kv.collection("a").increment("n")`
	tests := []struct {
		name    string
		role    cloud.Role
		scopes  []cloud.Scope
		allowed []string
		refused []string
	}{
		{"editor", cloud.Editor, nil, []string{read, write, increment}, nil},
		{"viewer", cloud.Viewer, nil, []string{read}, []string{write, increment}},
		{"stranger", "", nil, nil, []string{read, write, `kv.collection("a").list()`, `kv.collection("a").getMany(["k"])`, `kv.collection("a").add("k")`, `kv.collection("a")["delete"]("k")`}},
		{"key that only writes", cloud.Editor, []cloud.Scope{cloud.ScopeScriptWrite}, []string{write}, []string{read, increment}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			as(tt.role, tt.scopes...)
			for _, script := range tt.allowed {
				s.value(script + `; return null`)
			}
			for _, script := range tt.refused {
				if got := s.thrown(script); !strings.HasPrefix(got, "forbidden: ") {
					t.Errorf("%s: got %q, want forbidden", script, got)
				}
			}
		})
	}
}

func TestCommitKeepsWhatWasWritten(t *testing.T) { onEngines(t, true, checkCommitKeepsWhatWasWritten) }

func checkCommitKeepsWhatWasWritten(t *testing.T, s *sandbox) {
	inv := publicCall()
	s.begin(inv)
	s.value(`kv.collection("a").set("kept", 1); ctx.commit(); kv.collection("a").set("lost", 2); return null`)
	next := publicCall()
	next.App = inv.App
	s.begin(next)
	if got := s.value(`var c = kv.collection("a"); return [c.has("kept"), c.has("lost")]`); got != `[true,false]` {
		t.Errorf("got %s", got)
	}
}

func BenchmarkKVGetArgs(b *testing.B) {
	in := []byte(`["visits","home page"]`)
	for b.Loop() {
		a := readArgs(in)
		if a.label("collection"); a.label("key") == "" || a.err != nil {
			b.Fatal(a.err)
		}
	}
}
