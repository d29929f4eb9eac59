package cli

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func kvCommand() *cobra.Command {
	return group("kv", "See and change the keys that scripts keep", kvCollections(), kvList(), kvGet(), kvSet(), kvDelete())
}

func kvCollections() *cobra.Command {
	return addLimit(remoteCommand("collections", "List the collections of the app", cobra.NoArgs, func(r *remote, _ []string) error {
		return r.listInApp(columns("collection", "keys"), "items", "kv")
	}))
}

func kvList() *cobra.Command {
	c := addLimit(remoteCommand("list COLLECTION", "List the keys of a collection", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("kv", args[0])
		if err != nil {
			return err
		}
		rows, err := r.list(path, url.Values{"prefix": {r.flag("prefix")}}, "items")
		if err != nil {
			return err
		}
		return r.table(rows, columns("key", "bytes", "updated_at", "expires_at"))
	}))
	c.Flags().String("prefix", "", "only keys that begin so")
	return c
}

func kvGet() *cobra.Command {
	return remoteCommand("get COLLECTION KEY", "Print a value as JSON; --json adds its times", cobra.ExactArgs(2), func(r *remote, args []string) error {
		path, err := r.inApp("kv", args[0], args[1])
		if err != nil {
			return err
		}
		record, err := r.ask(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		if r.json {
			return writeJSON(r.out(), record)
		}
		return writeJSON(r.out(), record["value"])
	})
}

func kvSet() *cobra.Command {
	c := remoteCommand("set COLLECTION KEY JSON|@FILE|-", "Store a value; triggers fire as for a script's write", cobra.ExactArgs(3), func(r *remote, args []string) error {
		value, err := r.jsonArgument(args[2], "value")
		if err != nil {
			return err
		}
		path, err := r.inApp("kv", args[0], args[1])
		if err != nil {
			return err
		}
		in := object{"value": value}
		if r.given("ttl") {
			in["ttl_seconds"] = json.Number(r.flag("ttl"))
		}
		record, err := r.ask(http.MethodPut, path, in)
		if err != nil {
			return err
		}
		return r.show(record, "key", "updated_at", "expires_at")
	})
	c.Flags().Float64("ttl", 0, "seconds until it expires; never when left out")
	return c
}

func kvDelete() *cobra.Command {
	return remoteCommand("delete COLLECTION KEY", "Delete a key; triggers fire as for a script's write", cobra.ExactArgs(2), func(r *remote, args []string) error {
		path, err := r.inApp("kv", args[0], args[1])
		if err != nil {
			return err
		}
		if err := r.do(http.MethodDelete, path, nil); err != nil {
			return err
		}
		return r.say("deleted %s/%s", args[0], args[1])
	})
}
