package sdk

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/app/outbox"
	"picloud/db"
)

func TestQueue(t *testing.T) { onEngines(t, true, checkQueue) }

// queued lists what waits in a queue, as "body key".
func (s *sandbox) queued(app cloud.AppID, queue string) (list []string, ids []string) {
	s.t.Helper()
	messages, _, err := s.services.Outbox.Messages(s.t.Context(), app, queue, cloud.Page{})
	must(s.t, err)
	for _, m := range messages {
		list = append(list, strings.TrimSpace(string(m.Body)+" "+m.Key))
		ids = append(ids, m.ID.String())
	}
	return list, ids
}

func checkQueue(t *testing.T, s *sandbox) {
	inv := publicCall()
	s.begin(inv)
	answer := s.value(`var first = queue.enqueue("q", {a: [1]}, {key: "k"});
		return [first, queue.enqueue("q", null), queue.enqueue("q", "x", {dedupId: "1"}) === queue.enqueue("q", "y", {dedupId: "1"}), queue.enqueue("r", 5, {delaySeconds: 0.5})]`)
	if list, _ := s.queued(inv.App, "q"); len(list) != 0 {
		t.Errorf("before the commit: got %v, want nothing", list)
	}
	must(t, s.call.Unit.Commit(t.Context()))
	list, ids := s.queued(inv.App, "q")
	if got := strings.Join(list, ","); got != `{"a":[1]} k,null,"x"` {
		t.Errorf("queued: got %s", got)
	}
	if want := fmt.Sprintf(`["%s","%s",true,"`, ids[0], ids[1]); !strings.HasPrefix(answer, want) {
		t.Errorf("answered %s, want %s…", answer, want)
	}

	// The next execution of the app knows the id, too.
	again := publicCall()
	again.App = inv.App
	s.begin(again)
	if got := s.value(`return queue.enqueue("q", "z", {dedupId: "1"})`); got != `"`+ids[2]+`"` {
		t.Errorf("a second message got id %s, want %s", got, ids[2])
	}
	if !s.call.Unit.Empty() {
		t.Error("a message that is there already is an effect")
	}
}

func TestQueueRefuses(t *testing.T) { onEngines(t, true, checkQueueRefuses) }

func checkQueueRefuses(t *testing.T, s *sandbox) {
	for _, tt := range []struct{ name, script, want string }{
		{"no name", `queue.enqueue()`, "invalid: "},
		{"an empty name", `queue.enqueue("", 1)`, "invalid: the queue's name is empty"},
		{"a long name", `queue.enqueue(new Array(130).join("q"), 1)`, "invalid: the queue's name has 129 bytes"},
		{"no message", `queue.enqueue("q")`, "invalid: the message is undefined"},
		{"a large message", `queue.enqueue("q", new Array(262145).join("x"))`, "invalid: the message has"},
		{"an unknown option", `queue.enqueue("q", 1, {delay: 1})`, "invalid: enqueue has no option delay"},
		{"options that are none", `queue.enqueue("q", 1, 5)`, "invalid: options: want an object such as { delaySeconds: 60 }, not a number"},
		{"options in a list", `queue.enqueue("q", 1, [])`, "invalid: options: want an object such as { delaySeconds: 60 }, not a list"},
		{"a negative delay", `queue.enqueue("q", 1, {delaySeconds: -1})`, "invalid: delaySeconds"},
		{"an endless delay", `queue.enqueue("q", 1, {delaySeconds: 1e99})`, "invalid: delaySeconds"},
		{"a key that is a number", `queue.enqueue("q", 1, {key: 5})`, "invalid: key must be a string"},
		{"a long key", `queue.enqueue("q", 1, {key: new Array(258).join("k")})`, "invalid: the key has"},
		{"a long dedupId", `queue.enqueue("q", 1, {dedupId: new Array(258).join("k")})`, "invalid: the deduplication id has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.thrown(tt.script); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	inv := publicCall()
	inv.Principal = &cloud.Principal{Username: "ada", Role: cloud.Member, Roles: map[cloud.AppID]cloud.Role{inv.App: cloud.Viewer}}
	s.begin(inv)
	if got := s.thrown(`queue.enqueue("q", 1)`); !strings.HasPrefix(got, "forbidden: ") {
		t.Errorf("a viewer: got %q, want forbidden", got)
	}
	deep := publicCall()
	deep.Depth = 8
	s.begin(deep)
	if got := s.thrown(`queue.enqueue("q", 1)`); !strings.HasPrefix(got, "budget_exceeded: ") {
		t.Errorf("too deep: got %q, want budget_exceeded", got)
	}
	s.begin(publicCall())
	if got := s.thrown(`for (var i = 0; i < 20; i++) { queue.enqueue("q", new Array(262000).join("x")); }`); !strings.HasPrefix(got, "budget_exceeded: ") {
		t.Errorf("too many bytes: got %q, want budget_exceeded", got)
	}
	if !s.call.Unit.Empty() && s.call.Unit.Size() > data.DefaultWriteBytes {
		t.Errorf("%d bytes wait to be committed", s.call.Unit.Size())
	}
}

// When another execution sends the first message in between, the commit stores no second.
func TestQueueDeduplicatesAtTheCommit(t *testing.T) {
	onEngines(t, true, func(t *testing.T, s *sandbox) {
		inv := publicCall()
		s.begin(inv)
		s.value(`return queue.enqueue("q", "late", {dedupId: "1"})`)
		must(t, s.db.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
			_, _, err := s.services.Outbox.SendTx(tx, cloud.Origin{App: inv.App}, outbox.QueueInput{Queue: "q", Body: []byte(`"early"`), DeduplicationID: "1"})
			return err
		}))
		must(t, s.call.Unit.Commit(t.Context()))
		if list, _ := s.queued(inv.App, "q"); strings.Join(list, ",") != `"early"` {
			t.Errorf("queued: got %v, want early alone", list)
		}
	})
}
