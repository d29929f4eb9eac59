package data

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// maxPageBytes bounds the values of one Entries call, but for the first: a page may have
// fewer entries than asked for.
const maxPageBytes = 4 << 20

// ListOptions of List and Entries.
type ListOptions struct {
	Prefix  string
	Cursor  string // opaque; "" starts
	Limit   int    // 0: DefaultList; at most MaxList
	Reverse bool
}

// Entry is one key with its value.
type Entry struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// List answers keys in order; next is the cursor of those that follow, "" when none does.
func (u *Unit) List(ctx context.Context, collection string, o ListOptions) (keys []string, next string, err error) {
	entries, next, err := u.page(ctx, collection, o, false)
	if err != nil {
		return nil, "", err
	}
	keys = make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	return keys, next, nil
}

// Entries is List with the values. A page of large values is cut at about 4 MiB.
func (u *Unit) Entries(ctx context.Context, collection string, o ListOptions) (entries []Entry, next string, err error) {
	return u.page(ctx, collection, o, true)
}

func (u *Unit) page(ctx context.Context, collection string, o ListOptions, values bool) ([]Entry, string, error) {
	s, err := o.span(collection)
	if err != nil {
		return nil, "", err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	snap, err := u.viewLocked(ctx)
	if err != nil {
		return nil, "", err
	}
	p, err := readPage(u.scan(snap.Rx, s, o.Reverse, values), u.overlay.between(s), o)
	if err != nil {
		return nil, "", snap.Noted(err)
	}
	u.reads.addSpan(p.covers(s, o.Reverse))
	return p.entries, p.next(o), nil
}

func readPage(base iter.Seq2[Entry, error], own []*change, o ListOptions) (*page, error) {
	p := &page{limit: o.limit(), entries: []Entry{}}
	return p, merge(base, own, o.Reverse, p.take)
}

// page collects entries up to a limit.
type page struct {
	limit, bytes int
	entries      []Entry
	full         bool
	unfit        string // the first key past the page, when full
}

func (p *page) take(e Entry) bool {
	p.bytes += len(e.Value)
	if len(p.entries) == p.limit || p.bytes > maxPageBytes && len(p.entries) > 0 {
		p.full, p.unfit = true, e.Key
		return false
	}
	p.entries = append(p.entries, e)
	return true
}

// covers is the part of s that the page depends on. The entry that didn't fit is in it: it
// is why there is a next page.
func (p *page) covers(s span, reverse bool) span {
	switch {
	case !p.full:
	case reverse:
		s.from = p.unfit
	default:
		s.to = after(p.unfit)
	}
	return s
}

func (p *page) next(o ListOptions) string {
	if !p.full {
		return ""
	}
	return encodeCursor(o.direction(), p.entries[len(p.entries)-1].Key)
}

// merge visits base, which is in order, as it is after own, which is in the order of keys,
// until visit says no.
func merge(base iter.Seq2[Entry, error], own []*change, reverse bool, visit func(Entry) bool) error {
	order := 1
	if reverse {
		order = -1
		slices.Reverse(own)
	}
	changed := func(c *change, before json.RawMessage) (bool, error) {
		v, err := c.apply(before)
		if err != nil || v == nil {
			return true, err
		}
		return visit(Entry{c.key, v}), nil
	}
	for e, err := range base {
		if err != nil {
			return err
		}
		for len(own) > 0 && order*strings.Compare(own[0].key, e.Key) < 0 {
			if more, err := changed(own[0], nil); err != nil || !more {
				return err
			}
			own = own[1:]
		}
		more := false
		if len(own) > 0 && own[0].key == e.Key {
			more, err = changed(own[0], e.Value)
			own = own[1:]
		} else {
			more = visit(e)
		}
		if err != nil || !more {
			return err
		}
	}
	for _, c := range own {
		if more, err := changed(c, nil); err != nil || !more {
			return err
		}
	}
	return nil
}

const (
	scanColumns = `FROM kv_entries WHERE app_id = ?1 AND collection = ?2
		AND (expires_at IS NULL OR expires_at > ?3) AND key >= ?4`
	scanUp   = ` ORDER BY key`
	scanDown = ` ORDER BY key DESC`
	scanEnd  = ` AND key < ?5`

	keyOnly  = `SELECT key, NULL, COALESCE(expires_at, 0) `
	keyValue = `SELECT key, value, COALESCE(expires_at, 0) `
)

// scan yields the visible entries of s in the snapshot. Without values it doesn't read them.
func (u *Unit) scan(rx *db.Rx, s span, reverse, values bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		query := keyOnly + scanColumns
		if values {
			query = keyValue + scanColumns
		}
		args := []any{u.from.App, s.collection, cloud.TimeOf(rx.Now), s.from}
		if s.to != "" {
			query += scanEnd
			args = append(args, s.to)
		}
		if reverse {
			query += scanDown
		} else {
			query += scanUp
		}
		rows, err := rx.Query(query, args...)
		if err != nil {
			yield(Entry{}, fmt.Errorf("list entries: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var e Entry
			var expires cloud.Time
			if err := rows.Scan(&e.Key, (*[]byte)(&e.Value), &expires); err != nil {
				yield(Entry{}, fmt.Errorf("list entries: %w", err))
				return
			}
			u.reads.sawExpiry(expires)
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Entry{}, fmt.Errorf("list entries: %w", err))
		}
	}
}

// span is the range of keys that o asks for.
func (o ListOptions) span(collection string) (span, error) {
	if err := checkCollection(collection); err != nil {
		return span{}, err
	}
	switch {
	case len(o.Prefix) > MaxKey, !utf8.ValidString(o.Prefix):
		return span{}, cloud.Errorf(cloud.Invalid, "the prefix is no beginning of a key: those are valid UTF-8 of at most %d bytes", MaxKey)
	case o.Limit < 0:
		return span{}, cloud.Errorf(cloud.Invalid, "the limit is negative: give 1 to %d", MaxList)
	}
	s := span{collection: collection, prefix: o.Prefix, from: o.Prefix, to: prefixEnd(o.Prefix)}
	if o.Cursor == "" {
		return s, nil
	}
	key, err := decodeCursor(o.direction(), o.Cursor)
	if err != nil {
		return span{}, err
	}
	if !strings.HasPrefix(key, o.Prefix) {
		return span{}, errCursor
	}
	if o.Reverse {
		s.to = key
	} else {
		s.from = after(key)
	}
	return s, nil
}

func (o ListOptions) limit() int {
	if o.Limit == 0 {
		return DefaultList
	}
	return min(o.Limit, MaxList)
}

// What a cursor goes on with: its first byte.
const (
	upwards     = 'u'
	downwards   = 'd'
	collections = 'c'
	topicNames  = 't'
)

func (o ListOptions) direction() byte {
	if o.Reverse {
		return downwards
	}
	return upwards
}

var errCursor = cloud.Errorf(cloud.Invalid, "the cursor is not one that this list answered: leave it out to start from the beginning")

// encodeCursor makes the cursor that goes on after last.
func encodeCursor(kind byte, last string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{kind}, last...))
}

func decodeCursor(kind byte, cursor string) (last string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < 2 || len(b) > 1+MaxKey || b[0] != kind || !utf8.Valid(b[1:]) || strings.ContainsAny(cursor, "\r\n") {
		return "", errCursor
	}
	return string(b[1:]), nil
}
