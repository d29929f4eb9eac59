package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

func adminCall() *cloud.Invocation {
	inv := publicCall()
	inv.Principal = &cloud.Principal{User: cloud.NewID[cloud.UserID](), Username: "ada", Role: cloud.Member, Roles: map[cloud.AppID]cloud.Role{inv.App: cloud.AppAdmin}}
	return inv
}

// letter stores an open dead letter of the app, with a payload of size bytes.
func (s *sandbox) letter(app cloud.AppID, size int) cloud.DeadLetterID {
	s.t.Helper()
	id := cloud.NewID[cloud.DeadLetterID]()
	event, root := cloud.NewID[cloud.RowID](), cloud.NewID[cloud.ExecutionID]()
	payload, _ := json.Marshal(map[string]any{"source": "kv", "op": "insert", "kv": map[string]string{"collection": "a", "key": strings.Repeat("k", size)}})
	must(s.t, s.db.Update(s.t.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO dead_letters (id, app_id, original_event_id, source, op, trigger_depth, root_execution_id, attempt_count, attempts,
				first_attempt_at, last_attempt_at, last_error, created_at, payload)
			VALUES (?, ?, ?, 'kv', 'insert', 1, ?, 1, '[]', 1, 1, 'no', 1, ?)`, id, app, event, root, string(payload))
		return err
	}))
	return id
}

func (s *sandbox) resolution(id cloud.DeadLetterID) (resolution, reason string) {
	s.t.Helper()
	must(s.t, s.db.View(s.t.Context(), func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT coalesce(resolution, 'open'), coalesce(reason, '') FROM dead_letters WHERE id = ?`, id).Scan(&resolution, &reason)
	}))
	return resolution, reason
}

func TestDeadLetters(t *testing.T) { onEngines(t, true, checkDeadLetters) }

func checkDeadLetters(t *testing.T, s *sandbox) {
	inv := adminCall()
	s.begin(inv)
	resolved, ignored, replayed, kept := s.letter(inv.App, 1), s.letter(inv.App, 1), s.letter(inv.App, 1), s.letter(inv.App, 1)
	s.value(fmt.Sprintf(`deadLetters.resolve(%q, "seen"); deadLetters.resolve(%q, "ignored"); deadLetters.replay(%q); return null`, resolved, ignored, replayed))
	if got, _ := s.resolution(resolved); got != "open" {
		t.Errorf("before the commit the letter is %s, want open", got)
	}
	must(t, s.call.Unit.Commit(t.Context()))
	for _, tt := range []struct {
		id           cloud.DeadLetterID
		want, reason string
	}{{resolved, "handled_by_script", "seen"}, {ignored, "ignored", "ignored"}, {replayed, "replayed", ""}, {kept, "open", ""}} {
		if got, reason := s.resolution(tt.id); got != tt.want || reason != tt.reason {
			t.Errorf("got %s %q, want %s %q", got, reason, tt.want, tt.reason)
		}
	}
	got := s.value(`var p = deadLetters.list({unresolved: true}), all = deadLetters.list(); return [p.dead_letters.length, p.dead_letters[0].payload.kv.collection, p.next_cursor, all.dead_letters.length]`)
	if got != `[1,"a",null,4]` {
		t.Errorf("got %s", got)
	}
	if got := s.thrown(fmt.Sprintf(`deadLetters.replay(%q)`, resolved)); !strings.HasPrefix(got, "conflict: ") {
		t.Errorf("a resolved letter: got %q, want conflict", got)
	}
}

func TestDeadLettersRefuse(t *testing.T) { onEngines(t, true, checkDeadLettersRefuse) }

func checkDeadLettersRefuse(t *testing.T, s *sandbox) {
	inv, public := adminCall(), publicCall()
	s.begin(public)
	theirs := s.letter(public.App, 1)
	s.begin(inv)
	ours := s.letter(inv.App, 1)
	viewer := adminCall()
	viewer.App, viewer.Principal.Roles = inv.App, map[cloud.AppID]cloud.Role{inv.App: cloud.Editor}
	for _, tt := range []struct {
		name         string
		inv          *cloud.Invocation
		script, want string
	}{
		{"the public", public, fmt.Sprintf(`deadLetters.replay(%q)`, theirs), "forbidden: "},
		{"the public lists", public, `deadLetters.list()`, "forbidden: "},
		{"an editor", viewer, fmt.Sprintf(`deadLetters.resolve(%q, "x")`, ours), "forbidden: "},
		{"another app's", inv, fmt.Sprintf(`deadLetters.resolve(%q, "x")`, theirs), "not_found: "},
		{"an unknown id", inv, fmt.Sprintf(`deadLetters.replay(%q)`, cloud.NewID[cloud.DeadLetterID]()), "not_found: "},
		{"no id at all", inv, `deadLetters.replay()`, "invalid: "},
		{"nonsense", inv, `deadLetters.replay("x")`, "not_found: "},
		{"twice", inv, fmt.Sprintf(`deadLetters.resolve(%q); deadLetters.replay(%q)`, ours, ours), "conflict: "},
		{"a long reason", inv, fmt.Sprintf(`deadLetters.resolve(%q, new Array(1100).join("x"))`, ours), "invalid: "},
		{"a limit", inv, `deadLetters.list({limit: 201})`, "invalid: "},
		{"a cursor", inv, `deadLetters.list({cursor: "zz"})`, "invalid: the cursor is not one"},
		{"a filter that isn't one", inv, `deadLetters.list({unresolvd: true})`, "invalid: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.begin(tt.inv)
			if got := s.thrown(tt.script); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDeadLetterPages(t *testing.T) { onEngines(t, true, checkDeadLetterPages) }

func checkDeadLetterPages(t *testing.T, s *sandbox) {
	inv := adminCall()
	s.begin(inv)
	for range 12 {
		s.letter(inv.App, 1)
	}
	const walk = `var all = [], cursor, p; do { p = deadLetters.list({limit: LIMIT, cursor: cursor}); all.push(p.dead_letters.length); cursor = p.next_cursor; } while (cursor); return all`
	if got := s.value(strings.Replace(walk, "LIMIT", "11", 1)); got != `[11,1]` {
		t.Errorf("got pages of %s", got)
	}
	for range 3 {
		s.letter(inv.App, 2<<20)
	}
	s.begin(inv)
	if got := s.value(strings.Replace(walk, "LIMIT", "200", 1)); got != `[10,5]` {
		t.Errorf("with large letters: got pages of %s, want the first one cut", got)
	}
}
