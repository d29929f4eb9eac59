package control

import (
	"fmt"
	"testing"

	"picloud/app/cloud"
)

// crowd is an instance with n routes.
func crowd(b *testing.B, n int) (*fixture, *cloud.Script) {
	f := open(b)
	s := f.script(f.app("shop"), "s")
	for i := range n {
		f.exec("INSERT INTO routes ("+routeColumns+") VALUES (?, ?, ?, 'any', '', '', 'exact', ?, '', 'sync', 0)", cloud.NewID[cloud.RouteID](), s.AppID, s.ID, fmt.Sprint("/r", i))
	}
	f.Control = f.again()
	return f, s
}

func BenchmarkHot(b *testing.B) {
	f := open(b)
	s := f.script(f.app("shop"), "s")
	u := f.user("owner1")
	token := f.login(u)
	_, key, err := f.CreateKey(ctx(), f.as(u), KeyInput{Name: "k", Scopes: cloud.Scopes})
	if err != nil {
		b.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"script":    func() error { _, err := f.Script(ctx(), s.ID); return err },
		"principal": func() error { _, err := f.Principal(ctx(), u.ID); return err },
		"session":   func() error { _, err := f.AuthenticateSession(ctx(), token); return err },
		"key":       func() error { _, err := f.AuthenticateKey(ctx(), key); return err },
		"app":       func() error { _, _, err := f.App(ctx(), nil, "shop"); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCreateRoute(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			f, s := crowd(b, n)
			i := 0
			for b.Loop() {
				i++
				if err := f.CreateRoute(ctx(), &cloud.Route{ScriptID: s.ID, Path: fmt.Sprint("/more/", i)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPassword is what one login costs in time and memory on this machine.
func BenchmarkPassword(b *testing.B) {
	p := newPasswords(piHash)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.verify(ctx(), password, p.decoy); err != nil {
			b.Fatal(err)
		}
	}
}
