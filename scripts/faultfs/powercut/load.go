package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// The functions under load. What each does must be there as a whole or not at all, once.
const (
	putSource = `export default function (ctx) {
		const { client, n, text } = ctx.request.body;
		kv.collection("sync").set(client + "-" + n, text);
		kv.collection("clients").set(client, n);
		return { n };
	}`
	initSource = `export default function () {
		const c = kv.collection("accounts");
		for (let i = 0; i < 8; i++) c.set("a" + i, 100);
		return {};
	}`
	transferSource = `export default function (ctx) {
		const { id, from, to, amount } = ctx.request.body;
		const c = kv.collection("accounts");
		c.set(from, c.get(from) - amount);
		c.set(to, c.get(to) + amount);
		kv.collection("transfers").set(id, { from, to, amount });
		return { id };
	}`
	laterSource = `export default function (ctx) { kv.collection("done").increment(ctx.request.body.id); }`
	countSource = `export default function (ctx) { kv.collection("counted").increment(ctx.event.kv.key); }`
)

const accounts = 8 // as in initSource

// load drives an instance on a recorded disk, and marks what was acknowledged.
type load struct {
	in   *instance
	disk *recorded
	next atomic.Int64 // numbers everything
}

// setup makes the functions.
func (l *load) setup() error {
	for _, f := range []struct{ name, source, path, mode string }{
		{"put", putSource, "/put", "sync"},
		{"init", initSource, "/init", "sync"},
		{"transfer", transferSource, "/transfer", "sync"},
		{"later", laterSource, "/later", "async"},
		{"count", countSource, "", ""},
	} {
		if err := l.deploy(f.name, f.source, f.path, f.mode); err != nil {
			return err
		}
	}
	if _, err := l.in.do("POST", "/init", nil); err != nil {
		return err
	}
	l.disk.mark("accounts")
	return nil
}

func (l *load) deploy(name, source, path, mode string) error {
	script, err := l.in.admin("POST", "/apps/default/scripts", map[string]any{"name": name, "source": source})
	if err != nil {
		return err
	}
	l.disk.mark("script %s", name)
	id := script["id"].(string)
	if path == "" {
		_, err = l.in.admin("POST", "/apps/default/triggers/kv", map[string]any{"script_id": id, "collection_glob": "done"})
		l.disk.mark("trigger %s", name)
		return err
	}
	_, err = l.in.admin("POST", "/scripts/"+id+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": path, "dispatch_mode": mode})
	l.disk.mark("route %s", path)
	return err
}

// run does n of each kind with several clients at once.
func (l *load) run(n int) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	client := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	for range 3 {
		client(func() error { return l.puts(n / 3) })
		client(func() error { return l.transfers(n / 3) })
		client(func() error { return l.laters(n / 3) })
	}
	client(func() error { return l.admins(n / 10) })
	wg.Wait()
	return errors.Join(errs...)
}

func (l *load) puts(n int) error {
	client := fmt.Sprintf("c%d", l.next.Add(1))
	for i := range n {
		if _, err := l.in.do("POST", "/put", map[string]any{"client": client, "n": i, "text": strings.Repeat(client, 60)}); err != nil {
			return err
		}
		l.disk.mark("put %s %d", client, i)
	}
	return nil
}

func (l *load) transfers(n int) error {
	for range n {
		x := l.next.Add(1)
		id, from := fmt.Sprintf("t%d", x), x%accounts
		to := (from + 1 + x/accounts%(accounts-1)) % accounts
		if _, err := l.in.do("POST", "/transfer", map[string]any{"id": id, "from": fmt.Sprintf("a%d", from), "to": fmt.Sprintf("a%d", to), "amount": 1 + x%7}); err != nil {
			return err
		}
		l.disk.mark("transfer %s", id)
	}
	return nil
}

func (l *load) laters(n int) error {
	for range n {
		id := fmt.Sprintf("e%d", l.next.Add(1))
		if _, err := l.in.do("POST", "/later", map[string]any{"id": id}); err != nil {
			return err
		}
		l.disk.mark("later %s", id)
	}
	return nil
}

// admins does what operators do.
func (l *load) admins(n int) error {
	for range n {
		x := l.next.Add(1)
		name := fmt.Sprintf("s%d", x)
		if _, err := l.in.admin("PUT", "/apps/default/secrets/"+name, map[string]any{"value": "secret of " + name}); err != nil {
			return err
		}
		l.disk.mark("secret %s", name)
		if _, err := l.in.admin("PUT", "/apps/default/kv/admin/"+name, map[string]any{"value": x}); err != nil {
			return err
		}
		l.disk.mark("kv %s", name)
		if err := l.deploy("f"+name, putSource, "/f/"+name, "sync"); err != nil {
			return err
		}
		if _, err := l.in.admin("POST", "/apps", map[string]any{"slug": "app-" + name, "name": name}); err != nil {
			return err
		}
		l.disk.mark("app app-%s", name)
	}
	return nil
}
