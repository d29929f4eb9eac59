package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func routeCommand() *cobra.Command {
	return group("route", "Manage routes", routeList(), routeCreate(), routeDelete(), routeMatch())
}

func routeList() *cobra.Command {
	return addLimit(remoteCommand("list [SCRIPT]", "List the routes of the app, or of one script", cobra.MaximumNArgs(1), func(r *remote, args []string) error {
		rows, err := r.routes(args)
		if err != nil {
			return err
		}
		if !r.json {
			if err := r.addScriptNames(rows); err != nil {
				return err
			}
		}
		return r.table(rows, columns("method", "host", "path", "path_kind", "script", "dispatch_mode", "id"))
	}))
}

func (r *remote) routes(args []string) ([]object, error) {
	var path string
	var err error
	if len(args) > 0 {
		path, err = r.scriptPath(args[0])
	} else {
		path, err = r.inApp()
	}
	if err != nil {
		return nil, err
	}
	return r.list(path+"/routes", nil, "items")
}

// addScriptNames puts into each row, as script, the name of the script whose id it has. A
// row of another app's script keeps the id.
func (r *remote) addScriptNames(rows []object) error {
	if len(rows) == 0 {
		return nil
	}
	scripts, _, err := r.pages(segments("apps", text(rows[0], "app_id"), "scripts"), nil, "items", 0)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, s := range scripts {
		names[text(s, "id")] = text(s, "name")
	}
	for _, row := range rows {
		id := text(row, "script_id")
		row["script"] = id
		if name := names[id]; name != "" {
			row["script"] = name
		}
	}
	return nil
}

func routeCreate() *cobra.Command {
	c := remoteCommand("create PATH SCRIPT", "Create a route to a script: /hello, /users/:id, or /files/* for all below",
		cobra.ExactArgs(2), func(r *remote, args []string) error {
			path, err := r.scriptPath(args[1])
			if err != nil {
				return err
			}
			in := pathInput(args[0])
			in["method"], in["dispatch_mode"] = r.flag("method"), r.flag("dispatch")
			if host := r.flag("host"); host != "" {
				in["host"], in["host_kind"] = host, "exact"
				if strings.HasPrefix(host, "*") {
					in["host_kind"], in["host_param_name"] = "wildcard", r.flag("host-param")
				}
			}
			rt, err := r.ask(http.MethodPost, path+"/routes", in)
			if err != nil {
				return err
			}
			return r.show(rt, "method", "host", "path", "path_kind", "dispatch_mode", "id")
		})
	c.Flags().String("method", "", "GET, POST, …; any when left out")
	c.Flags().String("host", "", "only for this host; *.example.org for all below it")
	c.Flags().String("host-param", "", "name under which the script finds what * stood for")
	c.Flags().String("dispatch", "sync", "sync answers what the script returns, async answers 202 at once")
	return c
}

// pathInput tells the kind of a path from its text, as the dashboard does.
func pathInput(path string) object {
	if prefix, ok := strings.CutSuffix(path, "/*"); ok {
		if prefix == "" {
			prefix = "/"
		}
		return object{"path": prefix, "path_kind": "prefix"}
	}
	if strings.Contains(path, "/:") {
		return object{"path": path, "path_kind": "param"}
	}
	return object{"path": path, "path_kind": "exact"}
}

func routeDelete() *cobra.Command {
	return remoteCommand("delete ROUTE…", "Delete routes by id", cobra.MinimumNArgs(1), func(r *remote, args []string) error {
		for _, id := range args {
			if err := r.do(http.MethodDelete, segments("routes", id), nil); err != nil {
				return err
			}
			if err := r.say("deleted route %s", id); err != nil {
				return err
			}
		}
		return nil
	})
}

func routeMatch() *cobra.Command {
	c := remoteCommand("match [METHOD] PATH", "Tell which route of the app a request would take", cobra.RangeArgs(1, 2), func(r *remote, args []string) error {
		path, err := r.inApp("routes", "match")
		if err != nil {
			return err
		}
		query := url.Values{"path": {args[len(args)-1]}, "host": {r.flag("host")}}
		if len(args) == 2 {
			query.Set("method", args[0])
		}
		m, err := r.ask(http.MethodGet, path+"?"+query.Encode(), nil)
		if err != nil || r.json {
			return firstError(err, func() error { return writeJSON(r.out(), m) })
		}
		if m["match"] == nil {
			return r.say("%s: %s", m["status"], text(m, "reason"))
		}
		if err := r.nameMatch(m); err != nil {
			return err
		}
		return r.show(m, "match.route.script", "match.route.path", "match.route.id", "match.params", "match.rest")
	})
	c.Flags().String("host", "", "host of the request")
	return c
}

func (r *remote) nameMatch(m object) error {
	rt, ok := fieldOf(m, "match.route").(object)
	if !ok {
		return fmt.Errorf("%s answered a match without its route", r.base)
	}
	return r.addScriptNames([]object{rt})
}

// firstError is err or, without one, what then returns.
func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}
