package cloud

import (
	"slices"
	"testing"
)

func TestUsableScopes(t *testing.T) {
	t.Parallel()
	a, b := NewID[AppID](), NewID[AppID]()
	viewer := []Scope{ScopeScriptRead, ScopeLogRead}
	for _, tt := range []struct {
		name string
		p    Principal
		want []Scope
	}{
		{"owner", Principal{Role: Owner}, Scopes},
		{"admin", Principal{Role: Admin}, Scopes},
		{"member of nothing", Principal{Role: Member}, nil},
		{"viewer", Principal{Role: Member, Roles: map[AppID]Role{a: Viewer}}, viewer},
		{"the best role counts", Principal{Role: Member, Roles: map[AppID]Role{a: Viewer, b: Editor}}, []Scope{ScopeScriptRead, ScopeScriptWrite, ScopeRouteWrite, ScopeLogRead}},
		{"app admin", Principal{Role: Member, Roles: map[AppID]Role{a: AppAdmin}}, Scopes[:6]},
		{"a role that is none", Principal{Role: Member, Roles: map[AppID]Role{a: "king"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.p.UsableScopes(); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
