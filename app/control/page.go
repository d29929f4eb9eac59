package control

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// position is where a page ends: an id, or a number in its last eight bytes.
type position [16]byte

var (
	firstPosition position
	lastPosition  = position(bytes.Repeat([]byte{0xff}, 16))
)

func positionOf(n int) (p position) {
	binary.BigEndian.PutUint64(p[8:], uint64(n))
	return p
}

func (p position) number() int { return int(binary.BigEndian.Uint64(p[8:])) }

func (p position) cursor() string { return base64.RawURLEncoding.EncodeToString(p[:]) }

// after is the position in a page's cursor, otherwise for the first page.
func after(p cloud.Page, otherwise position) (position, error) {
	if p.Cursor == "" {
		return otherwise, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err != nil || len(b) != len(otherwise) || p.Cursor != position(b).cursor() { // the decoder passes over line ends
		return position{}, cloud.Errorf(cloud.BadRequest, "cursor: not one that a list has answered; leave it out to begin at the first page")
	}
	return position(b), nil
}

// maxPageBytes ends a page of large items early.
const maxPageBytes = 8 << 20

// lister reads one page of a list that is ordered by its position.
type lister[T any] struct {
	first position
	query string // its last two parameters are the position and the limit
	args  []any
	scan  func(*sql.Rows) (T, error)
	at    func(T) position
	bytes func(T) int // nil: items are small
	key   func(position) any
}

func (l lister[T]) page(ctx context.Context, d *db.DB, p cloud.Page) (items []T, next string, err error) {
	if l.first, err = after(p, l.first); err != nil {
		return nil, "", err
	}
	err = d.View(ctx, func(ctx context.Context, rx *db.Rx) error {
		items, next, err = l.read(rx, p.Clamp())
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("read a page: %w", err)
	}
	return items, next, nil
}

func (l lister[T]) read(rx *db.Rx, limit int) (items []T, next string, err error) {
	from := any(l.first[:])
	if l.key != nil {
		from = l.key(l.first)
	}
	rows, err := rx.Query(l.query, append(l.args[:len(l.args):len(l.args)], from, limit+1)...)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	items = []T{}
	size := 0
	for rows.Next() {
		if len(items) == limit || size > maxPageBytes {
			return items, l.at(items[len(items)-1]).cursor(), rows.Err()
		}
		item, err := l.scan(rows)
		if err != nil {
			return nil, "", err
		}
		items = append(items, item)
		if l.bytes != nil {
			size += l.bytes(item)
		}
	}
	return items, "", rows.Err()
}
