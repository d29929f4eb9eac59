package cli

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func appCommand() *cobra.Command {
	return group("app", "Manage apps, their members, domains and quotas",
		appList(), appShow(), appCreate(), appUpdate(), appDelete(), appExport(), appImport(), appRewind(),
		group("member", "Manage who belongs to an app", memberList(), memberSet(), memberRemove()),
		group("domain", "Manage the hosts that an app has claimed", domainList(), domainAdd(), domainRemove()),
		group("quota", "See and set what an app may use at most", quotaShow(), quotaSet()),
		group("outbound", "See and set which private addresses and hosts an app's scripts may call", outboundShow(), outboundSet()),
	)
}

func appList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the apps you belong to", cobra.NoArgs, func(r *remote, _ []string) error {
		apps, err := r.list("/apps", nil, "items")
		if err != nil {
			return err
		}
		return r.table(apps, columns("slug", "name", "my_role", "unresolved_dead_letters", "created_at", "id"))
	}))
}

func appShow() *cobra.Command {
	return remoteCommand("show [APP]", "Show an app", cobra.MaximumNArgs(1), func(r *remote, args []string) error {
		path, err := r.appPath(args)
		if err != nil {
			return err
		}
		app, err := r.ask(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		return r.show(app, "slug", "name", "description", "id", "my_role", "unresolved_dead_letters", "created_at", "updated_at")
	})
}

// appPath is the path of the app that args name, or of the command's app.
func (r *remote) appPath(args []string) (string, error) {
	if len(args) > 0 {
		return segments("apps", args[0]), nil
	}
	return r.inApp()
}

func appCreate() *cobra.Command {
	c := remoteCommand("create SLUG", "Create an app", cobra.ExactArgs(1), func(r *remote, args []string) error {
		app, err := r.ask(http.MethodPost, "/apps", object{"slug": args[0], "name": r.flag("name"), "description": r.flag("description")})
		if err != nil {
			return err
		}
		return r.show(app, "slug", "name", "id")
	})
	c.Flags().String("name", "", "name for people (else the slug)")
	c.Flags().String("description", "", "what it is for")
	return c
}

func appUpdate() *cobra.Command {
	c := remoteCommand("update APP", "Rename or describe an app", cobra.ExactArgs(1), func(r *remote, args []string) error {
		patch, err := r.patch("slug", "name", "description")
		if err != nil {
			return err
		}
		app, err := r.ask(http.MethodPatch, segments("apps", args[0]), patch)
		if err != nil {
			return err
		}
		return r.show(app, "slug", "name", "description")
	})
	c.Flags().String("slug", "", "another slug; the former one redirects")
	c.Flags().String("name", "", "another name")
	c.Flags().String("description", "", "another description")
	return c
}

// patch has those of the flags that were given.
func (r *remote) patch(flags ...string) (object, error) {
	p := object{}
	for _, f := range flags {
		if r.given(f) {
			p[f] = r.flag(f)
		}
	}
	if len(p) == 0 {
		return nil, usageError{errNothingToChange}
	}
	return p, nil
}

func appDelete() *cobra.Command {
	c := remoteCommand("delete APP", "Delete an app; one that isn't empty only with --cascade", cobra.ExactArgs(1), func(r *remote, args []string) error {
		query := url.Values{}
		if r.given("cascade") {
			query.Set("cascade", r.flag("cascade"))
		}
		if err := r.do(http.MethodDelete, segments("apps", args[0])+"?"+query.Encode(), nil); err != nil {
			return err
		}
		return r.say("deleted app %s", args[0])
	})
	c.Flags().Bool("cascade", false, "delete its scripts, routes, triggers and data too")
	return c
}

func memberList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the members of the app", cobra.NoArgs, func(r *remote, _ []string) error {
		return r.listInApp(columns("username", "role", "created_at", "user_id"), "items", "members")
	}))
}

// listInApp prints a list of the app.
func (r *remote) listInApp(cols []column, items string, parts ...string) error {
	path, err := r.inApp(parts...)
	if err != nil {
		return err
	}
	rows, err := r.list(path, nil, items)
	if err != nil {
		return err
	}
	return r.table(rows, cols)
}

func memberSet() *cobra.Command {
	return remoteCommand("set USER viewer|editor|app_admin", "Give a user a role in the app", cobra.ExactArgs(2), func(r *remote, args []string) error {
		user, err := r.userID(args[0])
		if err != nil {
			return err
		}
		path, err := r.inApp("members", user)
		if err != nil {
			return err
		}
		m, err := r.ask(http.MethodPut, path, object{"role": args[1]})
		if err != nil {
			return err
		}
		return r.show(m, "username", "role")
	})
}

// userID is the id of a user given by name; only who may list the instance's users can name one.
func (r *remote) userID(name string) (string, error) {
	if isID(name) {
		return name, nil
	}
	return r.find("/admins", "items", "username", name, "user")
}

func memberRemove() *cobra.Command {
	return remoteCommand("remove USER", "Take a user's role in the app", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("members")
		if err != nil {
			return err
		}
		user := args[0]
		if !isID(user) {
			if user, err = r.findAs(path, "items", "username", user, "member", "user_id"); err != nil {
				return err
			}
		}
		if err := r.do(http.MethodDelete, path+segments(user), nil); err != nil {
			return err
		}
		return r.say("removed member %s", args[0])
	})
}

func domainList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the hosts that the app has claimed", cobra.NoArgs, func(r *remote, _ []string) error {
		return r.listInApp(columns("host", "kind", "created_at", "id"), "items", "domains")
	}))
}

func domainAdd() *cobra.Command {
	return remoteCommand("add HOST", "Claim a host for the app; *.example.org claims all below it", cobra.ExactArgs(1), func(r *remote, args []string) error {
		kind := "exact"
		if len(args[0]) > 0 && args[0][0] == '*' {
			kind = "wildcard"
		}
		path, err := r.inApp("domains")
		if err != nil {
			return err
		}
		d, err := r.ask(http.MethodPost, path, object{"host": args[0], "kind": kind})
		if err != nil {
			return err
		}
		return r.show(d, "host", "kind", "id")
	})
}

func domainRemove() *cobra.Command {
	return remoteCommand("remove HOST", "Give a host back", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("domains")
		if err != nil {
			return err
		}
		id := args[0]
		if !isID(id) {
			if id, err = r.find(path, "items", "host", id, "domain"); err != nil {
				return err
			}
		}
		if err := r.do(http.MethodDelete, path+segments(id), nil); err != nil {
			return err
		}
		return r.say("removed domain %s", args[0])
	})
}

func outboundShow() *cobra.Command {
	return showOfApp("Show which private addresses and hosts the app's scripts may call", "outbound")
}

// showOfApp shows what the API has of an app under one name.
func showOfApp(short, name string) *cobra.Command {
	return remoteCommand("show", short, cobra.NoArgs, func(r *remote, _ []string) error {
		path, err := r.inApp(name)
		if err != nil {
			return err
		}
		found, err := r.ask(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		return r.showAll(found)
	})
}

func outboundSet() *cobra.Command {
	return remoteCommand("set [NETWORK|ADDRESS|HOST…]", "Set which private addresses and hosts the app's scripts may call, in place of all that were set", cobra.ArbitraryArgs, func(r *remote, args []string) error {
		path, err := r.inApp("outbound")
		if err != nil {
			return err
		}
		o, err := r.ask(http.MethodPut, path, object{"allow": append([]string{}, args...)})
		if err != nil {
			return err
		}
		return r.showAll(o)
	})
}

func quotaShow() *cobra.Command {
	return showOfApp("Show what the app may use at most; 0 is no limit", "quotas")
}

func quotaSet() *cobra.Command {
	return remoteCommand("set QUOTA=NUMBER…", "Set what the app may use at most; quotas that aren't named stay", cobra.MinimumNArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("quotas")
		if err != nil {
			return err
		}
		q, err := r.ask(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		set, err := assignments(args)
		if err != nil {
			return err
		}
		for name, v := range set {
			q[name] = v
		}
		if q, err = r.ask(http.MethodPut, path, q); err != nil {
			return err
		}
		return r.showAll(q)
	})
}
