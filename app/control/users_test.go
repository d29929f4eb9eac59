package control

import (
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	f := open(t)
	owner := f.as(f.user("owner1"))
	admin := f.as(f.user("admin1"))
	member := f.as(f.user("member1"))
	for _, c := range []struct {
		name string
		by   *cloud.Principal
		in   UserInput
		want cloud.Kind
		says string
	}{
		{"owner makes owner", owner, UserInput{"o2", password, cloud.Owner}, "", ""},
		{"owner makes admin", owner, UserInput{"a2", password, cloud.Admin}, "", ""},
		{"admin makes admin", admin, UserInput{"a3", password, cloud.Admin}, "", ""},
		{"admin makes member", admin, UserInput{"m2", password, cloud.Member}, "", ""},
		{"admin makes owner", admin, UserInput{"o3", password, cloud.Owner}, cloud.Forbidden, "only owners"},
		{"member makes member", member, UserInput{"m3", password, cloud.Member}, cloud.Forbidden, ""},
		{"name taken", owner, UserInput{"owner1", password, cloud.Member}, cloud.Conflict, "owner1"},
		{"name taken in other letters", owner, UserInput{"OWNER1", password, cloud.Member}, cloud.Conflict, "OWNER1"},
		{"no name", owner, UserInput{"", password, cloud.Member}, cloud.Invalid, "username"},
		{"name with a space", owner, UserInput{"a b", password, cloud.Member}, cloud.Invalid, "username"},
		{"long name", owner, UserInput{strings.Repeat("a", 65), password, cloud.Member}, cloud.Invalid, "username"},
		{"short password", owner, UserInput{"x", "elevenchars", cloud.Member}, cloud.Invalid, "password"},
		{"twelve characters that are more bytes", owner, UserInput{"x1", "ääääääääääää", cloud.Member}, "", ""},
		{"long password", owner, UserInput{"x", strings.Repeat("a", 1025), cloud.Member}, cloud.Invalid, "password"},
		{"no role", owner, UserInput{"x", password, ""}, cloud.Invalid, "instance_role"},
		{"unknown role", owner, UserInput{"x", password, "root"}, cloud.Invalid, "instance_role"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := f.CreateUser(ctx(), c.by, c.in)
			wantMessage(t, err, c.want, c.says)
			if err != nil {
				return
			}
			got, err := f.User(ctx(), u.ID)
			if err != nil || *got != *u || got.Username != c.in.Username || got.InstanceRole != c.in.Role || !got.IsActive {
				t.Errorf("got %+v, %v, want %+v", got, err, u)
			}
		})
	}
	_, err := f.User(ctx(), cloud.NewID[cloud.UserID]())
	wantKind(t, err, cloud.NotFound)
}

func ptr[T any](v T) *T { return &v }

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	f := open(t)
	ownerUser, adminUser, memberUser := f.user("owner1"), f.user("admin1"), f.user("member1")
	owner, admin, member := f.as(ownerUser), f.as(adminUser), f.as(memberUser)
	for _, c := range []struct {
		name string
		by   *cloud.Principal
		id   cloud.UserID
		p    UserPatch
		want cloud.Kind
	}{
		{"admin demotes an owner", admin, ownerUser.ID, UserPatch{Role: ptr(cloud.Member)}, cloud.Forbidden},
		{"admin deactivates an owner", admin, ownerUser.ID, UserPatch{IsActive: ptr(false)}, cloud.Forbidden},
		{"admin renames an owner", admin, ownerUser.ID, UserPatch{Username: ptr("x")}, cloud.Forbidden},
		{"admin sets an owner's password", admin, ownerUser.ID, UserPatch{Password: ptr(password)}, cloud.Forbidden},
		{"admin makes themselves an owner", admin, adminUser.ID, UserPatch{Role: ptr(cloud.Owner)}, cloud.Forbidden},
		{"admin makes a member an owner", admin, memberUser.ID, UserPatch{Role: ptr(cloud.Owner)}, cloud.Forbidden},
		{"member promotes themselves", member, memberUser.ID, UserPatch{Role: ptr(cloud.Admin)}, cloud.Forbidden},
		{"the last owner demotes themselves", owner, ownerUser.ID, UserPatch{Role: ptr(cloud.Admin)}, cloud.Conflict},
		{"the last owner deactivates themselves", owner, ownerUser.ID, UserPatch{IsActive: ptr(false)}, cloud.Conflict},
		{"one's own password without the current one", owner, ownerUser.ID, UserPatch{Password: ptr(password)}, cloud.Forbidden},
		{"a taken name", owner, memberUser.ID, UserPatch{Username: ptr("Admin1")}, cloud.Conflict},
		{"a bad name", owner, memberUser.ID, UserPatch{Username: ptr("")}, cloud.Invalid},
		{"a bad role", owner, memberUser.ID, UserPatch{Role: ptr(cloud.InstanceRole("x"))}, cloud.Invalid},
		{"a bad password", owner, memberUser.ID, UserPatch{Password: ptr("short")}, cloud.Invalid},
		{"nobody", owner, cloud.NewID[cloud.UserID](), UserPatch{}, cloud.NotFound},
		{"nothing", owner, ownerUser.ID, UserPatch{}, ""},
		{"admin renames a member", admin, memberUser.ID, UserPatch{Username: ptr("member.one")}, ""},
		{"owner demotes an admin", owner, adminUser.ID, UserPatch{Role: ptr(cloud.Member)}, ""},
		{"the demoted admin's old rights", admin, memberUser.ID, UserPatch{Username: ptr("again")}, cloud.Forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := f.User(ctx(), c.id)
			u, err := f.UpdateUser(ctx(), c.by, c.id, c.p)
			wantKind(t, err, c.want)
			if err == nil {
				before = u
			}
			if after, _ := f.User(ctx(), c.id); before != nil && *after != *before {
				t.Errorf("got %+v, want %+v", after, before)
			}
		})
	}
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	f := open(t)
	ownerUser, adminUser, memberUser := f.user("owner1"), f.user("admin1"), f.user("member1")
	owner, admin := f.as(ownerUser), f.as(adminUser)
	token := f.login(memberUser)
	_, key, err := f.CreateKey(ctx(), f.as(memberUser), KeyInput{Name: "k", Scopes: cloud.Scopes})
	wantKind(t, err, "")
	_, err = f.AuthenticateKey(ctx(), key)
	wantKind(t, err, "")

	wantKind(t, f.DeleteUser(ctx(), admin, ownerUser.ID), cloud.Forbidden)
	wantMessage(t, f.DeleteUser(ctx(), owner, ownerUser.ID), cloud.Conflict, "last active owner")
	wantKind(t, f.DeleteUser(ctx(), admin, memberUser.ID), "")
	wantKind(t, f.DeleteUser(ctx(), admin, memberUser.ID), cloud.NotFound)
	_, err = f.AuthenticateSession(ctx(), token)
	wantKind(t, err, cloud.Unauthenticated)
	_, err = f.AuthenticateKey(ctx(), key)
	wantKind(t, err, cloud.Unauthenticated)
	_, err = f.Principal(ctx(), memberUser.ID)
	wantKind(t, err, cloud.NotFound)

	second := f.user("owner2")
	wantKind(t, f.DeleteUser(ctx(), owner, second.ID), "")
	// An owner who isn't active doesn't count.
	third := f.user("owner3")
	_, err = f.UpdateUser(ctx(), owner, third.ID, UserPatch{IsActive: ptr(false)})
	wantKind(t, err, "")
	wantKind(t, f.DeleteUser(ctx(), owner, ownerUser.ID), cloud.Conflict)
	wantKind(t, f.DeleteUser(ctx(), owner, third.ID), "")
}

// What somebody may do is asked again in the transaction: the request may be older.
func TestActorLostRights(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.user("owner1")
	victim := f.user("member1")
	for name, lose := range map[string]func(cloud.UserID) error{
		"deactivated": func(id cloud.UserID) error {
			_, err := f.UpdateUser(ctx(), nil, id, UserPatch{IsActive: ptr(false)})
			return err
		},
		"demoted": func(id cloud.UserID) error {
			_, err := f.UpdateUser(ctx(), nil, id, UserPatch{Role: ptr(cloud.Member)})
			return err
		},
		"deleted": func(id cloud.UserID) error { return f.DeleteUser(ctx(), nil, id) },
	} {
		t.Run(name, func(t *testing.T) {
			u := f.user("admin-" + name)
			by := f.as(u)
			wantKind(t, lose(u.ID), "")
			_, err := f.UpdateUser(ctx(), by, victim.ID, UserPatch{Username: ptr("renamed")})
			wantKind(t, err, cloud.Forbidden)
			_, err = f.CreateUser(ctx(), by, UserInput{"another", password, cloud.Member})
			wantKind(t, err, cloud.Forbidden)
			wantKind(t, f.DeleteUser(ctx(), by, victim.ID), cloud.Forbidden)
		})
	}
}

// However owners race, one is left.
func TestOwnersRace(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(f *fixture, by *cloud.Principal, id cloud.UserID) error{
		"demote": func(f *fixture, by *cloud.Principal, id cloud.UserID) error {
			_, err := f.UpdateUser(ctx(), by, id, UserPatch{Role: ptr(cloud.Member)})
			return err
		},
		"deactivate": func(f *fixture, by *cloud.Principal, id cloud.UserID) error {
			_, err := f.UpdateUser(ctx(), by, id, UserPatch{IsActive: ptr(false)})
			return err
		},
		"delete": func(f *fixture, by *cloud.Principal, id cloud.UserID) error { return f.DeleteUser(ctx(), by, id) },
	} {
		for _, other := range []bool{true, false} {
			t.Run(name+map[bool]string{true: " each other", false: " themselves"}[other], func(t *testing.T) {
				t.Parallel()
				f := open(t)
				owners := []*cloud.User{f.user("owner1"), f.user("owner2")}
				by := []*cloud.Principal{f.as(owners[0]), f.as(owners[1])}
				errs := together(2, func(i int) error {
					victim := i
					if other {
						victim = 1 - i
					}
					return act(f, by[i], owners[victim].ID)
				})
				if n := succeeded(errs); n != 1 {
					t.Errorf("%d succeeded (%v), want 1", n, errs)
				}
				left := 0
				users, _, err := f.Users(ctx(), cloud.Page{})
				wantKind(t, err, "")
				for _, u := range users {
					if u.InstanceRole == cloud.Owner && u.IsActive {
						left++
					}
				}
				if left != 1 {
					t.Errorf("%d active owners are left, want 1", left)
				}
			})
		}
	}
}

func TestDeactivation(t *testing.T) {
	t.Parallel()
	f := open(t)
	owner := f.as(f.user("owner1"))
	u := f.user("member1")
	token := f.login(u)
	_, key, err := f.CreateKey(ctx(), f.as(u), KeyInput{Name: "k", Scopes: cloud.Scopes})
	wantKind(t, err, "")
	for _, active := range []bool{false, true} {
		_, err := f.UpdateUser(ctx(), owner, u.ID, UserPatch{IsActive: &active})
		wantKind(t, err, "")
		_, err = f.AuthenticateSession(ctx(), token)
		wantKind(t, err, cloud.Unauthenticated) // ended for good
		_, err = f.AuthenticateKey(ctx(), key)
		wantKind(t, err, map[bool]cloud.Kind{false: cloud.Unauthenticated, true: ""}[active])
		_, err = f.Principal(ctx(), u.ID)
		wantKind(t, err, map[bool]cloud.Kind{false: cloud.Forbidden, true: ""}[active])
		_, _, err = f.Login(ctx(), u.Username, password, home)
		wantKind(t, err, map[bool]cloud.Kind{false: cloud.Unauthenticated, true: ""}[active])
	}
}

// Rights are those of this moment, for sessions and keys alike.
func TestRightsFollowRoles(t *testing.T) {
	t.Parallel()
	f := open(t)
	owner := f.as(f.user("owner1"))
	u := f.user("member1")
	a := f.app("shop")
	token := f.login(u)
	_, key, err := f.CreateKey(ctx(), f.as(u), KeyInput{Name: "k", Scopes: cloud.Scopes})
	wantKind(t, err, "")
	check := func(step string, c cloud.Capability, want bool) {
		t.Helper()
		s, err := f.AuthenticateSession(ctx(), token)
		wantKind(t, err, "")
		k, err := f.AuthenticateKey(ctx(), key)
		wantKind(t, err, "")
		if s.Can(c, a.ID) != want || k.Can(c, a.ID) != want {
			t.Errorf("%s: the session can %v, the key can %v, want %v", step, s.Can(c, a.ID), k.Can(c, a.ID), want)
		}
	}
	check("no member", cloud.ScriptRead, false)
	_, err = f.SetMember(ctx(), a.ID, u.ID, cloud.Editor)
	wantKind(t, err, "")
	check("editor", cloud.ScriptWrite, true)
	_, err = f.SetMember(ctx(), a.ID, u.ID, cloud.Viewer)
	wantKind(t, err, "")
	check("viewer", cloud.ScriptWrite, false)
	check("viewer", cloud.ScriptRead, true)
	wantKind(t, f.RemoveMember(ctx(), a.ID, u.ID), "")
	check("removed", cloud.ScriptRead, false)
	_, err = f.UpdateUser(ctx(), owner, u.ID, UserPatch{Role: ptr(cloud.Admin)})
	wantKind(t, err, "")
	check("admin", cloud.InstanceUsers, true)
	_, err = f.UpdateUser(ctx(), owner, u.ID, UserPatch{Role: ptr(cloud.Member)})
	wantKind(t, err, "")
	check("demoted", cloud.InstanceUsers, false)
}

func TestMembers(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, other := f.app("shop"), f.app("other")
	var users []*cloud.User
	for _, n := range []string{"member1", "member2", "member3"} {
		u := f.user(n)
		users = append(users, u)
		_, err := f.SetMember(ctx(), a.ID, u.ID, cloud.Viewer)
		wantKind(t, err, "")
	}
	m, err := f.SetMember(ctx(), a.ID, users[1].ID, cloud.AppAdmin)
	if err != nil || m.Role != cloud.AppAdmin || m.Username != "member2" {
		t.Errorf("got %+v, %v, want member2 as app_admin", m, err)
	}
	got := walk(t, func(p cloud.Page) ([]*Membership, string, error) { return f.Members(ctx(), a.ID, p) })
	if len(got) != 3 || *got[1] != *m {
		t.Errorf("got %d members, the second %+v, want 3 and %+v", len(got), got[1], m)
	}
	one, err := f.Membership(ctx(), a.ID, users[1].ID)
	if err != nil || *one != *m {
		t.Errorf("got %+v, %v, want %+v", one, err, m)
	}
	_, err = f.Membership(ctx(), other.ID, users[1].ID)
	wantKind(t, err, cloud.NotFound)
	_, err = f.SetMember(ctx(), a.ID, users[1].ID, "boss")
	wantMessage(t, err, cloud.Invalid, "role")
	_, err = f.SetMember(ctx(), a.ID, cloud.NewID[cloud.UserID](), cloud.Viewer)
	wantKind(t, err, cloud.NotFound)
	_, err = f.SetMember(ctx(), cloud.NewID[cloud.AppID](), users[1].ID, cloud.Viewer)
	wantKind(t, err, cloud.NotFound)
	wantKind(t, f.RemoveMember(ctx(), other.ID, users[1].ID), cloud.NotFound)
	wantKind(t, f.RemoveMember(ctx(), a.ID, users[1].ID), "")
	wantKind(t, f.RemoveMember(ctx(), a.ID, users[1].ID), cloud.NotFound)
}
