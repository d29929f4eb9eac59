package data

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestListPages(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("a", `1`, "a/x", `2`, "a/y", `3`, "a\U0010ffff", `4`, "b", `5`, "é", `6`)
	u := r.begin1()
	u.set("c", "a/w", `7`)
	u.delete("c", "a/x")
	tests := []struct {
		name string
		o    ListOptions
		want string
		more bool
	}{
		{"all", ListOptions{}, "a a/w a/y a\U0010ffff b é", false},
		{"backwards", ListOptions{Reverse: true}, "é b a\U0010ffff a/y a/w a", false},
		{"prefix", ListOptions{Prefix: "a/"}, "a/w a/y", false},
		{"prefix backwards", ListOptions{Prefix: "a", Reverse: true}, "a\U0010ffff a/y a/w a", false},
		{"prefix of nothing", ListOptions{Prefix: "zz"}, "", false},
		{"limit", ListOptions{Limit: 2}, "a a/w", true},
		{"limit backwards", ListOptions{Limit: 2, Reverse: true}, "é b", true},
		{"limit that fits", ListOptions{Limit: 6}, "a a/w a/y a\U0010ffff b é", false},
		{"cursor", ListOptions{Cursor: encodeCursor(upwards, "a/w")}, "a/y a\U0010ffff b é", false},
		{"cursor backwards", ListOptions{Cursor: encodeCursor(downwards, "a/y"), Reverse: true}, "a/w a", false},
		{"cursor of a deleted key", ListOptions{Cursor: encodeCursor(upwards, "a/x")}, "a/y a\U0010ffff b é", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, next, err := u.List(u.ctx, "c", tt.o)
			if err != nil || strings.Join(keys, " ") != tt.want || (next != "") != tt.more {
				t.Errorf("got %q, next %q, %v; want %q, more %v", keys, next, err, tt.want, tt.more)
			}
			entries, _, err := u.Entries(u.ctx, "c", tt.o)
			if err != nil || len(entries) != len(keys) {
				t.Fatalf("entries: got %v, %v", entries, err)
			}
			for i, e := range entries {
				if got := u.get("c", e.Key); e.Key != keys[i] || got != string(e.Value) {
					t.Errorf("entry %d: got %s: %s, want %s: %s", i, e.Key, e.Value, keys[i], got)
				}
			}
		})
	}
}

func TestKeysMayHoldAnyCharacter(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	keys := []string{"\x00", "a", "a\x00", "a\x00b", "a b", "a%", "a'b", "é", "\U0010ffff", "\U0010ffff\U0010ffff"}
	slices.Sort(keys)
	for _, k := range keys {
		r.put(k, `1`)
	}
	u := r.begin1()
	if got := u.list("c", ListOptions{}); !slices.Equal(got, keys) {
		t.Errorf("got %q, want %q", got, keys)
	}
	for _, prefix := range keys {
		want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if got := u.list("c", ListOptions{Prefix: prefix}); !slices.Equal(got, want) || u.get("c", prefix) != "1" {
			t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
		}
		for _, reverse := range []bool{false, true} {
			o := ListOptions{Prefix: prefix, Limit: 1, Reverse: reverse}
			for n := 0; ; n++ {
				page, next, err := u.List(u.ctx, "c", o)
				if err != nil || n > len(want) {
					t.Fatalf("page %d of %q: %q, %v", n, prefix, page, err)
				}
				if o.Cursor = next; next == "" {
					if n+1 != len(want) {
						t.Errorf("prefix %q has %d pages, want %d", prefix, n+1, len(want))
					}
					break
				}
			}
		}
	}
}

func TestBadListOptionsAreInvalid(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	for name, o := range map[string]ListOptions{
		"negative limit":             {Limit: -1},
		"prefix not UTF-8":           {Prefix: "\xff"},
		"long prefix":                {Prefix: strings.Repeat("x", MaxKey+1)},
		"garbage":                    {Cursor: "?"},
		"cursor of the other way":    {Cursor: encodeCursor(downwards, "a")},
		"cursor of another prefix":   {Cursor: encodeCursor(upwards, "a"), Prefix: "b"},
		"cursor of no key":           {Cursor: encodeCursor(upwards, "")},
		"cursor of a key too long":   {Cursor: encodeCursor(upwards, strings.Repeat("x", MaxKey+1))},
		"cursor of a key not UTF-8":  {Cursor: encodeCursor(upwards, "\xff")},
		"cursor with a line feed":    {Cursor: encodeCursor(upwards, "a") + "\n"},
		"cursor with trailing bytes": {Cursor: encodeCursor(upwards, "a") + "="},
	} {
		_, _, err := u.List(u.ctx, "c", o)
		wantKind(t, name, err, cloud.Invalid)
	}
	_, _, err := u.Entries(u.ctx, "", ListOptions{})
	wantKind(t, "empty collection", err, cloud.Invalid)
	if got := (ListOptions{Limit: MaxList + 1}).limit(); got != MaxList {
		t.Errorf("a limit of %d, want it clamped to %d", got, MaxList)
	}
}

func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "dQ", "dWE", "ZGE", "dWE=", "dWE\n", encodeCursor(upwards, "é"), encodeCursor(collections, "c")} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []byte{upwards, downwards, collections} {
			last, err := decodeCursor(kind, s)
			if err != nil {
				if cloud.KindOf(err) != cloud.Invalid {
					t.Errorf("%q: %v", s, err)
				}
				continue
			}
			if got := encodeCursor(kind, last); got != s {
				t.Errorf("%q decodes to %q, which encodes to %q", s, last, got)
			}
			if (name{"c", last}).check() != nil {
				t.Errorf("%q decodes to %q, which is no key", s, last)
			}
		}
	})
}

// FuzzPages pages through random entries under random changes and compares with a map. It
// also checks that no page depends on a key outside the span that it covers.
func FuzzPages(f *testing.F) {
	f.Add([]byte("a1b2c3"), []byte("a0b1d2"), byte(2), byte(0), false)
	f.Add([]byte("abacadaeaf"), []byte("ab0ac1ag2"), byte(1), byte(1), true)
	f.Add([]byte(""), []byte("a0b0c0"), byte(3), byte(0), true)
	f.Add([]byte("aabbccddeeff"), []byte(""), byte(1), byte(0), false)
	f.Add([]byte("aabbccddeeff"), []byte(""), byte(1), byte(0), true)
	f.Fuzz(func(t *testing.T, stored, changes []byte, limit, prefix byte, reverse bool) {
		base := map[string]json.RawMessage{}
		for i := 0; i+1 < len(stored); i += 2 {
			base[fuzzKey(stored[i:])] = json.RawMessage(`1`)
		}
		own := overlay{}
		for i := 0; i+2 < len(changes); i += 3 {
			n := name{"c", fuzzKey(changes[i:])}
			own[n] = &change{name: n, kind: changeKind(changes[i+2] % 3), value: json.RawMessage(`2`), plus: 3}
		}
		o := ListOptions{Limit: 1 + int(limit%8), Prefix: []string{"", "a", "ab"}[prefix%3], Reverse: reverse}
		want := fuzzModel(base, own, o)
		var got []Entry
		for range len(want) + 1 {
			s, err := o.span("c")
			if err != nil {
				t.Fatal(err)
			}
			p := fuzzPage(t, base, own, o)
			got = append(got, p.entries...)
			fuzzOutside(t, base, own, o, p, p.covers(s, reverse))
			if o.Cursor = p.next(o); o.Cursor == "" {
				break
			}
		}
		if !slices.EqualFunc(got, want, sameEntry) {
			t.Errorf("paged to %s, want %s", got, want)
		}
	})
}

func sameEntry(a, b Entry) bool { return a.Key == b.Key && string(a.Value) == string(b.Value) }

func fuzzKey(b []byte) string {
	return string([]byte{'a' + b[0]%3, 'a' + b[1]%4})[:1+b[0]%2]
}

func fuzzModel(base map[string]json.RawMessage, own overlay, o ListOptions) (want []Entry) {
	all := maps.Clone(base)
	for n, c := range own {
		v, err := c.apply(all[n.key])
		if err != nil {
			panic(err)
		}
		if delete(all, n.key); v != nil {
			all[n.key] = v
		}
	}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(k, o.Prefix) {
			want = append(want, Entry{k, all[k]})
		}
	}
	if o.Reverse {
		slices.Reverse(want)
	}
	return want
}

func fuzzPage(t *testing.T, base map[string]json.RawMessage, own overlay, o ListOptions) *page {
	s, err := o.span("c")
	if err != nil {
		t.Fatal(err)
	}
	p, err := readPage(fuzzScan(base, s, o.Reverse), own.between(s), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fuzzScan is what Unit.scan does in SQL.
func fuzzScan(base map[string]json.RawMessage, s span, reverse bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		keys := slices.Sorted(maps.Keys(base))
		if reverse {
			slices.Reverse(keys)
		}
		for _, k := range keys {
			if s.has(name{"c", k}) && !yield(Entry{k, base[k]}, nil) {
				return
			}
		}
	}
}

func fuzzOutside(t *testing.T, base map[string]json.RawMessage, own overlay, o ListOptions, p *page, covered span) {
	for _, a := range []string{"a", "b", "c"} {
		for _, b := range []string{"", "a", "b", "c", "d"} {
			k := a + b
			if covered.has(name{"c", k}) {
				continue
			}
			changed := maps.Clone(base)
			if _, there := changed[k]; there {
				delete(changed, k)
			} else {
				changed[k] = json.RawMessage(`9`)
			}
			if q := fuzzPage(t, changed, own, o); !slices.EqualFunc(p.entries, q.entries, sameEntry) || p.next(o) != q.next(o) {
				t.Errorf("the page after %q covers [%q, %q) but depends on %q", o.Cursor, covered.from, covered.to, k)
			}
		}
	}
}
