package web

import (
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
)

// draw writes a tree as name(children…); names are the last byte of the ids.
func draw(l *link) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%s", l.ID[15], l.Status)
	if len(l.Children) > 0 {
		b.WriteString("(")
		for i, c := range l.Children {
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString(draw(c))
		}
		b.WriteString(")")
	}
	return b.String()
}

func TestTree(t *testing.T) {
	t.Parallel()
	var app cloud.AppID
	app[0] = 1
	id := func(n byte) (x cloud.ExecutionID) { x[15] = n; return x }
	ran := func(n, parent, event byte, status cloud.Status) *cloud.Execution {
		x := &cloud.Execution{ID: id(n), AppID: app, ParentID: id(parent), RootExecutionID: id(1), Status: status, StartedAt: cloud.Time(n)}
		if event != 0 {
			x.EventID = cloud.RowID(id(event))
		}
		return x
	}
	for _, tt := range []struct {
		name        string
		ran, events []*cloud.Execution
		want        string
	}{
		{"alone", []*cloud.Execution{ran(1, 0, 0, "success")}, nil, "1:success"},
		{"a handler that succeeded at once", []*cloud.Execution{ran(1, 0, 0, "success"), ran(2, 1, 9, "success")}, nil, "1:success(2:success)"},
		{"a handler that succeeded at last", []*cloud.Execution{ran(1, 0, 0, "success"), ran(2, 1, 9, "error"), ran(3, 1, 9, "success")}, nil, "1:success(9:success(2:error 3:success))"},
		{"an event that waits", []*cloud.Execution{ran(1, 0, 0, "success")}, []*cloud.Execution{ran(9, 1, 0, "queued")}, "1:success(9:queued)"},
		{"a dead letter and its handler", []*cloud.Execution{ran(1, 0, 0, "success"), ran(2, 1, 9, "error"), ran(3, 1, 9, "error"), ran(4, 3, 10, "success")},
			[]*cloud.Execution{ran(9, 1, 0, "dead")}, "1:success(9:dead(2:error 3:error(4:success)))"},
		{"an asynchronous root", []*cloud.Execution{ran(5, 0, 1, "success"), ran(6, 5, 7, "success")}, nil, "1:success(5:success(6:success))"},
		{"an asynchronous root whose first attempt has its id", []*cloud.Execution{ran(1, 0, 1, "error"), ran(5, 0, 1, "error")}, []*cloud.Execution{ran(1, 0, 0, "queued")}, "1:queued(5:error)"},
		{"the parent's log is gone", []*cloud.Execution{ran(3, 2, 9, "success")}, nil, "1:success(3:success)"},
		{"a circle", []*cloud.Execution{ran(1, 0, 0, "success"), ran(2, 3, 0, "success"), ran(3, 2, 0, "success")}, nil, "1:success(2:success 3:success)"},
		{"another app's are left out", []*cloud.Execution{ran(1, 0, 0, "success"), {ID: id(2), ParentID: id(1)}}, nil, "1:success"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := ran(1, 0, 0, "success")
			if got := draw(tree(id(1), app, tt.ran, tt.events, asked)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
