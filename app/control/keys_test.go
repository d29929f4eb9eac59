package control

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	f := open(t)
	u, other := f.user("owner1"), f.user("owner2")
	by := f.as(u)
	k, text, err := f.CreateKey(ctx(), by, KeyInput{Name: "deploy", Scopes: []cloud.Scope{cloud.ScopeLogRead, cloud.ScopeScriptRead, cloud.ScopeLogRead}})
	wantKind(t, err, "")
	if !regexp.MustCompile(`^pic_[0-9A-Za-z]{51}$`).MatchString(text) || k.Prefix != text[4:12] {
		t.Errorf("got key %q with prefix %q", text, k.Prefix)
	}
	if want := []cloud.Scope{cloud.ScopeScriptRead, cloud.ScopeLogRead}; !slices.Equal(k.Scopes, want) {
		t.Errorf("got scopes %v, want %v", k.Scopes, want)
	}
	p, err := f.AuthenticateKey(ctx(), text)
	wantKind(t, err, "")
	if p.Key != k.ID || p.User != u.ID || !p.Session.IsZero() || !p.Can(cloud.ScriptRead, cloud.NewID[cloud.AppID]()) || p.Can(cloud.InstanceUsers, cloud.AppID{}) {
		t.Errorf("got %+v", p)
	}
	for _, bad := range []string{text + "x", text[:len(text)-1], text[:len(text)-1] + "!", "Pic_" + text[4:], text[:4] + "00000000" + text[12:], text[4:], strings.ToUpper(text)} {
		_, err := f.AuthenticateKey(ctx(), bad)
		wantKind(t, err, cloud.Unauthenticated)
	}
	wantKind(t, f.DeleteKey(ctx(), f.as(other), k.ID), cloud.NotFound)
	wantKind(t, f.DeleteKey(ctx(), by, k.ID), "")
	_, err = f.AuthenticateKey(ctx(), text)
	wantKind(t, err, cloud.Unauthenticated)
	wantKind(t, f.DeleteKey(ctx(), by, k.ID), cloud.NotFound)

	for i := range 5 {
		_, _, err := f.CreateKey(ctx(), by, KeyInput{Name: fmt.Sprint("key ", i), Scopes: cloud.Scopes})
		wantKind(t, err, "")
	}
	got := walk(t, func(p cloud.Page) ([]*cloud.Key, string, error) { return f.Keys(ctx(), by, p) })
	if len(got) != 5 || got[4].Name != "key 4" || !slices.Equal(got[4].Scopes, cloud.Scopes) {
		t.Errorf("got %d keys", len(got))
	}
	if none, _, err := f.Keys(ctx(), f.as(other), cloud.Page{}); len(none) != 0 || err != nil {
		t.Errorf("somebody else sees %d keys, %v", len(none), err)
	}
}

func TestCreateKeyInvalid(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.app("shop")
	owner, member := f.as(f.user("owner1")), f.as(f.user("member1"))
	some := []cloud.Scope{cloud.ScopeScriptRead}
	for _, c := range []struct {
		name string
		by   *cloud.Principal
		in   KeyInput
		want cloud.Kind
		says string
	}{
		{"no name", owner, KeyInput{Scopes: some}, cloud.Invalid, "name"},
		{"long name", owner, KeyInput{Name: strings.Repeat("x", 129), Scopes: some}, cloud.Invalid, "name"},
		{"no scopes", owner, KeyInput{Name: "k"}, cloud.Invalid, "scopes"},
		{"unknown scope", owner, KeyInput{Name: "k", Scopes: []cloud.Scope{"root"}}, cloud.Invalid, "root"},
		{"in the past", owner, KeyInput{Name: "k", Scopes: some, ExpiresAt: 1}, cloud.Invalid, "expires_at"},
		{"unknown app", owner, KeyInput{Name: "k", Scopes: some, App: cloud.NewID[cloud.AppID]()}, cloud.NotFound, "app"},
		{"an app of others", member, KeyInput{Name: "k", Scopes: some, App: a.ID}, cloud.NotFound, "app"},
		{"bound", owner, KeyInput{Name: "k", Scopes: some, App: a.ID}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := f.CreateKey(ctx(), c.by, c.in)
			wantMessage(t, err, c.want, c.says)
		})
	}
}

func TestBoundKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	owner := f.as(f.user("owner1"))
	a, b := f.app("shop"), f.app("other")
	_, text, err := f.CreateKey(ctx(), owner, KeyInput{Name: "k", Scopes: cloud.Scopes, App: a.ID})
	wantKind(t, err, "")
	p, err := f.AuthenticateKey(ctx(), text)
	wantKind(t, err, "")
	if !p.Can(cloud.AppManage, a.ID) || p.Can(cloud.AppRead, b.ID) || p.Can(cloud.AppCreate, cloud.AppID{}) {
		t.Errorf("got %+v", p)
	}
	apps, _, err := f.Apps(ctx(), p, cloud.Page{})
	if err != nil || len(apps) != 1 || apps[0].ID != a.ID {
		t.Errorf("sees %v, %v, want its app only", apps, err)
	}
	_, _, err = f.App(ctx(), p, "other")
	wantKind(t, err, cloud.NotFound)
	wantKind(t, f.DeleteApp(ctx(), a.ID, true), "")
	_, err = f.AuthenticateKey(ctx(), text)
	wantKind(t, err, cloud.Unauthenticated)
}

func TestKeyExpiresAndSlides(t *testing.T) {
	t.Parallel()
	f := open(t)
	by := f.as(f.user("member1"))
	now := f.now()
	k, text, err := f.CreateKey(ctx(), by, KeyInput{Name: "k", Scopes: cloud.Scopes, ExpiresAt: now.Add(2 * time.Hour)})
	wantKind(t, err, "")
	lastUsed := func() cloud.Time {
		t.Helper()
		keys, _, err := f.Keys(ctx(), by, cloud.Page{})
		if err != nil || len(keys) != 1 || keys[0].ExpiresAt != k.ExpiresAt {
			t.Fatalf("got %v, %v", keys, err)
		}
		return keys[0].LastUsedAt
	}
	use := func(want cloud.Kind) {
		t.Helper()
		_, err := f.AuthenticateKey(ctx(), text)
		wantKind(t, err, want)
	}
	if got := lastUsed(); got != 0 {
		t.Errorf("never used: got %v", got)
	}
	use("")
	if got := lastUsed(); got != now {
		t.Errorf("used: got %v, want %v", got, now)
	}
	f.clock.Advance(time.Hour - time.Second)
	use("")
	if got := lastUsed(); got != now {
		t.Errorf("within an hour: got %v, want %v", got, now)
	}
	f.clock.Advance(time.Second)
	use("")
	if got := lastUsed(); got != now.Add(time.Hour) {
		t.Errorf("after an hour: got %v, want %v", got, now.Add(time.Hour))
	}
	f.clock.Advance(time.Hour - time.Millisecond)
	use("")
	f.clock.Advance(time.Millisecond)
	use(cloud.Unauthenticated)
}

// A key can't make or delete one that exceeds it.
func TestKeyManagesKeys(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("owner1")
	session := f.as(u)
	a, b := f.app("shop"), f.app("other")
	soon := f.now().Add(time.Hour)
	small := KeyInput{Name: "small", Scopes: []cloud.Scope{cloud.ScopeScriptRead, cloud.ScopeLogRead}, App: a.ID, ExpiresAt: soon}
	own, text, err := f.CreateKey(ctx(), session, small)
	wantKind(t, err, "")
	p, err := f.AuthenticateKey(ctx(), text)
	wantKind(t, err, "")
	with := func(change func(*KeyInput)) KeyInput { in := small; change(&in); return in }
	for _, c := range []struct {
		name string
		in   KeyInput
		want cloud.Kind
	}{
		{"the same", small, ""},
		{"less", with(func(in *KeyInput) { in.Scopes = in.Scopes[:1]; in.ExpiresAt-- }), ""},
		{"another scope", with(func(in *KeyInput) { in.Scopes = cloud.Scopes }), cloud.Forbidden},
		{"not bound", with(func(in *KeyInput) { in.App = cloud.AppID{} }), cloud.Forbidden},
		{"another app", with(func(in *KeyInput) { in.App = b.ID }), cloud.NotFound},
		{"longer", with(func(in *KeyInput) { in.ExpiresAt++ }), cloud.Forbidden},
		{"for ever", with(func(in *KeyInput) { in.ExpiresAt = 0 }), cloud.Forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := f.CreateKey(ctx(), p, c.in)
			wantKind(t, err, c.want)
		})
	}
	big, _, err := f.CreateKey(ctx(), session, KeyInput{Name: "big", Scopes: cloud.Scopes})
	wantKind(t, err, "")
	wantKind(t, f.DeleteKey(ctx(), p, big.ID), cloud.Forbidden)
	wantKind(t, f.DeleteKey(ctx(), p, own.ID), "")
	_, _, err = f.CreateKey(ctx(), p, small)
	wantKind(t, err, cloud.Unauthenticated) // it is gone since the request began
}

func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	f := open(t)
	by := f.as(f.user("member1"))
	errs := together(maxKeys+10, func(i int) error {
		_, _, err := f.CreateKey(ctx(), by, KeyInput{Name: "k", Scopes: cloud.Scopes})
		return err
	})
	if n := succeeded(errs); n != maxKeys {
		t.Errorf("%d keys, want %d", n, maxKeys)
	}
}

func TestRandomText(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	counts := map[rune]int{}
	for range 1000 {
		s := randomText(keySecret)
		if len(s) != keySecret || seen[s] {
			t.Fatalf("got %q", s)
		}
		seen[s] = true
		for _, r := range s {
			counts[r]++
		}
	}
	if len(counts) != 62 {
		t.Errorf("%d different characters, want 62", len(counts))
	}
}
