package data

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

func TestAdminView(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	r := newRig(t, Options{}, func(o *db.Options) { o.Now = func() time.Time { return now } })
	ctx := t.Context()
	from := cloud.Origin{App: r.app, Principal: cloud.NewID[cloud.UserID]()}
	rec, err := r.Put(ctx, from, "c", "k", json.RawMessage(` { "a" : 1 } `), time.Minute)
	want := &Record{"k", json.RawMessage(`{"a":1}`), 1_000_000, 1_000_000, 1_060_000}
	if err != nil || !reflect.DeepEqual(rec, want) {
		t.Fatalf("put: got %+v, %v; want %+v", rec, err, want)
	}
	wantEvents(t, r.out, `insert c {"source":"kv","op":"insert","kv":{"collection":"c","key":"k","value":{"a":1}}}`)
	if r.out.from[0] != from {
		t.Errorf("the event comes from %+v, want %+v", r.out.from[0], from)
	}
	now = now.Add(time.Second)
	if _, err := r.Put(ctx, from, "c", "k", json.RawMessage(`2`), 0); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r.out, `update c {"source":"kv","op":"update","kv":{"collection":"c","key":"k","value":2,"oldValue":{"a":1}}}`)
	rec, err = r.Get(ctx, r.app, "c", "k")
	want = &Record{"k", json.RawMessage(`2`), 1_000_000, 1_001_000, 0}
	if err != nil || !reflect.DeepEqual(rec, want) {
		t.Errorf("get: got %+v, %v; want %+v", rec, err, want)
	}
	if err := r.Store.Delete(ctx, from, "c", "k"); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, r.out, `delete c {"source":"kv","op":"delete","kv":{"collection":"c","key":"k","oldValue":2}}`)
	wantKind(t, "delete again", r.Store.Delete(ctx, from, "c", "k"), cloud.NotFound)
	_, err = r.Get(ctx, r.app, "c", "k")
	wantKind(t, "get of nothing", err, cloud.NotFound)
	_, err = r.Put(ctx, from, "c", "k", json.RawMessage(`{`), 0)
	wantKind(t, "put of no JSON", err, cloud.Invalid)
	_, err = r.Put(ctx, from, "c", "k", nil, 0)
	wantKind(t, "put of nothing", err, cloud.Invalid)
	_, err = r.Put(ctx, from, "c", strings.Repeat("k", MaxKey+1), json.RawMessage(`1`), 0)
	wantKind(t, "put of a long key", err, cloud.Invalid)
	wantEvents(t, r.out)
}

func TestAdminLists(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	r := newRig(t, Options{}, func(o *db.Options) { o.Now = func() time.Time { return now } })
	ctx := t.Context()
	u := r.begin1()
	for c := range 5 {
		for k := range c + 1 {
			if err := u.Set(ctx, fmt.Sprint("c", c), fmt.Sprint("k", k), json.RawMessage(`"é"`), time.Duration(k)*time.Minute); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := u.Set(ctx, "brief", "k", json.RawMessage(`1`), time.Second); err != nil {
		t.Fatal(err)
	}
	r.mustCommit(u)
	now = now.Add(time.Minute) // k1 and brief are gone for everybody, though not swept
	var got []Collection
	p := cloud.Page{Limit: 2}
	for pages := 1; ; pages++ {
		list, next, err := r.Collections(ctx, r.app, p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, list...)
		if p.Cursor = next; next == "" {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
	}
	want := []Collection{{"c0", 1}, {"c1", 1}, {"c2", 2}, {"c3", 3}, {"c4", 4}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("collections: got %v, want %v", got, want)
	}
	items, next, err := r.Keys(ctx, r.app, "c4", "k", cloud.Page{Limit: 3})
	wantItems := []Item{{"k0", 4, 1_000_000, 0}, {"k2", 4, 1_000_000, 1_120_000}, {"k3", 4, 1_000_000, 1_180_000}}
	if err != nil || !reflect.DeepEqual(items, wantItems) {
		t.Errorf("keys: got %v, %v; want %v", items, err, wantItems)
	}
	items, next, err = r.Keys(ctx, r.app, "c4", "k", cloud.Page{Limit: 3, Cursor: next})
	if err != nil || next != "" || len(items) != 1 || items[0].Key != "k4" {
		t.Errorf("the last page: got %v, next %q, %v", items, next, err)
	}
	items, _, err = r.Keys(ctx, r.app, "none", "", cloud.Page{})
	if err != nil || items == nil || len(items) != 0 {
		t.Errorf("keys of an unknown collection: got %#v, %v; want an empty list", items, err)
	}
	_, _, err = r.Keys(ctx, r.app, "c4", "", cloud.Page{Cursor: "?"})
	wantKind(t, "bad cursor of keys", err, cloud.Invalid)
	_, _, err = r.Collections(ctx, r.app, cloud.Page{Cursor: "?"})
	wantKind(t, "bad cursor of collections", err, cloud.Invalid)
}

func TestListsUseTheirIndexes(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	for _, query := range []string{
		keyOnly + scanColumns + scanEnd + scanUp,
		keyValue + scanColumns + scanDown,
		`SELECT app_id FROM kv_entries WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
		`SELECT COALESCE(MIN(expires_at), 0) FROM kv_entries WHERE expires_at IS NOT NULL`,
		`SELECT collection FROM kv_entries WHERE app_id = ? AND collection > ? ORDER BY collection LIMIT 1`,
	} {
		if plan := r.plan(query); strings.Contains(plan, "SCAN kv") && !strings.Contains(plan, "INDEX") || strings.Contains(plan, "B-TREE") {
			t.Errorf("%s\nis done by %s", query, plan)
		}
	}
}

func (r *rig) plan(query string) (plan string) {
	r.Helper()
	err := r.db.View(r.Context(), func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query("EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				return err
			}
			plan += detail + "; "
		}
		return rows.Err()
	})
	if err != nil {
		r.Fatal(err)
	}
	return plan
}
