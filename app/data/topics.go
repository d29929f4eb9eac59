package data

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"picloud/app/cloud"
	"picloud/db"
)

// Bounds of topics and messages.
const (
	MaxTopic   = 128       // bytes of a name
	MaxMessage = 256 << 10 // bytes of JSON
	maxTopics  = 1000      // registered, of one app
)

// Who may subscribe from outside to a topic that is registered for it.
const (
	AuthPublic = "public"
	AuthToken  = "token" // who has a token that a script made
)

// Topic is a registered topic. Publishing needs no registration: what isn't registered is
// for the app's own triggers.
type Topic struct {
	Topic                string     `json:"topic"`
	ExternalSubscribable bool       `json:"external_subscribable"`
	AuthMode             string     `json:"auth_mode"` // public | token
	CreatedAt            cloud.Time `json:"created_at"`
	UpdatedAt            cloud.Time `json:"updated_at"`
}

// CheckTopic tells what is wrong with the name of a topic (Invalid).
func CheckTopic(name string) error {
	if err := checkText("topic", name, MaxTopic); err != nil {
		return err
	}
	if strings.ContainsRune(name, '*') {
		return cloud.Errorf(cloud.Invalid, `the topic %q has a "*": that is for triggers, which may listen to several`, name)
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return cloud.Errorf(cloud.Invalid, "the topic has control characters")
	}
	return nil
}

func checkMessage(m json.RawMessage) error {
	switch {
	case len(m) == 0:
		return cloud.Errorf(cloud.Invalid, "there is no message: null is one")
	case len(m) > MaxMessage:
		return cloud.Errorf(cloud.Invalid, "the message has %d bytes of JSON: at most %d are allowed; publish a key of what you stored", len(m), MaxMessage)
	}
	return checkValue(m)
}

// Publish publishes a message when the execution commits. It counts as one write, with the
// bytes of the topic and the message.
func (u *Unit) Publish(topic string, message json.RawMessage) error {
	if err := CheckTopic(topic); err != nil {
		return err
	}
	if err := checkMessage(message); err != nil {
		return err
	}
	return u.DeferBytes(len(topic)+len(message), func(ctx context.Context, tx *db.Tx) error {
		return u.s.publish(ctx, tx, u.from, topic, message)
	})
}

// Publish publishes a message as somebody who operates the app, and says when.
func (s *Store) Publish(ctx context.Context, from cloud.Origin, topic string, message json.RawMessage) (at cloud.Time, err error) {
	if err := CheckTopic(topic); err != nil {
		return 0, err
	}
	if err := checkMessage(message); err != nil {
		return 0, err
	}
	err = s.db.UpdateFor(ctx, db.Cause{App: from.App}, func(ctx context.Context, tx *db.Tx) error {
		at = cloud.TimeOf(tx.Now)
		return s.publish(ctx, tx, from, topic, message)
	})
	return at, err
}

// publish makes the rows of the triggers that listen, in the transaction of the publisher, and
// lets subscribers from outside know when that commits.
func (s *Store) publish(ctx context.Context, tx *db.Tx, from cloud.Origin, topic string, message json.RawMessage) error {
	detail := published(topic, message, cloud.TimeOf(tx.Now))
	payload := make([]byte, 0, len(detail)+48)
	payload = append(append(append(payload, `{"source":"pubsub","op":"publish","pubsub":`...), detail...), '}')
	var external bool
	err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM topics WHERE app_id = ? AND name = ? AND external_subscribable = 1)`, from.App, topic).Scan(&external)
	if err != nil {
		return fmt.Errorf("look up a topic: %w", err)
	}
	if external {
		tx.AfterCommit(func() { s.hub.publish(topicID{from.App, topic}, detail) })
	}
	return s.out.Emit(ctx, tx, from, cloud.Event{Source: cloud.SourcePubSub, Op: "publish", Match: topic, Payload: payload})
}

// published is a message as its receivers see it.
func published(topic string, message json.RawMessage, at cloud.Time) json.RawMessage {
	b := make([]byte, 0, len(topic)+len(message)+80)
	b = appendString(append(b, `{"topic":`...), topic)
	b = append(append(b, `,"message":`...), message...)
	b = append(append(b, `,"published_at":"`...), at.String()...)
	return append(b, `"}`...)
}

var errNoTopic = cloud.Errorf(cloud.NotFound, "the app has registered no such topic")

const topicColumns = `name, external_subscribable, auth_mode, created_at, updated_at`

func scanTopic(row interface{ Scan(...any) error }) (*Topic, error) {
	t := &Topic{}
	return t, row.Scan(&t.Topic, &t.ExternalSubscribable, &t.AuthMode, (*int64)(&t.CreatedAt), (*int64)(&t.UpdatedAt))
}

// Topic is one registered topic of the app; NotFound when it isn't registered.
func (s *Store) Topic(ctx context.Context, app cloud.AppID, name string) (t *Topic, err error) {
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		t, err = topicOf(rx, app, name)
		return err
	})
	return t, err
}

func topicOf(rx *db.Rx, app cloud.AppID, name string) (*Topic, error) {
	t, err := scanTopic(rx.QueryRow(`SELECT `+topicColumns+` FROM topics WHERE app_id = ? AND name = ?`, app, name))
	switch {
	case err == sql.ErrNoRows:
		return nil, errNoTopic
	case err != nil:
		return nil, fmt.Errorf("read a topic: %w", err)
	}
	return t, nil
}

// Topics lists an app's registered topics by name.
func (s *Store) Topics(ctx context.Context, app cloud.AppID, p cloud.Page) (list []*Topic, next string, err error) {
	after := ""
	if p.Cursor != "" {
		if after, err = decodeCursor(topicNames, p.Cursor); err != nil {
			return nil, "", err
		}
	}
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT `+topicColumns+` FROM topics WHERE app_id = ? AND name > ? ORDER BY name LIMIT ?`, app, after, p.Clamp()+1)
		if err != nil {
			return fmt.Errorf("list topics: %w", err)
		}
		defer rows.Close()
		list = nil
		for rows.Next() {
			t, err := scanTopic(rows)
			if err != nil {
				return fmt.Errorf("list topics: %w", err)
			}
			list = append(list, t)
		}
		return rows.Err()
	})
	if len(list) > p.Clamp() {
		list = list[:p.Clamp()]
		next = encodeCursor(topicNames, list[len(list)-1].Topic)
	}
	return list, next, err
}

// PutTopic registers a topic, or changes one: subscribers from outside must come again.
func (s *Store) PutTopic(ctx context.Context, app cloud.AppID, t Topic) (*Topic, error) {
	if err := CheckTopic(t.Topic); err != nil {
		return nil, err
	}
	if t.AuthMode != AuthPublic && t.AuthMode != AuthToken {
		return nil, cloud.Errorf(cloud.Invalid, "auth_mode is %q: write public or token", t.AuthMode)
	}
	var stored *Topic
	err := s.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		if err := roomForTopic(tx.Rx, app, t.Topic); err != nil {
			return err
		}
		_, err := tx.Exec(`
			INSERT INTO topics (app_id, name, external_subscribable, auth_mode, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (app_id, name) DO UPDATE SET external_subscribable = excluded.external_subscribable,
				auth_mode = excluded.auth_mode, updated_at = excluded.updated_at`,
			app, t.Topic, t.ExternalSubscribable, t.AuthMode, tx.Now.UnixMilli(), tx.Now.UnixMilli())
		if err != nil {
			return fmt.Errorf("register a topic: %w", err)
		}
		tx.AfterCommit(func() { s.hub.end(topicID{app, t.Topic}) })
		stored, err = topicOf(tx.Rx, app, t.Topic)
		return err
	})
	return stored, err
}

func roomForTopic(rx *db.Rx, app cloud.AppID, name string) error {
	var others int
	if err := rx.QueryRow(`SELECT count(*) FROM topics WHERE app_id = ? AND name != ?`, app, name).Scan(&others); err != nil {
		return fmt.Errorf("count topics: %w", err)
	}
	if others >= maxTopics {
		return cloud.Errorf(cloud.Conflict, "the app has registered %d topics, and no more are allowed: delete one that nobody needs", others)
	}
	return nil
}

// DeleteTopic makes a topic internal again.
func (s *Store) DeleteTopic(ctx context.Context, app cloud.AppID, name string) error {
	return s.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		res, err := tx.Exec(`DELETE FROM topics WHERE app_id = ? AND name = ?`, app, name)
		if err != nil {
			return fmt.Errorf("delete a topic: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return orElse(err, errNoTopic)
		}
		tx.AfterCommit(func() { s.hub.end(topicID{app, name}) })
		return nil
	})
}

// ExternalTopic is the topic of that name to which subscribers from outside may listen: the
// app's, or, with a zero app, that of whichever app opened it first. NotFound when there is
// none.
func (s *Store) ExternalTopic(ctx context.Context, app cloud.AppID, name string) (owner cloud.AppID, t *Topic, err error) {
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		owner = app
		if app.IsZero() {
			err := rx.QueryRow(`SELECT app_id FROM topics WHERE name = ? AND external_subscribable = 1 ORDER BY created_at, app_id LIMIT 1`, name).Scan(&owner)
			if err != nil && err != sql.ErrNoRows {
				return fmt.Errorf("look for a topic: %w", err)
			}
		}
		t, err = topicOf(rx, owner, name)
		if err == nil && !t.ExternalSubscribable {
			err = errNoTopic
		}
		return err
	})
	return owner, t, err
}

// ForgetApp ends the subscriptions to an app that was deleted, and its series of metrics.
func (s *Store) ForgetApp(app cloud.AppID) {
	s.hub.endApp(app)
	s.metrics.bytesWritten.DeleteLabelValues(app.String())
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
