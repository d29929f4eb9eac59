package data

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	id := cloud.NewID[cloud.ExecutionID]()
	inv := &cloud.Invocation{ID: id, Root: id, App: r.app}
	u := r.Begin(inv, cloud.Limits{Writes: 2, WriteBytes: 64}, nil)
	if err := u.Publish("jobs/done", json.RawMessage(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := r.out.take(); len(got) != 0 {
		t.Errorf("before the commit: got %v", got)
	}
	if err := u.Publish("t", json.RawMessage(`"`+strings.Repeat("x", 64)+`"`)); cloud.KindOf(err) != cloud.BudgetExceeded {
		t.Errorf("bytes over the budget: got %v", err)
	}
	if err := u.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.out.take()
	if len(got) != 1 || !strings.HasPrefix(got[0], `publish jobs/done {"source":"pubsub","op":"publish","pubsub":{"topic":"jobs/done","message":{"n":1},"published_at":"20`) {
		t.Errorf("got %v", got)
	}
	if from := r.out.from[0]; from.App != r.app || from.Execution != id {
		t.Errorf("from: got %+v", from)
	}

	// A person's message starts a chain of its own.
	if at, err := r.Store.Publish(t.Context(), cloud.Origin{App: r.app}, "a", json.RawMessage("null")); err != nil || at == 0 {
		t.Errorf("got %v, %v", at, err)
	}
	for _, tt := range []struct{ topic, message, part string }{
		{"", "1", "topic is empty"},
		{strings.Repeat("t", MaxTopic+1), "1", "at most 128"},
		{"a*", "1", "triggers"},
		{"a\nb", "1", "control"},
		{"a\xff", "1", "UTF-8"},
		{"a", "", "no message"},
		{"a", "{", "JSON"},
		{"a", `"` + strings.Repeat("x", MaxMessage) + `"`, "at most 262144"},
	} {
		_, err := r.Store.Publish(t.Context(), cloud.Origin{App: r.app}, tt.topic, json.RawMessage(tt.message))
		if cloud.KindOf(err) != cloud.Invalid || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("topic %.20q, message %.10q: got %v, want an invalid with %q", tt.topic, tt.message, err, tt.part)
		}
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	other := r.addApp("other")
	for i := range 3 {
		if _, err := r.PutTopic(t.Context(), r.app, Topic{Topic: fmt.Sprintf("t%d", i), ExternalSubscribable: i > 0, AuthMode: AuthToken}); err != nil {
			t.Fatal(err)
		}
	}
	page, next, err := r.Topics(t.Context(), r.app, cloud.Page{Limit: 2})
	if err != nil || len(page) != 2 || page[0].Topic != "t0" || page[0].ExternalSubscribable || next == "" {
		t.Fatalf("first page: got %v, %q, %v", page, next, err)
	}
	if page, next, err = r.Topics(t.Context(), r.app, cloud.Page{Limit: 2, Cursor: next}); err != nil || len(page) != 1 || page[0].Topic != "t2" || next != "" {
		t.Errorf("second page: got %v, %q, %v", page, next, err)
	}
	if _, _, err := r.Topics(t.Context(), r.app, cloud.Page{Cursor: "x"}); err != errCursor {
		t.Errorf("a made-up cursor: got %v", err)
	}
	changed, err := r.PutTopic(t.Context(), r.app, Topic{Topic: "t1", AuthMode: AuthPublic})
	if err != nil || changed.ExternalSubscribable || changed.AuthMode != AuthPublic || changed.CreatedAt == 0 {
		t.Errorf("changed: got %+v, %v", changed, err)
	}
	for _, err := range []error{
		func() error { _, err := r.Topic(t.Context(), other, "t1"); return err }(),
		r.DeleteTopic(t.Context(), other, "t1"),
		r.DeleteTopic(t.Context(), r.app, "nothing"),
	} {
		if cloud.KindOf(err) != cloud.NotFound {
			t.Errorf("another app's topic, or none: got %v", err)
		}
	}
	if err := r.DeleteTopic(t.Context(), r.app, "t1"); err != nil {
		t.Error(err)
	}
	if _, err := r.PutTopic(t.Context(), r.app, Topic{Topic: "a", AuthMode: "secret"}); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("auth_mode: got %v", err)
	}
}
