package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/db"
	"picloud/durable"
	"picloud/schema"
)

// checker checks one image with the product's own packages, without starting it.
type checker struct {
	dir  string
	acks []string
	full bool // what was acknowledged must be there
	logs bool // look at logs.db as well

	kv   map[string]map[string]json.RawMessage // by collection and key
	rows []row                                 // of the outbox
	rest map[string]bool                       // "script NAME", "route PATH", "trigger NAME", "app SLUG", "owner", "secret NAME"

	lost      int // acknowledged things that are missing
	logsAside bool
}

type row struct{ source, id string }

var quiet = slog.New(slog.DiscardHandler)

func (c *checker) check() error {
	if err := c.checkCopies(); err != nil {
		return err
	}
	if c.logs {
		if err := c.checkLogs(); err != nil {
			return err
		}
	}
	if _, err := os.Stat(c.dir); err != nil {
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return err
		}
	}
	name := filepath.Join(c.dir, "picloud.db")
	if _, err := durable.FinishReplaceDatabase(name); err != nil {
		return err
	}
	d, err := db.Open(context.Background(), name, db.Options{Schema: schema.State, Logger: quiet, Durability: db.Relaxed})
	if err != nil {
		return err
	}
	err = c.checkState(d)
	return errors.Join(err, d.Close())
}

func (c *checker) checkState(d *db.DB) error {
	ctx := context.Background()
	if err := d.IntegrityCheck(ctx); err != nil {
		return err
	}
	if err := d.View(ctx, func(_ context.Context, rx *db.Rx) error { return c.read(rx) }); err != nil {
		return err
	}
	if err := c.checkSecrets(d); err != nil {
		return err
	}
	return errors.Join(c.checkAcknowledged(), c.checkTransfers(), c.checkClients(), c.checkEvents())
}

// read takes everything that the other checks ask for into memory.
func (c *checker) read(rx *db.Rx) error {
	c.kv, c.rest, c.rows = map[string]map[string]json.RawMessage{}, map[string]bool{}, nil
	if err := each(rx, `SELECT collection || char(0) || key, value FROM kv_entries`, func(name, value string) {
		collection, key, _ := strings.Cut(name, "\x00")
		if c.kv[collection] == nil {
			c.kv[collection] = map[string]json.RawMessage{}
		}
		c.kv[collection][key] = json.RawMessage(value)
	}); err != nil {
		return err
	}
	if err := each(rx, `SELECT source, payload FROM outbox`, func(source, payload string) {
		c.rows = append(c.rows, row{source, idOf(payload)})
	}); err != nil {
		return err
	}
	return each(rx, `SELECT 'script', name FROM scripts UNION ALL SELECT 'route', path FROM routes UNION ALL SELECT 'app', slug FROM apps
		UNION ALL SELECT 'trigger', s.name FROM triggers t JOIN scripts s ON s.id = t.script_id
		UNION ALL SELECT 'secret', name FROM secrets UNION ALL SELECT 'owner', username FROM users UNION ALL SELECT 'dead', id FROM dead_letters`,
		func(kind, name string) { c.rest[kind+" "+name] = true })
}

// idOf finds the id that the load gave an event.
func idOf(payload string) string {
	var p struct {
		HTTP struct {
			Body struct{ ID string }
		}
		KV struct{ Key string }
	}
	if err := json.Unmarshal([]byte(payload), &p); err != nil {
		return "unreadable: " + payload
	}
	return p.HTTP.Body.ID + p.KV.Key
}

func each(rx *db.Rx, query string, f func(a, b string)) error {
	rows, err := rx.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		f(a, b)
	}
	return rows.Err()
}

// checkAcknowledged looks for everything that was acknowledged before the cut.
func (c *checker) checkAcknowledged() error {
	var first string
	for _, ack := range c.acks {
		if !c.has(ack) {
			if c.lost++; first == "" {
				first = ack
			}
		}
	}
	if c.lost > 0 && c.full {
		return fmt.Errorf("%d of %d acknowledged changes are lost, the first one: %s", c.lost, len(c.acks), first)
	}
	return nil
}

func (c *checker) has(ack string) bool {
	kind, name, _ := strings.Cut(ack, " ")
	switch kind {
	case "put":
		client, n, _ := strings.Cut(name, " ")
		return c.kv["sync"][client+"-"+n] != nil
	case "transfer":
		return c.kv["transfers"][name] != nil
	case "later":
		return c.kv["done"][name] != nil || c.waits("http", name)
	case "accounts":
		return len(c.kv["accounts"]) == accounts
	case "kv":
		return c.kv["admin"][name] != nil
	case "older":
		return len(c.kv["older"]) == olderRows
	case "owner":
		return c.rest["owner "+ownerName]
	case synced: // of the second copy
		return true
	}
	return c.rest[ack]
}

func (c *checker) waits(source, id string) bool {
	for _, r := range c.rows {
		if r.source == source && r.id == id {
			return true
		}
	}
	return false
}

// checkTransfers: an account has what the transfers say, so each is there as a whole.
func (c *checker) checkTransfers() error {
	want := map[string]int{}
	for i := range accounts {
		want["a"+strconv.Itoa(i)] = 100
	}
	for id, text := range c.kv["transfers"] {
		var t struct {
			From, To string
			Amount   int
		}
		if err := json.Unmarshal(text, &t); err != nil {
			return fmt.Errorf("transfer %s: %w", id, err)
		}
		want[t.From] -= t.Amount
		want[t.To] += t.Amount
	}
	if len(c.kv["transfers"]) == 0 && len(c.kv["accounts"]) == 0 {
		return nil
	}
	for name, n := range want {
		if got := string(c.kv["accounts"][name]); got != strconv.Itoa(n) {
			return fmt.Errorf("account %s has %s, the transfers say %d", name, got, n)
		}
	}
	return nil
}

// checkClients: a client writes its next key when the last one was acknowledged, so what is
// there is the beginning, up to what the same transaction noted.
func (c *checker) checkClients() error {
	keys := 0
	for client, text := range c.kv["clients"] {
		n, err := strconv.Atoi(string(text))
		if err != nil {
			return err
		}
		for i := range n + 1 {
			if c.kv["sync"][fmt.Sprintf("%s-%d", client, i)] == nil {
				return fmt.Errorf("client %s wrote %d, but %d is missing", client, n, i)
			}
			keys++
		}
	}
	if keys != len(c.kv["sync"]) {
		return fmt.Errorf("%d keys are there, the clients noted %d", len(c.kv["sync"]), keys)
	}
	return nil
}

// checkEvents: each event waits or was applied, once and never both, and so did the event that
// its change causes.
func (c *checker) checkEvents() error {
	for name := range c.rest {
		if strings.HasPrefix(name, "dead ") {
			return errors.New("there is a dead letter")
		}
	}
	waiting := map[row]int{}
	for _, r := range c.rows {
		if waiting[r]++; waiting[r] > 1 {
			return fmt.Errorf("event %s of %s waits twice", r.id, r.source)
		}
		if r.source == "http" && c.kv["done"][r.id] != nil {
			return fmt.Errorf("event %s waits and was applied", r.id)
		}
		if r.source == "kv" && c.kv["done"][r.id] == nil {
			return fmt.Errorf("the event of a write that isn't there waits: %s", r.id)
		}
	}
	for id := range c.kv["done"] {
		applied := 0
		if c.kv["counted"][id] != nil {
			applied = 1
		}
		if n := applied + waiting[row{"kv", id}]; n != 1 {
			return fmt.Errorf("the event of write %s is there %d times", id, n)
		}
	}
	for _, collection := range []string{"done", "counted"} {
		for id, n := range c.kv[collection] {
			if string(n) != "1" {
				return fmt.Errorf("%s: %s was applied %s times", collection, id, n)
			}
		}
	}
	return nil
}

// checkSecrets reads all secrets with the key that is on the disk.
func (c *checker) checkSecrets(d *db.DB) error {
	ctx := context.Background()
	s := data.NewSecrets(d, data.SecretsOptions{File: filepath.Join(c.dir, data.KeyFile), Logger: quiet})
	if err := s.Check(ctx); err != nil {
		return err
	}
	type key struct {
		app  cloud.AppID
		name string
	}
	var all []key
	err := d.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT app_id, name FROM secrets`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k key
			if err := rows.Scan(&k.app, &k.name); err != nil {
				return err
			}
			all = append(all, k)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, k := range all {
		value, _, err := s.Get(ctx, k.app, k.name)
		if err != nil || value != "secret of "+k.name {
			return fmt.Errorf("secret %s is %q, %w", k.name, value, err)
		}
	}
	return nil
}

// checkLogs: logs.db opens, or is one that is set aside.
func (c *checker) checkLogs() error {
	path := filepath.Join(c.dir, "logs.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	d, err := db.Open(context.Background(), path, db.Options{Schema: schema.Logs, Logger: quiet, Durability: db.Relaxed})
	if err == nil {
		err = errors.Join(d.IntegrityCheck(context.Background()), d.Close())
	}
	if err == nil {
		return nil
	}
	c.logsAside = true
	if !db.IsCorrupt(err) {
		return fmt.Errorf("logs.db: %w", err)
	}
	return nil
}

// checkCopies: what an upgrade left beside the file is a whole database.
func (c *checker) checkCopies() error {
	names, err := filepath.Glob(filepath.Join(c.dir, "picloud.db.before-v*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.Contains(filepath.Base(name), ".part") {
			continue
		}
		if err := checkCopy(name); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

// checkCopy opens one, and migrates it as a program that it is restored for would.
func checkCopy(name string) error {
	ctx := context.Background()
	d, err := db.Open(ctx, name, db.Options{Schema: schema.State, Logger: quiet, Durability: db.Relaxed})
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.IntegrityCheck(ctx); err != nil {
		return err
	}
	return d.View(ctx, func(_ context.Context, rx *db.Rx) error {
		var n int
		if err := rx.QueryRow(`SELECT count(*) FROM kv_entries WHERE collection = 'older'`).Scan(&n); err != nil {
			return err
		}
		if n != olderRows {
			return fmt.Errorf("%d rows, want %d", n, olderRows)
		}
		return nil
	})
}
