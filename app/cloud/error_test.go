package cloud

import (
	"errors"
	"fmt"
	"testing"
)

type trouble struct{ lasts bool }

func (trouble) Error() string             { return "code 13" }
func (t trouble) Trouble() (string, bool) { return "the disk is full", t.lasts }

func TestKindAndMessage(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		kind    Kind
		message string
		passing bool
	}{
		{"none", nil, "", "", false},
		{"of ours", Errorf(NotFound, "no such app"), NotFound, "no such app", false},
		{"trouble", fmt.Errorf("write: %w", trouble{}), Overloaded, "the disk is full", true},
		{"trouble that lasts", fmt.Errorf("write: %w", trouble{lasts: true}), Internal, "the disk is full", false},
		{"ours about trouble", Errorf(Conflict, "busy").WithCause(trouble{}), Conflict, "busy", true},
		{"anything else", errors.New("SELECT"), Internal, Message(errors.New("x")), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := KindOf(tt.err); got != tt.kind {
				t.Errorf("kind: got %q, want %q", got, tt.kind)
			}
			if tt.err == nil {
				return
			}
			if got := Message(tt.err); got != tt.message {
				t.Errorf("message: got %q, want %q", got, tt.message)
			}
			if got := Passing(tt.err); got != tt.passing {
				t.Errorf("passing: got %v, want %v", got, tt.passing)
			}
		})
	}
}
