package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"picloud/app/cloud"
)

func scriptCommand() *cobra.Command {
	return group("script", "Manage scripts and their versions",
		scriptList(), scriptShow(), scriptSource(), scriptSave(), scriptUpdate(), scriptDelete(), scriptVersions(), scriptRollback())
}

// scriptPath is the path of a script that is given by its id, or by its name in the app.
func (r *remote) scriptPath(name string) (string, error) {
	id, err := r.scriptID(name)
	return segments("scripts", id), err
}

func (r *remote) scriptID(name string) (string, error) {
	if isID(name) {
		return name, nil
	}
	path, err := r.inApp("scripts")
	if err != nil {
		return "", err
	}
	return r.find(path, "items", "name", name, "script")
}

func scriptList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the scripts of the app", cobra.NoArgs, func(r *remote, _ []string) error {
		return r.listInApp(columns("name", "version", "engine", "timeout_seconds", "updated_at", "id"), "items", "scripts")
	}))
}

func scriptShow() *cobra.Command {
	return remoteCommand("show SCRIPT", "Show a script", cobra.ExactArgs(1), func(r *remote, args []string) error {
		s, err := r.script(args[0])
		if err != nil {
			return err
		}
		return r.show(s, "name", "description", "version", "engine", "isolation", "timeout_seconds", "limits", "created_at", "updated_at", "id")
	})
}

func (r *remote) script(name string) (object, error) {
	path, err := r.scriptPath(name)
	if err != nil {
		return nil, err
	}
	return r.ask(http.MethodGet, path, nil)
}

func scriptSource() *cobra.Command {
	c := remoteCommand("source SCRIPT", "Print the source of a script", cobra.ExactArgs(1), func(r *remote, args []string) error {
		s, err := r.sourceOf(args[0], r.flag("version"))
		if err != nil {
			return err
		}
		if r.json {
			return writeJSON(r.out(), s)
		}
		_, err = io.WriteString(r.out(), text(s, "source"))
		return err
	})
	c.Flags().Uint("version", 0, "an earlier version")
	return c
}

// sourceOf is a script or, with a version other than 0, one of its versions.
func (r *remote) sourceOf(name, version string) (object, error) {
	if version == "0" {
		return r.script(name)
	}
	path, err := r.scriptPath(name)
	if err != nil {
		return nil, err
	}
	versions, _, err := r.pages(path+"/versions", nil, "items", 0)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if textOf(v["version"], false) == version {
			return v, nil
		}
	}
	return nil, cloud.Errorf(cloud.NotFound, "script %s has no version %s: picloud script versions shows those that are kept", name, version)
}

func scriptSave() *cobra.Command {
	c := remoteCommand("save NAME FILE", "Save a file as a script: create it, or make a new version (FILE - is standard input)", cobra.ExactArgs(2), func(r *remote, args []string) error {
		source, err := r.readFile(args[1])
		if err != nil {
			return err
		}
		in, err := r.scriptFields()
		if err != nil {
			return err
		}
		in["source"] = string(source)
		s, err := r.saveScript(args[0], in)
		if err != nil {
			return err
		}
		return r.show(s, "name", "version", "id")
	})
	addScriptFlags(c)
	return c
}

// saveScript updates the script of that name, or creates it.
func (r *remote) saveScript(name string, in object) (object, error) {
	path, err := r.scriptPath(name)
	if err == nil {
		return r.ask(http.MethodPatch, path, in)
	}
	if cloud.KindOf(err) != cloud.NotFound || isID(name) {
		return nil, err
	}
	if path, err = r.inApp("scripts"); err != nil {
		return nil, err
	}
	in["name"] = name
	return r.ask(http.MethodPost, path, in)
}

func addScriptFlags(c *cobra.Command) {
	c.Flags().String("description", "", "what it does")
	c.Flags().String("engine", "", "quickjs or otto")
	c.Flags().String("isolation", "", "warm or fresh")
	c.Flags().Int("timeout", 0, "seconds of wall clock, 1 to 300")
	c.Flags().StringArray("limits", nil, "a limit, such as memory_bytes=33554432; may be repeated")
}

// scriptFields are the fields that flags gave.
func (r *remote) scriptFields() (object, error) {
	in := object{}
	for _, f := range []string{"description", "engine", "isolation"} {
		if r.given(f) {
			in[f] = r.flag(f)
		}
	}
	if r.given("timeout") {
		seconds, err := r.cmd.Flags().GetInt("timeout")
		if err != nil {
			return nil, err
		}
		in["timeout_seconds"] = seconds
	}
	if r.given("limits") {
		given, err := r.cmd.Flags().GetStringArray("limits")
		if err != nil {
			return nil, err
		}
		limits, err := assignments(given)
		if err != nil {
			return nil, err
		}
		in["limits"] = limits
	}
	return in, nil
}

func scriptUpdate() *cobra.Command {
	c := remoteCommand("update SCRIPT", "Rename a script or change its settings", cobra.ExactArgs(1), func(r *remote, args []string) error {
		in, err := r.scriptFields()
		if err != nil {
			return err
		}
		if r.given("name") {
			in["name"] = r.flag("name")
		}
		if len(in) == 0 {
			return usageError{errNothingToChange}
		}
		path, err := r.scriptPath(args[0])
		if err != nil {
			return err
		}
		s, err := r.ask(http.MethodPatch, path, in)
		if err != nil {
			return err
		}
		return r.show(s, "name", "version", "engine", "timeout_seconds", "limits")
	})
	c.Flags().String("name", "", "another name")
	addScriptFlags(c)
	return c
}

func scriptDelete() *cobra.Command {
	return remoteCommand("delete SCRIPT", "Delete a script with its routes and triggers", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.scriptPath(args[0])
		if err != nil {
			return err
		}
		if err := r.do(http.MethodDelete, path, nil); err != nil {
			return err
		}
		return r.say("deleted script %s", args[0])
	})
}

func scriptVersions() *cobra.Command {
	return addLimit(remoteCommand("versions SCRIPT", "List the kept versions of a script, newest first", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.scriptPath(args[0])
		if err != nil {
			return err
		}
		rows, err := r.list(path+"/versions", url.Values{}, "items")
		if err != nil {
			return err
		}
		return r.table(rows, columns("version", "engine", "created_at", "saved_by"))
	}))
}

func scriptRollback() *cobra.Command {
	return remoteCommand("rollback SCRIPT VERSION", "Save an earlier version as the newest one", cobra.ExactArgs(2), func(r *remote, args []string) error {
		version, err := strconv.Atoi(args[1])
		if err != nil || version < 1 {
			return usageError{errors.New("VERSION is a number from 1: picloud script versions shows those that are kept")}
		}
		path, err := r.scriptPath(args[0])
		if err != nil {
			return err
		}
		s, err := r.ask(http.MethodPost, path+"/rollback", object{"version": version})
		if err != nil {
			return err
		}
		return r.say("%s", fmt.Sprintf("script %s is at version %s, which is version %d again", args[0], textOf(s["version"], false), version))
	})
}
