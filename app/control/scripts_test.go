package control

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

// exec changes the database behind the Control's back.
func (f *fixture) exec(query string, args ...any) {
	f.Helper()
	err := f.d.Update(ctx(), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
}

func TestCreateScript(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, b := f.app("shop"), f.app("blog")
	f.script(a, "taken")
	type S = cloud.Script
	for _, c := range []struct {
		name string
		s    S
		want cloud.Kind
		says []string
	}{
		{"defaults", S{Name: "a"}, "", nil},
		{"all fields", S{Name: "b", Description: "d", Engine: "otto", Isolation: "fresh", TimeoutSeconds: 300, Limits: cloud.Limits{MemoryBytes: 1 << 20}}, "", nil},
		{"the other app's name", S{AppID: b.ID, Name: "taken"}, "", nil},
		{"one MiB", S{Name: "big", Source: strings.Repeat("x", 1<<20)}, "", nil},
		{"more than one MiB", S{Name: "bigger", Source: strings.Repeat("x", 1<<20+1)}, cloud.TooLarge, []string{"source"}},
		{"name taken", S{Name: "taken"}, cloud.Conflict, []string{"name", "taken"}},
		{"no name", S{}, cloud.Invalid, []string{"name"}},
		{"long name", S{Name: strings.Repeat("x", 129)}, cloud.Invalid, []string{"name"}},
		{"name with control characters", S{Name: "a\tb"}, cloud.Invalid, []string{"name"}},
		{"not UTF-8", S{Name: "x", Source: "\xff"}, cloud.Invalid, []string{"source"}},
		{"does not compile", S{Name: "x", Source: "syntax error"}, cloud.Invalid, []string{"line 3, column 5"}},
		{"unknown engine", S{Name: "x", Engine: "v8"}, cloud.Invalid, []string{"engine"}},
		{"unknown isolation", S{Name: "x", Isolation: "cold"}, cloud.Invalid, []string{"isolation"}},
		{"timeout too long", S{Name: "x", TimeoutSeconds: 301}, cloud.Invalid, []string{"timeout_seconds"}},
		{"timeout negative", S{Name: "x", TimeoutSeconds: -1}, cloud.Invalid, []string{"timeout_seconds"}},
		{"negative limit", S{Name: "x", Limits: cloud.Limits{Writes: -1}}, cloud.Invalid, []string{"limits.writes"}},
		{"no such app", S{AppID: cloud.NewID[cloud.AppID](), Name: "x"}, cloud.NotFound, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.s
			if s.AppID.IsZero() {
				s.AppID = a.ID
			}
			if s.Source == "" {
				s.Source = "export default () => 1"
			}
			err := f.CreateScript(ctx(), nil, &s)
			wantMessage(t, err, c.want, c.says...)
			if err != nil {
				if !s.ID.IsZero() {
					t.Errorf("a refused script got an id: %+v", s)
				}
				return
			}
			if s.Version != 1 || s.ID.IsZero() || s.CreatedAt != f.now() || s.UpdatedAt != s.CreatedAt || s.AppSlug == "" {
				t.Errorf("got %+v", s)
			}
			for range 2 {
				if got, err := f.Script(ctx(), s.ID); err != nil || *got != s {
					t.Errorf("got %+v, %v, want %+v", got, err, s)
				}
			}
		})
	}
	s := &S{AppID: a.ID, Name: "z", Source: ""}
	wantMessage(t, f.CreateScript(ctx(), nil, s), cloud.Invalid, "source")
	d := &S{AppID: a.ID, Name: "defaults", Source: "x"}
	wantKind(t, f.CreateScript(ctx(), nil, d), "")
	if d.Engine != cloud.EngineQuickJS || d.Isolation != cloud.IsolationWarm || d.TimeoutSeconds != 30 {
		t.Errorf("defaults: got %+v", d)
	}
	list := walk(t, func(p cloud.Page) ([]*cloud.Script, string, error) { return f.Scripts(ctx(), b.ID, p) })
	if len(list) != 1 || list[0].Name != "taken" || list[0].AppSlug != "blog" {
		t.Errorf("got %d scripts of the other app", len(list))
	}
}

func TestCompilerComesLater(t *testing.T) {
	t.Parallel()
	f := open(t, func(o *Options) { o.Compiler = nil })
	a := f.app("shop")
	s := &cloud.Script{AppID: a.ID, Name: "s", Source: "x"}
	wantKind(t, f.CreateScript(ctx(), nil, s), cloud.Internal)
	f.SetCompiler(f.comp)
	wantKind(t, f.CreateScript(ctx(), nil, s), "")
}

func TestUpdateScript(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.app("shop")
	by := f.as(f.user("owner1"))
	s := f.script(a, "one")
	f.script(a, "two")
	source := func(text string) ScriptPatch { return ScriptPatch{Source: &text} }

	got, err := f.UpdateScript(ctx(), by, s.ID, source("v2"))
	if err != nil || got.Version != 2 || got.Source != "v2" || got.Name != "one" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if now, err := f.Script(ctx(), s.ID); err != nil || *now != *got {
		t.Errorf("got %+v, %v, want %+v", now, err, got)
	}
	got, err = f.UpdateScript(ctx(), by, s.ID, ScriptPatch{Name: ptr("uno"), Description: ptr("d"), Engine: ptr("otto"), Isolation: ptr("fresh"), TimeoutSeconds: ptr(5), Limits: &cloud.Limits{Writes: 7}})
	if err != nil || got.Version != 3 || got.Name != "uno" || got.Description != "d" || got.Engine != "otto" || got.Isolation != "fresh" || got.TimeoutSeconds != 5 || got.Limits.Writes != 7 || got.Source != "v2" {
		t.Errorf("got %+v, %v", got, err)
	}
	if same, err := f.UpdateScript(ctx(), by, s.ID, source("v2")); err != nil || same.Version != 3 {
		t.Errorf("nothing changed: got version %d, %v, want 3", same.Version, err)
	}
	for name, p := range map[string]ScriptPatch{
		"syntax": source("syntax error"), "name taken": {Name: ptr("two")}, "bad name": {Name: ptr("")}, "timeout": {TimeoutSeconds: ptr(1000)}, "empty": source(""),
	} {
		_, err := f.UpdateScript(ctx(), by, s.ID, p)
		want := cloud.Invalid
		if name == "name taken" {
			want = cloud.Conflict
		}
		wantKind(t, err, want)
	}
	if now, err := f.Script(ctx(), s.ID); err != nil || *now != *got {
		t.Errorf("after refusals: got %+v, %v, want %+v", now, err, got)
	}
	_, err = f.UpdateScript(ctx(), by, cloud.NewID[cloud.ScriptID](), source("x"))
	wantKind(t, err, cloud.NotFound)
}

// Two patches of different fields that race both take effect.
func TestSavesRace(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.script(f.app("shop"), "s")
	errs := together(10, func(i int) error {
		p := ScriptPatch{Description: ptr(fmt.Sprint("d", i))}
		switch i {
		case 0:
			p = ScriptPatch{TimeoutSeconds: ptr(77)}
		case 1:
			p = ScriptPatch{Limits: &cloud.Limits{Writes: 7}}
		case 2:
			p = ScriptPatch{Source: ptr("raced")}
		}
		_, err := f.UpdateScript(ctx(), nil, s.ID, p)
		return err
	})
	for _, err := range errs {
		wantKind(t, err, "")
	}
	got, err := f.Script(ctx(), s.ID)
	if err != nil || got.TimeoutSeconds != 77 || got.Limits.Writes != 7 || got.Source != "raced" || got.Version != 11 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A script that is deleted while its save is being compiled stays deleted.
func TestSaveRacesDelete(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.script(f.app("shop"), "s")
	f.comp.before = func() { wantKind(t, f.DeleteScript(ctx(), s.ID), "") }
	_, err := f.UpdateScript(ctx(), nil, s.ID, ScriptPatch{Source: ptr("x")})
	wantKind(t, err, cloud.NotFound)
	_, err = f.Script(ctx(), s.ID)
	wantKind(t, err, cloud.NotFound)
}

func TestVersions(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("owner1")
	by := f.as(u)
	s := f.script(f.app("shop"), "s")
	for i := 2; i <= 60; i++ {
		f.clock.Advance(1e9)
		_, err := f.UpdateScript(ctx(), by, s.ID, ScriptPatch{Source: ptr(fmt.Sprint("source ", i))})
		wantKind(t, err, "")
	}
	all := walk(t, func(p cloud.Page) ([]*Version, string, error) { return f.Versions(ctx(), s.ID, p) })
	if len(all) != keptVersions {
		t.Fatalf("%d versions are kept, want %d", len(all), keptVersions)
	}
	for i, v := range all {
		if want := 60 - i; v.Version != want || v.Source != fmt.Sprint("source ", want) || v.SavedBy != u.ID {
			t.Fatalf("version %d: got %+v", want, v)
		}
	}
	got, err := f.Rollback(ctx(), by, s.ID, 20)
	if err != nil || got.Version != 61 || got.Source != "source 20" {
		t.Errorf("got %+v, %v, want source 20 as version 61", got, err)
	}
	_, err = f.Rollback(ctx(), by, s.ID, 3)
	wantMessage(t, err, cloud.NotFound, "version 3")
	_, err = f.Rollback(ctx(), by, cloud.NewID[cloud.ScriptID](), 1)
	wantKind(t, err, cloud.NotFound)
	if _, _, err := f.Versions(ctx(), s.ID, cloud.Page{Cursor: lastPosition.cursor()}); err != nil {
		t.Errorf("a cursor beyond all versions: %v", err)
	}
}

// A page of large sources ends early instead of filling the memory.
func TestLargePagesEndEarly(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.app("shop")
	for i := range 12 {
		s := &cloud.Script{AppID: a.ID, Name: fmt.Sprint("s", i), Source: strings.Repeat("x", 1<<20)}
		wantKind(t, f.CreateScript(ctx(), nil, s), "")
	}
	first, next, err := f.Scripts(ctx(), a.ID, cloud.Page{})
	if err != nil || len(first) >= 12 || next == "" {
		t.Fatalf("got %d scripts, %q, %v", len(first), next, err)
	}
	rest, next, err := f.Scripts(ctx(), a.ID, cloud.Page{Cursor: next})
	if err != nil || len(first)+len(rest) != 12 || next != "" {
		t.Errorf("got %d and %d scripts, %q, %v", len(first), len(rest), next, err)
	}
}

func TestDeleteScript(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.app("shop")
	s, kept := f.script(a, "s"), f.script(a, "kept")
	f.route(s, "/s")
	f.route(kept, "/kept")
	wantKind(t, f.DeleteScript(ctx(), s.ID), "")
	wantKind(t, f.DeleteScript(ctx(), s.ID), cloud.NotFound)
	_, err := f.Script(ctx(), s.ID)
	wantKind(t, err, cloud.NotFound)
	if !found(f.Control, "h", "/s").IsZero() || found(f.Control, "h", "/kept").IsZero() {
		t.Error("the wrong routes are in use")
	}
	for table, want := range map[string]int{"scripts": 1, "script_versions": 1, "routes": 1} {
		if got := f.count(table); got != want {
			t.Errorf("%s: %d rows, want %d", table, got, want)
		}
	}
	if want := a.ID.String() + " " + s.ID.String(); len(f.gone) != 1 || f.gone[0] != want {
		t.Errorf("OnDelete was told %v, want %q", f.gone, want)
	}
	f.sameAsStored()
}
