package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func triggerCommand() *cobra.Command {
	return group("trigger", "Manage triggers",
		triggerList(), triggerShow(), triggerCreate(), triggerUpdate(),
		triggerEnable("enable", "Enable triggers", true), triggerEnable("disable", "Disable triggers: events pass them by", false),
		triggerRun(), triggerDelete())
}

func triggerList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the triggers of the app", cobra.NoArgs, func(r *remote, _ []string) error {
		path, err := r.inApp("triggers")
		if err != nil {
			return err
		}
		rows, err := r.list(path, nil, "triggers")
		if err != nil {
			return err
		}
		if !r.json {
			if err := r.addScriptNames(rows); err != nil {
				return err
			}
			for _, row := range rows {
				row["when"] = filterOf(row)
			}
		}
		return r.table(rows, columns("kind", "script", "enabled", "when", "retry_max_attempts", "id"))
	}))
}

// filterOf is what makes a trigger fire: its details, whatever its kind has, without what is
// empty and what only follows from the others.
func filterOf(trigger object) object {
	filter := object{}
	details, _ := trigger["details"].(object)
	for name, v := range details {
		if t := textOf(v, false); name != "kind" && name != "next_runs" && t != "" && t != "[]" && t != "0" {
			filter[name] = v
		}
	}
	return filter
}

func triggerShow() *cobra.Command {
	return remoteCommand("show TRIGGER", "Show a trigger", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("triggers", args[0])
		if err != nil {
			return err
		}
		t, err := r.ask(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		return r.showAll(t)
	})
}

func triggerCreate() *cobra.Command {
	c := remoteCommand("create KIND SCRIPT [FIELD=VALUE…]", "Create a trigger: events of KIND run SCRIPT", cobra.MinimumNArgs(2), func(r *remote, args []string) error {
		in, err := assignments(args[2:])
		if err != nil {
			return err
		}
		if in["script_id"], err = r.scriptID(args[1]); err != nil {
			return err
		}
		path, err := r.inApp("triggers", args[0])
		if err != nil {
			return err
		}
		t, err := r.ask(http.MethodPost, path, in)
		if err != nil {
			return err
		}
		t["when"] = filterOf(t)
		if r.json {
			delete(t, "when")
		}
		return r.show(t, "kind", "when", "enabled", "id")
	})
	c.Long = c.Short + ".\nThe fields are those of the kind's endpoint in docs/api.md. A value that is JSON is sent as such, anything else as text."
	c.Example = "  picloud trigger create kv reindex collection_glob='notes*' ops='[\"insert\",\"update\"]'\n" +
		"  picloud trigger create cron backup schedule='30 2 * * *' timezone=Europe/Berlin catch_up=last\n" +
		"  picloud trigger create pubsub notify topic='orders/*'\n" +
		"  picloud trigger create dead_letter alarm source_filter=kv"
	return c
}

func triggerUpdate() *cobra.Command {
	return remoteCommand("update TRIGGER FIELD=VALUE…", "Change fields of a trigger", cobra.MinimumNArgs(2), func(r *remote, args []string) error {
		in, err := assignments(args[1:])
		if err != nil {
			return err
		}
		return r.patchTrigger(args[0], in)
	})
}

func (r *remote) patchTrigger(id string, in object) error {
	path, err := r.inApp("triggers", id)
	if err != nil {
		return err
	}
	t, err := r.ask(http.MethodPatch, path, in)
	if err != nil {
		return err
	}
	return r.show(t, "kind", "details", "enabled", "id")
}

func triggerEnable(verb, short string, enabled bool) *cobra.Command {
	return remoteCommand(verb+" TRIGGER", short, cobra.ExactArgs(1), func(r *remote, args []string) error {
		return r.patchTrigger(args[0], object{"enabled": enabled})
	})
}

func triggerRun() *cobra.Command {
	return remoteCommand("run TRIGGER", "Run a cron trigger now", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("triggers", args[0], "run")
		if err != nil {
			return err
		}
		event, err := r.ask(http.MethodPost, path, nil)
		if err != nil {
			return err
		}
		return r.show(event, "execution_id", "accepted_at")
	})
}

func triggerDelete() *cobra.Command {
	return remoteCommand("delete TRIGGER…", "Delete triggers by id", cobra.MinimumNArgs(1), func(r *remote, args []string) error {
		for _, id := range args {
			path, err := r.inApp("triggers", id)
			if err != nil {
				return err
			}
			if err := r.do(http.MethodDelete, path, nil); err != nil {
				return err
			}
			if err := r.say("deleted trigger %s", id); err != nil {
				return err
			}
		}
		return nil
	})
}
