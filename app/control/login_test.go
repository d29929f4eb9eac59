package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("member1")
	off := f.user("member-off")
	_, err := f.UpdateUser(ctx(), nil, off.ID, UserPatch{IsActive: ptr(false)})
	wantKind(t, err, "")

	got, token, err := f.Login(ctx(), "MEMBER1", password, home)
	if err != nil || *got != *u {
		t.Fatalf("got %+v, %v, want %+v", got, err, u)
	}
	p, err := f.AuthenticateSession(ctx(), token)
	wantKind(t, err, "")
	if p.User != u.ID || p.Session.IsZero() || !p.Key.IsZero() || p.Username != "member1" {
		t.Errorf("got %+v", p)
	}
	if again, err := f.AuthenticateSession(ctx(), token); err != nil || again.Session != p.Session {
		t.Errorf("from the cache: got %+v, %v", again, err)
	}

	// Nothing tells why.
	var answers []string
	for _, c := range []struct{ name, password string }{
		{"member1", "wrong password"}, {"nobody", password}, {"member-off", password}, {"member1", ""},
		{"member1", strings.Repeat("a", 2000)}, {"", ""}, {"\x00", "\x00"}, {strings.Repeat("ä", 500), password},
	} {
		_, token, err := f.Login(ctx(), c.name, c.password, home)
		wantKind(t, err, cloud.Unauthenticated)
		if token != "" {
			t.Errorf("%q got a session", c.name)
		}
		answers = append(answers, err.Error())
	}
	for _, a := range answers[1:] {
		if a != answers[0] {
			t.Errorf("answers differ: %q and %q", answers[0], a)
		}
	}
}

// A login of nobody does the work of one of somebody: it waits for the hashing, too.
func TestLoginWorksEqually(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.user("member1")
	off := f.user("member-off")
	_, err := f.UpdateUser(ctx(), nil, off.ID, UserPatch{IsActive: ptr(false)})
	wantKind(t, err, "")
	for range hashing {
		wantKind(t, f.passwords.slots.acquire(ctx()), "")
	}
	for _, name := range []string{"member1", "member-off", "nobody"} {
		short, cancel := context.WithTimeout(ctx(), 5*time.Millisecond)
		_, _, err := f.Login(short, name, password, home)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v without hashing", name, err)
		}
	}
	decoy, err := parsePHC(f.passwords.decoy)
	if err != nil || decoy.params != f.passwords.params {
		t.Errorf("the decoy has %+v, %v, want %+v", decoy.params, err, f.passwords.params)
	}
}

func TestTooManyLoginsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPasswords(cheapHash)
	for range hashing {
		wantKind(t, p.slots.acquire(ctx()), "")
	}
	p.waiting.Store(hashing + hashingWaiting)
	_, err := p.verify(ctx(), password, p.decoy)
	wantKind(t, err, cloud.Overloaded)
	if got := p.waiting.Load(); got != hashing+hashingWaiting {
		t.Errorf("a refused one stays counted: %d", got)
	}
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	p := newPasswords(cheapHash)
	one, err := p.hash(ctx(), password)
	wantKind(t, err, "")
	two, err := p.hash(ctx(), password)
	wantKind(t, err, "")
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Errorf("got %q and %q", one, two)
	}
	for given, want := range map[string]bool{password: true, password + "x": false, "": false, strings.Repeat("x", 2000): false} {
		if ok, err := p.verify(ctx(), given, one); ok != want || err != nil {
			t.Errorf("verify %q: got %v, %v, want %v", given, ok, err, want)
		}
	}
	// A hash with other parameters, such as an earlier version's, still verifies.
	if ok, err := newPasswords(piHash).verify(ctx(), password, one); !ok || err != nil {
		t.Errorf("other parameters: got %v, %v", ok, err)
	}
	if ok, err := p.verify(ctx(), "", p.decoy); ok || err != nil {
		t.Errorf("the decoy: got %v, %v", ok, err)
	}
}

func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=8,t=0,p=1$$")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parsePHC(s); err == nil && (p.String() != s || !p.params.within(maxHash)) {
			t.Errorf("%q is read as %q", s, p.String())
		}
	})
}

func TestSessionSlides(t *testing.T) {
	t.Parallel()
	f := open(t, func(o *Options) { o.SessionTTL = time.Hour })
	u := f.user("member1")
	token := f.login(u)
	stored := func() *cloud.Session {
		t.Helper()
		list, err := f.Sessions(ctx(), u.ID)
		if err != nil || len(list) != 1 {
			t.Fatalf("got %v, %v, want one session", list, err)
		}
		return list[0]
	}
	use := func(want cloud.Kind) {
		t.Helper()
		_, err := f.AuthenticateSession(ctx(), token)
		wantKind(t, err, want)
	}
	first := stored()
	if first.ExpiresAt != first.CreatedAt.Add(time.Hour) || first.Address != home.Address || first.UserAgent != home.UserAgent {
		t.Errorf("got %+v", first)
	}
	f.clock.Advance(59 * time.Second)
	use("")
	if got := stored(); *got != *first {
		t.Errorf("slid within a minute: %+v", got)
	}
	f.clock.Advance(time.Second)
	use("")
	if got := stored(); got.LastUsedAt != first.CreatedAt.Add(time.Minute) || got.ExpiresAt != first.ExpiresAt.Add(time.Minute) {
		t.Errorf("didn't slide after a minute: %+v", got)
	}
	for range 5 {
		f.clock.Advance(59 * time.Minute)
		use("")
	}
	restarted := f.again(func(o *Options) { o.SessionTTL = time.Hour })
	if _, err := restarted.AuthenticateSession(ctx(), token); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	f.clock.Advance(time.Hour)
	use(cloud.Unauthenticated)
	if list, err := f.Sessions(ctx(), u.ID); len(list) != 0 || err != nil {
		t.Errorf("an expired session is listed: %v, %v", list, err)
	}
	f.login(u)
	if n := f.count("sessions"); n != 1 {
		t.Errorf("%d sessions are stored, want the expired one gone", n)
	}
}

// That a use can't be written down is no reason to refuse it.
func TestUseIsNotStored(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("member1")
	token := f.login(u)
	_, key, err := f.CreateKey(ctx(), f.as(u), KeyInput{Name: "k", Scopes: cloud.Scopes})
	wantKind(t, err, "")
	auth := func(ctx context.Context) {
		t.Helper()
		_, err := f.AuthenticateSession(ctx, token)
		wantKind(t, err, "")
		_, err = f.AuthenticateKey(ctx, key)
		wantKind(t, err, "")
	}
	auth(ctx())
	f.clock.Advance(2 * time.Hour)
	over, cancel := context.WithCancel(ctx())
	cancel()
	auth(over)
}

// count counts the rows of a table.
func (f *fixture) count(table string) (n int) {
	f.Helper()
	err := f.d.View(ctx(), func(ctx context.Context, rx *db.Rx) error {
		return rx.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n)
	})
	if err != nil {
		f.Fatal(err)
	}
	return n
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	f := open(t)
	u, other := f.user("member1"), f.user("member2")
	one, two, foreign := f.login(u), f.login(u), f.login(other)
	auth := func(token string) *cloud.Principal {
		t.Helper()
		p, err := f.AuthenticateSession(ctx(), token)
		wantKind(t, err, "")
		return p
	}
	p1, p2 := auth(one), auth(two)
	wantKind(t, f.EndSession(ctx(), u.ID, auth(foreign).Session), cloud.NotFound)
	auth(foreign)
	wantKind(t, f.EndSession(ctx(), u.ID, p1.Session), "")
	wantKind(t, f.EndSession(ctx(), u.ID, p1.Session), cloud.NotFound)
	_, err := f.AuthenticateSession(ctx(), one)
	wantKind(t, err, cloud.Unauthenticated)
	wantKind(t, f.Logout(ctx(), p2.Session), "")
	wantKind(t, f.Logout(ctx(), p2.Session), "")
	_, err = f.AuthenticateSession(ctx(), two)
	wantKind(t, err, cloud.Unauthenticated)
	auth(foreign)
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("member1")
	first := f.login(u)
	_, err := f.AuthenticateSession(ctx(), first)
	wantKind(t, err, "")
	for range maxSessions {
		f.clock.Advance(time.Second)
		f.login(u)
	}
	if n := f.count("sessions"); n != maxSessions {
		t.Errorf("%d sessions, want %d", n, maxSessions)
	}
	_, err = f.AuthenticateSession(ctx(), first)
	wantKind(t, err, cloud.Unauthenticated)
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("member1")
	here, elsewhere := f.login(u), f.login(u)
	p, err := f.AuthenticateSession(ctx(), here)
	wantKind(t, err, "")
	_, err = f.AuthenticateSession(ctx(), elsewhere)
	wantKind(t, err, "")
	const next = "another good password"
	wantMessage(t, f.ChangePassword(ctx(), p, "wrong password", next), cloud.Invalid, "current")
	wantMessage(t, f.ChangePassword(ctx(), p, password, "short"), cloud.Invalid, "new")
	_, err = f.AuthenticateSession(ctx(), elsewhere)
	wantKind(t, err, "")
	wantKind(t, f.ChangePassword(ctx(), p, password, next), "")
	_, err = f.AuthenticateSession(ctx(), here)
	wantKind(t, err, "")
	_, err = f.AuthenticateSession(ctx(), elsewhere)
	wantKind(t, err, cloud.Unauthenticated)
	_, _, err = f.Login(ctx(), u.Username, password, home)
	wantKind(t, err, cloud.Unauthenticated)
	_, _, err = f.Login(ctx(), u.Username, next, home)
	wantKind(t, err, "")

	// Who took a session over can't try passwords at will.
	for range pairPace.free + 1 {
		err = f.ChangePassword(ctx(), p, "wrong password", next)
	}
	wantKind(t, err, cloud.Invalid)
	wantKind(t, f.ChangePassword(ctx(), p, "wrong password", next), cloud.RateLimited)

	// An administrator's reset ends every session.
	_, err = f.UpdateUser(ctx(), nil, u.ID, UserPatch{Password: ptr(password)})
	wantKind(t, err, "")
	_, err = f.AuthenticateSession(ctx(), here)
	wantKind(t, err, cloud.Unauthenticated)
}

// A login that checked the old password must not outlive the change that ends all sessions.
func TestLoginRacesPasswordChange(t *testing.T) {
	t.Parallel()
	f := open(t)
	u := f.user("member1")
	for i := range 20 {
		old, next := fmt.Sprintf("password number %d", i), fmt.Sprintf("password number %d", i+1)
		_, err := f.UpdateUser(ctx(), nil, u.ID, UserPatch{Password: &old})
		wantKind(t, err, "")
		var token string
		together(2, func(i int) (err error) {
			if i == 0 {
				_, token, err = f.Login(ctx(), u.Username, old, home)
				return err
			}
			_, err = f.UpdateUser(ctx(), nil, u.ID, UserPatch{Password: &next})
			return err
		})
		if token == "" {
			continue
		}
		if _, err := f.AuthenticateSession(ctx(), token); err == nil {
			t.Fatal("a session of the old password lives on")
		}
	}
}

func TestThrottledLogin(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.user("member1")
	f.login(f.user("member2"))
	for range pairPace.free + 1 {
		_, _, err := f.Login(ctx(), "member1", "wrong password", home)
		wantKind(t, err, cloud.Unauthenticated)
	}
	_, _, err := f.Login(ctx(), "member1", password, home)
	wantMessage(t, err, cloud.RateLimited, "try again in")
	var later interface{ RetryAfter() time.Duration }
	if !errors.As(err, &later) || later.RetryAfter() < time.Second || later.RetryAfter()%time.Second != 0 {
		t.Errorf("%v has no RetryAfter in whole seconds", err)
	}
	f.clock.Advance(later.RetryAfter())
	_, _, err = f.Login(ctx(), "member1", password, home)
	wantKind(t, err, "")
	// After success, all of its tries are free again.
	for range pairPace.free {
		_, _, err := f.Login(ctx(), "member1", "wrong password", home)
		wantKind(t, err, cloud.Unauthenticated)
	}
	_, _, err = f.Login(ctx(), "member1", password, home)
	wantKind(t, err, "")

	// Strangers elsewhere try on and on; the user isn't slowed where they have been before,
	// even after a restart, nor at a new place.
	c := f.again()
	for i := range 300 {
		_, _, err := c.Login(ctx(), "member2", "wrong password", From{Address: fmt.Sprintf("198.51.100.%d", i%50)})
		if i >= 150 {
			wantKind(t, err, cloud.RateLimited)
		}
	}
	_, _, err = c.Login(ctx(), "member2", password, home)
	wantKind(t, err, "")
	_, _, err = c.Login(ctx(), "member2", password, From{Address: "203.0.113.9"})
	wantKind(t, err, "")
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	never, always := func() bool { return false }, func() bool { return true }
	type env struct {
		*throttle
		clock *clock
	}
	setup := func() env { c := &clock{now: start}; return env{newThrottle(c.Now), c} }
	fail := func(t *testing.T, e env, account, address string, seen func() bool) (refused bool) {
		t.Helper()
		tr, err := e.begin(account, address, seen)
		if err != nil {
			wantKind(t, err, cloud.RateLimited)
			return true
		}
		tr.end(errLogin)
		return false
	}
	wait := func(t *testing.T, e env, account, address string) time.Duration {
		t.Helper()
		tr, err := e.begin(account, address, never)
		if err == nil {
			tr.end(context.Canceled)
			return 0
		}
		var th *Throttled
		if !errors.As(err, &th) {
			t.Fatal(err)
		}
		return th.RetryAfter()
	}
	t.Run("the delay doubles up to a bound", func(t *testing.T) {
		e := setup()
		var waits []time.Duration
		for range 14 {
			if fail(t, e, "a", "192.0.2.1", never) {
				t.Fatal("refused after its time")
			}
			w := wait(t, e, "a", "192.0.2.1")
			waits = append(waits, w)
			e.clock.Advance(w)
		}
		for i, w := range waits {
			switch {
			case i < pairPace.free && w != 0, i >= pairPace.free && w <= waits[i-1] && w < pairPace.most, w > pairPace.most+time.Second:
				t.Fatalf("waits: %v", waits)
			}
		}
	})
	t.Run("a refused try doesn't count", func(t *testing.T) {
		e := setup()
		for !fail(t, e, "a", "192.0.2.1", never) {
		}
		before := wait(t, e, "a", "192.0.2.1")
		for range 100 {
			fail(t, e, "a", "192.0.2.1", never)
		}
		if got := wait(t, e, "a", "192.0.2.1"); got != before {
			t.Errorf("got %v, want %v", got, before)
		}
	})
	t.Run("many at once can't slip through", func(t *testing.T) {
		e := setup()
		heard := 0
		for range 100 {
			if _, err := e.begin("a", "192.0.2.1", never); err == nil {
				heard++
			}
		}
		if heard != pairPace.free+1 {
			t.Errorf("%d were heard, want %d", heard, pairPace.free+1)
		}
	})
	t.Run("an address is slowed over all accounts", func(t *testing.T) {
		e := setup()
		heard := 0
		for i := range 100 {
			if !fail(t, e, fmt.Sprint("user", i), "192.0.2.1", never) {
				heard++
			}
		}
		if heard != addressPace.free+1 {
			t.Errorf("%d were heard, want %d", heard, addressPace.free+1)
		}
		if fail(t, e, "user1", "192.0.2.2", never) {
			t.Error("another address is slowed")
		}
	})
	t.Run("an IPv6 customer is one address", func(t *testing.T) {
		e := setup()
		heard := 0
		for i := range 100 {
			if !fail(t, e, fmt.Sprint("user", i), fmt.Sprintf("2001:db8::%x", i+1), never) {
				heard++
			}
		}
		if heard != addressPace.free+1 {
			t.Errorf("%d were heard, want %d", heard, addressPace.free+1)
		}
		if network("::ffff:192.0.2.1") != network("192.0.2.1") || network("fe80::1%eth0") != network("fe80::2%eth1") || network("what") != "what" {
			t.Error("addresses are not told apart right")
		}
	})
	t.Run("an account is slowed over all addresses that failed", func(t *testing.T) {
		e := setup()
		heard := 0
		for i := range 400 {
			if !fail(t, e, "a", fmt.Sprintf("192.0.2.%d", i%100), never) {
				heard++
			}
		}
		if heard != 100 {
			t.Errorf("%d were heard, want the first of each of the 100 addresses", heard)
		}
		if wait(t, e, "a", "203.0.113.1") != 0 {
			t.Error("an address that never failed is refused")
		}
		if wait(t, e, "b", "203.0.113.1") != 0 {
			t.Error("another account is refused")
		}
	})
	t.Run("known places are apart", func(t *testing.T) {
		e := setup()
		for i := range 400 {
			fail(t, e, "a", fmt.Sprintf("192.0.2.%d", i%2), never)
		}
		tr, err := e.begin("A", "192.0.2.9", always)
		wantKind(t, err, "")
		tr.end(nil)
		for range 400 { // known from now on without asking
			fail(t, e, "b", "192.0.2.9", never)
		}
		tr, err = e.begin("a", "192.0.2.9", never)
		wantKind(t, err, "")
		tr.end(nil)
	})
	t.Run("everything is forgotten", func(t *testing.T) {
		e := setup()
		for range 50 {
			fail(t, e, "a", "192.0.2.1", never)
			e.clock.Advance(time.Second)
		}
		e.clock.Advance(forget + time.Second)
		for range pairPace.free {
			if fail(t, e, "a", "192.0.2.1", never) {
				t.Fatal("still slowed")
			}
		}
	})
	t.Run("memory is bounded", func(t *testing.T) {
		e := setup()
		for range 40 {
			fail(t, e, "victim", "192.0.2.1", never)
			e.clock.Advance(5 * time.Second)
		}
		for i := range 2 * maxBuckets {
			tr, err := e.begin(fmt.Sprint(i), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), never)
			wantKind(t, err, "")
			if i%2 == 0 {
				tr.end(nil)
			}
		}
		if len(e.buckets) > maxBuckets || len(e.known) > maxKnown {
			t.Errorf("%d buckets and %d known places", len(e.buckets), len(e.known))
		}
		if e.buckets["account\x00victim"] == nil {
			t.Error("the busiest bucket was flushed out")
		}
	})
}

func TestSetup(t *testing.T) {
	t.Parallel()
	f := open(t)
	needed, err := f.SetupNeeded(ctx())
	if err != nil || !needed {
		t.Fatalf("got %v, %v, want needed", needed, err)
	}
	_, _, err = f.Setup(ctx(), "", "owner", password, home)
	wantKind(t, err, cloud.Unauthenticated)
	stale, err := f.SetupToken(ctx())
	wantKind(t, err, "")
	if again, err := f.SetupToken(ctx()); err != nil || again != stale {
		t.Errorf("asked again: got %q, %v, want %q", again, err, stale)
	}
	c := f.again() // the next process
	token, err := c.SetupToken(ctx())
	if err != nil || token == stale || len(token) != tokenLength {
		t.Fatalf("got %q, %v, want another token", token, err)
	}
	for _, bad := range []string{"", "x", stale, token + "x", hashText(token)} {
		_, _, err := c.Setup(ctx(), bad, "owner", password, home)
		wantMessage(t, err, cloud.Unauthenticated, "token")
	}
	_, _, err = c.Setup(ctx(), token, "owner", "short", home)
	wantMessage(t, err, cloud.Invalid, "password")
	_, _, err = c.Setup(ctx(), token, "", password, home)
	wantMessage(t, err, cloud.Invalid, "username")

	// Many with the right token: one owner.
	var session string
	errs := together(8, func(i int) error {
		u, s, err := c.Setup(ctx(), token, fmt.Sprint("owner", i), password, home)
		if err == nil {
			session = s
			if u.InstanceRole != cloud.Owner {
				t.Errorf("got %+v, want an owner", u)
			}
		}
		return err
	})
	if n := succeeded(errs); n != 1 || f.count("users") != 1 {
		t.Fatalf("%d succeeded, %d users, want 1: %v", n, f.count("users"), errs)
	}
	p, err := c.AuthenticateSession(ctx(), session)
	if err != nil || p.Role != cloud.Owner {
		t.Errorf("got %+v, %v, want the owner logged in", p, err)
	}
	_, _, err = c.Setup(ctx(), token, "second", password, home)
	wantKind(t, err, cloud.Conflict)
	if needed, err := c.SetupNeeded(ctx()); needed || err != nil {
		t.Errorf("got %v, %v, want not needed", needed, err)
	}
	if token, err := c.SetupToken(ctx()); token != "" || err != nil {
		t.Errorf("got %q, %v, want no token", token, err)
	}
	if n := f.count("settings"); n != 0 {
		t.Errorf("the token's hash stays: %d settings", n)
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	f := open(t)
	u, err := f.CreateOwner(ctx(), "root", password)
	if err != nil || u.InstanceRole != cloud.Owner {
		t.Fatalf("got %+v, %v", u, err)
	}
	if needed, err := f.SetupNeeded(ctx()); needed || err != nil {
		t.Errorf("got %v, %v, want not needed", needed, err)
	}
	_, err = f.CreateOwner(ctx(), "root", password)
	wantKind(t, err, cloud.Conflict)
	_, err = f.CreateOwner(ctx(), "other", "short")
	wantKind(t, err, cloud.Invalid)
	token := f.login(u)
	m := f.user("member1")
	_, err = f.UpdateUser(ctx(), nil, m.ID, UserPatch{IsActive: ptr(false)})
	wantKind(t, err, "")
	got, err := f.ResetPassword(ctx(), "MEMBER1", "another good password")
	if err != nil || !got.IsActive {
		t.Errorf("got %+v, %v, want active", got, err)
	}
	_, _, err = f.Login(ctx(), "member1", "another good password", home)
	wantKind(t, err, "")
	_, err = f.ResetPassword(ctx(), "root", "another good password")
	wantKind(t, err, "")
	_, err = f.AuthenticateSession(ctx(), token)
	wantKind(t, err, cloud.Unauthenticated)
	_, err = f.ResetPassword(ctx(), "nobody", password)
	wantKind(t, err, cloud.NotFound)
}

// What is stored opens nothing.
func TestNoSecretIsStored(t *testing.T) {
	t.Parallel()
	f := open(t)
	setup, err := f.SetupToken(ctx())
	wantKind(t, err, "")
	u := f.user("owner1")
	token := f.login(u)
	_, key, err := f.CreateKey(ctx(), f.as(u), KeyInput{Name: "k", Scopes: cloud.Scopes})
	wantKind(t, err, "")
	var dump strings.Builder
	err = f.d.View(ctx(), func(ctx context.Context, rx *db.Rx) error {
		for _, q := range []string{"SELECT value FROM settings", "SELECT password_hash FROM users", "SELECT CAST(token_hash AS TEXT) FROM sessions", "SELECT CAST(secret_hash AS TEXT) || name FROM api_keys"} {
			var s string
			if err := rx.QueryRow(q).Scan(&s); err != nil {
				return err
			}
			dump.WriteString(s)
		}
		return nil
	})
	wantKind(t, err, "")
	for _, secret := range []string{setup, password, token, key[len(keyStart)+keyPrefix:]} {
		if strings.Contains(dump.String(), secret) {
			t.Errorf("%q is stored", secret)
		}
	}
}

// The cookie and the bearer key may be anything.
func FuzzAuthenticate(f *testing.F) {
	d := dbtest.Open(f)
	c, err := New(ctx(), d, Options{hash: cheapHash})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("")
	f.Add("pic_")
	f.Add(keyStart + strings.Repeat("a", keyPrefix+keySecret))
	f.Add(strings.Repeat("a", tokenLength))
	f.Fuzz(func(t *testing.T, s string) {
		_, err := c.AuthenticateKey(ctx(), s)
		wantKind(t, err, cloud.Unauthenticated)
		_, err = c.AuthenticateSession(ctx(), s)
		wantKind(t, err, cloud.Unauthenticated)
	})
}
