package sdk

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/db"
)

// events is an Emitter that keeps what was emitted last.
type events struct{ last string }

func (e *events) Emit(_ context.Context, _ *db.Tx, _ cloud.Origin, ev cloud.Event) error {
	e.last = fmt.Sprintf("%s %s %s", ev.Source, ev.Match, ev.Payload)
	return nil
}

func TestPubSub(t *testing.T) { onEngines(t, true, checkPubSub) }

func checkPubSub(t *testing.T, s *sandbox) {
	seen := &events{}
	s.services.Data = data.New(s.db, seen, data.Options{Tokens: data.TokenOptions{Key: []byte("key")}})
	s.begin(publicCall())
	s.value(`pubsub.publishDurable("orders", {id: 1, tags: ["a"]}); return null`)
	must(t, s.db.Update(t.Context(), s.call.Unit.Apply))
	if !strings.HasPrefix(seen.last, `pubsub orders {"source":"pubsub","op":"publish","pubsub":{"topic":"orders","message":{"id":1,"tags":["a"]},"published_at":"`) {
		t.Errorf("got %s", seen.last)
	}
	token := s.value(`return pubsub.subscriberToken("orders", 60)`)
	if _, err := s.services.Data.CheckSubscriberToken(strings.Trim(token, `"`), s.call.Inv.App, "orders", time.Now()); err != nil {
		t.Errorf("token %s: %v", token, err)
	}
	for source, want := range map[string]string{
		`pubsub.publishDurable("", 1)`:                                       "invalid: the topic is empty",
		`pubsub.publishDurable("a*", 1)`:                                     "invalid: the topic",
		`pubsub.subscriberToken([])`:                                         "invalid: a token is for 1 to 64 topics",
		`pubsub.subscriberToken(["a*b"])`:                                    "invalid: the topic",
		`pubsub.subscriberToken(7)`:                                          "invalid: the list of topics",
		`pubsub.subscriberToken("a", "soon")`:                                "invalid: ttlSeconds",
		`pubsub.publishDurable(7, 1)`:                                        "invalid: ",
		`pubsub.publishDurable("a")`:                                         "invalid: the message is undefined",
		`pubsub.publishDurable("a", function(){})`:                           "invalid: the message is a function",
		`pubsub.publishDurable("a", "` + strings.Repeat("x", 300_000) + `")`: "invalid: the message has",
	} {
		if got := s.thrown(source); !strings.HasPrefix(got, want) {
			t.Errorf("%.50s: got %q, want %q", source, got, want)
		}
	}
	inv := publicCall()
	inv.Principal = &cloud.Principal{User: cloud.NewID[cloud.UserID](), Username: "eve", Role: cloud.Member, Roles: map[cloud.AppID]cloud.Role{inv.App: cloud.Viewer}}
	s.begin(inv)
	if got := s.thrown(`pubsub.publishDurable("a", 1)`); !strings.HasPrefix(got, "forbidden: ") {
		t.Errorf("a viewer: got %q, want forbidden", got)
	}
	if got := s.thrown(`pubsub.subscriberToken("a")`); !strings.HasPrefix(got, "forbidden: ") {
		t.Errorf("a viewer's token: got %q, want forbidden", got)
	}
}
