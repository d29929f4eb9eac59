package sdk

import (
	"strings"
	"testing"
)

func TestInvokeLaterOptions(t *testing.T) { onEngines(t, false, checkInvokeLaterOptions) }

// Here nothing can be invoked: options that are well-formed come as far as that.
func checkInvokeLaterOptions(t *testing.T, s *sandbox) {
	tests := []struct{ name, options, want string }{
		{"none", `undefined`, "forbidden: "},
		{"null", `null`, "forbidden: "},
		{"empty", `{}`, "forbidden: "},
		{"a delay", `{delaySeconds: 1.5}`, "forbidden: "},
		{"a number", `60`, "invalid: options: want an object such as { delaySeconds: 60 }, not a number"},
		{"a list", `[]`, "invalid: options: want an object such as { delaySeconds: 60 }, not a list"},
		{"a function", `function () {}`, "invalid: options: want an object such as { delaySeconds: 60 }, not a function"},
		{"an unknown one", `{delay: 60}`, "invalid: invoke.later has no option delay: there is delaySeconds"},
		{"a delay that is no number", `{delaySeconds: 0 / 0}`, "invalid: argument 3 is NaN"},
		{"a delay in text", `{delaySeconds: "60"}`, "invalid: the options: delayseconds must not be a string"},
		{"a negative delay", `{delaySeconds: -1}`, "invalid: delaySeconds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.thrown(`invoke.later("work", null, ` + tt.options + `)`); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
