package web

import (
	"cmp"
	"context"
	"slices"

	"picloud/app/cloud"
)

// link is an execution, or an event that has not ended well, with what it led to.
type link struct {
	cloud.Execution
	Children []*link `json:"children"`
}

// chain joins what ran (from the log) with what still waits or gave up (from the outbox).
func (s *Server) chain(ctx context.Context, q *request, _ none) (*link, error) {
	root := q.execution.RootExecutionID
	if root.IsZero() {
		root = q.execution.ID
	}
	ran, err := s.Log.Chain(ctx, root)
	if err != nil {
		return nil, err
	}
	events, err := s.Outbox.EventsOf(ctx, root)
	if err != nil {
		return nil, err
	}
	return tree(root, q.appID, ran, events, q.execution), nil
}

// tree builds the chain of root. An event is a link of its own, with its attempts as
// children, while it is live or dead and when it took several attempts; one that was done at
// the first is just that execution. What names a parent that is not known (its log is gone)
// hangs below the root.
func tree(root cloud.ExecutionID, app cloud.AppID, ran, events []*cloud.Execution, asked *cloud.Execution) *link {
	t := chainTree{byID: map[cloud.ExecutionID]*link{}}
	attempts := map[cloud.RowID][]*cloud.Execution{}
	for _, x := range ran {
		if x.AppID == app && !x.EventID.IsZero() {
			attempts[x.EventID] = append(attempts[x.EventID], x)
		}
	}
	for _, e := range events {
		if e.AppID == app {
			t.add(withAttempts(e, attempts[cloud.RowID(e.ID)]), cloud.ExecutionID{})
		}
	}
	for _, x := range ran {
		if x.AppID != app {
			continue
		}
		event := cloud.ExecutionID(x.EventID)
		if t.byID[event] == nil && (len(attempts[x.EventID]) > 1 || event == root && x.ID != root) {
			last := complete(attempts[x.EventID][len(attempts[x.EventID])-1])
			last.ID = event
			t.add(last, cloud.ExecutionID{})
		}
		if x.ID != event || t.byID[event] == nil {
			t.add(complete(x), event)
		}
	}
	if t.byID[root] == nil {
		head := complete(asked)
		if head.ID != root {
			head = &cloud.Execution{ID: root, AppID: app, RootExecutionID: root, Logs: []cloud.LogLine{}}
		}
		t.add(head, cloud.ExecutionID{})
	}
	return t.grow(root)
}

type chainTree struct {
	links []*link // in the order they were added
	below map[*link]cloud.ExecutionID
	byID  map[cloud.ExecutionID]*link
}

// add adds a link below the event it is an attempt of, if that is a link.
func (t *chainTree) add(x *cloud.Execution, event cloud.ExecutionID) {
	l := &link{Execution: *x, Children: []*link{}}
	if t.below == nil {
		t.below = map[*link]cloud.ExecutionID{}
	}
	t.below[l] = x.ParentID
	if !event.IsZero() && event != x.ID && t.byID[event] != nil {
		t.below[l] = event
	}
	t.links = append(t.links, l)
	t.byID[x.ID] = l
}

// grow hangs every link below its parent. A link that would close a circle goes to the root.
func (t *chainTree) grow(root cloud.ExecutionID) *link {
	head := t.byID[root]
	for _, l := range t.links {
		if l == head || t.byID[l.ID] != l {
			continue
		}
		parent := t.byID[t.below[l]]
		if parent == nil || t.reaches(parent, l) {
			parent = head
		}
		parent.Children = append(parent.Children, l)
	}
	for _, l := range t.links {
		slices.SortStableFunc(l.Children, func(a, b *link) int {
			return cmp.Or(cmp.Compare(a.StartedAt, b.StartedAt), slices.Compare(a.ID[:], b.ID[:]))
		})
	}
	return head
}

// reaches reports whether the parents of from lead to to.
func (t *chainTree) reaches(from, to *link) bool {
	for range len(t.links) {
		if from == to {
			return true
		}
		if from = t.byID[t.below[from]]; from == nil {
			return false
		}
	}
	return true
}
