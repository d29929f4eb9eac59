package cli

import (
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func tokenCommand() *cobra.Command {
	return group("token", "Manage your API keys", tokenList(), tokenCreate(), tokenDelete())
}

func tokenList() *cobra.Command {
	return addLimit(remoteCommand("list", "List your API keys", cobra.NoArgs, func(r *remote, _ []string) error {
		rows, err := r.list("/api-keys", nil, "items")
		if err != nil {
			return err
		}
		return r.table(rows, columns("name", "prefix", "scopes", "app_id", "expires_at", "last_used_at", "id"))
	}))
}

func tokenCreate() *cobra.Command {
	c := remoteCommand("create NAME", "Create an API key and print it: it is shown only this once", cobra.ExactArgs(1), func(r *remote, args []string) error {
		scopes, err := r.cmd.Flags().GetStringSlice("scope")
		if err != nil {
			return err
		}
		if len(scopes) == 0 {
			return usageError{errors.New("say what the key may do with --scope, such as --scope script:read,log:read")}
		}
		in := object{"name": args[0], "scopes": scopes}
		if r.given("app") {
			in["app"] = r.flag("app")
		}
		if r.given("expires") {
			after, err := r.cmd.Flags().GetDuration("expires")
			if err != nil {
				return err
			}
			in["expires_at"] = time.Now().Add(after).UTC().Format(time.RFC3339)
		}
		key, err := r.ask(http.MethodPost, "/api-keys", in)
		if err != nil {
			return err
		}
		if r.json {
			return writeJSON(r.out(), key)
		}
		return r.say("%s", text(key, "key"))
	})
	c.Long = c.Short + ".\nWith --app it acts in that app alone. The scopes are script:read, script:write, route:write, domain:manage,\napp:admin, log:read and instance:admin; a key never exceeds its owner."
	c.Flags().StringSlice("scope", nil, "what it may do; may be repeated or separated by commas")
	c.Flags().Duration("expires", 0, "how long it is valid, such as 720h; for ever when left out")
	return c
}

func tokenDelete() *cobra.Command {
	return remoteCommand("delete NAME|ID", "Delete one of your API keys", cobra.ExactArgs(1), func(r *remote, args []string) error {
		id := args[0]
		if !isID(id) {
			var err error
			if id, err = r.find("/api-keys", "items", "name", id, "key"); err != nil {
				return err
			}
		}
		if err := r.do(http.MethodDelete, segments("api-keys", id), nil); err != nil {
			return err
		}
		return r.say("deleted key %s", args[0])
	})
}
