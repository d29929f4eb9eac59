package outbox

import (
	"slices"
	"testing"

	"picloud/app/cloud"
)

// What waits, runs or is dead is listed by its status, newest first, in pages.
func TestEventsByStatus(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	s, dead := b.script(b.app, never), b.script(b.app, never)
	b.addLetters(3, dead, b.now())
	b.fill(b.app, s, 3)
	newest := b.invocation(s)
	if err := b.Submit(t.Context(), newest); err != nil {
		t.Fatal(err)
	}
	claimed, err := b.claim(t.Context(), ordinary(b.app, 1), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claim: got %v, %v", claimed, err)
	}
	for _, tt := range []struct {
		name string
		q    EventQuery
		want int
	}{
		{"queued", EventQuery{Status: cloud.StatusQueued}, 3},
		{"running", EventQuery{Status: cloud.StatusRunning}, 1},
		{"dead", EventQuery{Status: cloud.StatusDead}, 3},
		{"dead of one script", EventQuery{Status: cloud.StatusDead, ScriptID: dead, Source: cloud.SourceHTTP}, 3},
		{"dead of another script", EventQuery{Status: cloud.StatusDead, ScriptID: s}, 0},
		{"queued of another source", EventQuery{Status: cloud.StatusQueued, Source: cloud.SourceKV}, 0},
		{"queued from tomorrow on", EventQuery{Status: cloud.StatusQueued, Since: b.now() + 86_400_000}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ids []string
			for page := (cloud.Page{Limit: 2}); ; {
				list, next, err := b.Events(t.Context(), b.app, tt.q, page)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range list {
					if x.Status != tt.q.Status {
						t.Errorf("got status %s, want %s", x.Status, tt.q.Status)
					}
					ids = append(ids, x.ID.String())
				}
				if page.Cursor = next; next == "" {
					break
				}
			}
			if tt.name == "queued" && ids[0] != newest.ID.String() {
				t.Errorf("got %s first, want the newest, %s", ids[0], newest.ID)
			}
			slices.Sort(ids)
			if len(slices.Compact(ids)) != tt.want {
				t.Errorf("got %v, want %d different ones", ids, tt.want)
			}
		})
	}
	if _, _, err := b.Events(t.Context(), b.app, EventQuery{Status: cloud.StatusQueued}, cloud.Page{Cursor: "x"}); cloud.KindOf(err) != cloud.Invalid && cloud.KindOf(err) != cloud.BadRequest {
		t.Errorf("a bad cursor: got %v", err)
	}
}
