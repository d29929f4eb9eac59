package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/app/outbox"
)

type contended struct{ error }

func (c contended) Unwrap() error { return c.error }

func (contended) Turn(context.Context) (func(), error) { return func() {}, nil }

func TestHost(t *testing.T) {
	errs := map[string]error{
		"test.value":     nil,
		"test.mistake":   cloud.Errorf(cloud.NotFound, "no \"such\" thing"),
		"test.wrapped":   fmt.Errorf("look: %w", cloud.Errorf(cloud.Forbidden, "not yours").WithCause(errors.New("SELECT secret"))),
		"test.budget":    cloud.Errorf(cloud.BudgetExceeded, "too much"),
		"test.contended": fmt.Errorf("apply: %w", contended{cloud.Errorf(cloud.Conflict, "changed")}),
		"test.broken":    errors.New("disk I/O error"),
		"test.fatal":     Fatal(cloud.Errorf(cloud.Conflict, "over")),
	}
	for op, err := range errs {
		funcs[op] = func(*Call, []byte) ([]byte, error) { return []byte("1"), err }
		t.Cleanup(func() { delete(funcs, op) })
	}
	tests := []struct {
		op, out string
		fatal   cloud.Kind
	}{
		{"test.value", "1", ""},
		{"test.mistake", `!["not_found","no \"such\" thing"]`, ""},
		{"test.wrapped", `!["forbidden","not yours"]`, ""},
		{"test.budget", `!["budget_exceeded","too much"]`, ""},
		{"test.contended", "", cloud.Conflict},
		{"test.broken", "", cloud.Internal},
		{"test.fatal", "", cloud.Conflict},
		{"test.none", "", cloud.Internal},
	}
	for _, tt := range tests {
		c := &Call{shared: &shared{}, Ctx: t.Context(), Inv: publicCall()}
		out, fatal := c.Host(tt.op, "[]")
		if out != tt.out || cloud.KindOf(fatal) != tt.fatal {
			t.Errorf("%s: got %q, %v; want %q, %q", tt.op, out, fatal, tt.out, tt.fatal)
		}
		if _, is := errors.AsType[outbox.Contended](fatal); is != (tt.op == "test.contended") {
			t.Errorf("%s: contended is %v", tt.op, is)
		}
	}
}

func TestHostEndsWithItsExecution(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(cloud.Errorf(cloud.Timeout, "the time limit was reached"))
	c := &Call{shared: &shared{}, Ctx: gone, Inv: publicCall()}
	for _, op := range []string{"time.now", "kv.get", "log.write"} {
		if out, fatal := c.Host(op, `["info","x","y"]`); out != "" || cloud.KindOf(fatal) != cloud.Timeout {
			t.Errorf("%s: got %q, %v; want the end", op, out, fatal)
		}
	}
	if len(c.Logs()) != 0 {
		t.Error("something was logged after the end")
	}
}

func TestFatal(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	if got, ok := FatalError(fmt.Errorf("call: %w", Fatal(why))); !ok || got != why {
		t.Errorf("got %v, %v", got, ok)
	}
	if got, ok := FatalError(why); ok || got != nil {
		t.Errorf("got %v, %v for what isn't fatal", got, ok)
	}
	if got, ok := FatalError(nil); ok || got != nil {
		t.Errorf("got %v, %v for nil", got, ok)
	}
	if !strings.Contains(Fatal(why).Error(), "why") {
		t.Error("the text got lost")
	}
}
