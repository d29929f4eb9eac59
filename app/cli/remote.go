package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"picloud/app/cloud"
)

// remote is one command at work on an instance.
type remote struct {
	*client
	cmd  *cobra.Command
	json bool
}

// remoteCommand makes a command that asks an instance. All of them take --url, --app and --json.
func remoteCommand(use, short string, args cobra.PositionalArgs, run func(r *remote, args []string) error) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := connect(cmd)
			if err != nil {
				return err
			}
			return run(r, args)
		},
	}
	addRemoteFlags(c)
	return c
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: noVerb, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(commands...)
	return c
}

// noVerb refuses a verb that a group doesn't have: cobra would print the help and succeed.
func noVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := "see " + cmd.CommandPath() + " --help"
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		hint = "did you mean " + strings.Join(like, " or ") + "?"
	}
	return usageError{fmt.Errorf("%s has no verb %q: %s", cmd.CommandPath(), args[0], hint)}
}

func (r *remote) out() io.Writer { return r.cmd.OutOrStdout() }

// flag is the value of a text flag of the command, "" when it has none of that name.
func (r *remote) flag(name string) string {
	f := r.cmd.Flags().Lookup(name)
	if f == nil {
		return ""
	}
	return f.Value.String()
}

func (r *remote) given(name string) bool { return r.cmd.Flags().Changed(name) }

// ask asks for path below the admin API and reads a JSON object.
func (r *remote) ask(method, path string, in any) (object, error) {
	var raw json.RawMessage
	if err := r.call(r.cmd.Context(), method, path, in, &raw); err != nil {
		return nil, err
	}
	var o object
	if err := decodeAnswer(raw, &o); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", r.base, err)
	}
	return o, nil
}

// do asks for path and reads nothing.
func (r *remote) do(method, path string, in any) error {
	return r.call(r.cmd.Context(), method, path, in, nil)
}

// say tells people what was done; with --json it says nothing.
func (r *remote) say(format string, args ...any) error {
	if r.json {
		return nil
	}
	_, err := fmt.Fprintf(r.out(), format+"\n", args...)
	return err
}

// show prints an object: as JSON, or the fields for people.
func (r *remote) show(o object, fields ...string) error {
	if r.json {
		return writeJSON(r.out(), o)
	}
	return writeFields(r.out(), o, fields...)
}

// table prints rows: as a JSON array, or as a table for people.
func (r *remote) table(rows []object, cols []column) error {
	if !r.json {
		return writeTable(r.out(), rows, cols)
	}
	if rows == nil {
		rows = []object{}
	}
	return writeJSON(r.out(), rows)
}

// list reads a list page by page, up to --limit items of it, 0 for all. items is the name
// under which the answer has them.
func (r *remote) list(path string, query url.Values, items string) ([]object, error) {
	most := 0
	if f := r.flag("limit"); f != "" {
		most, _ = strconv.Atoi(f)
	}
	all, more, err := r.pages(path, query, items, most)
	if err == nil && more {
		fmt.Fprintf(r.cmd.ErrOrStderr(), "picloud: there are more than %d: ask for all with --limit 0\n", most)
	}
	return all, err
}

// pages reads up to most items of a list, 0 for all, and tells whether there are more.
func (r *remote) pages(path string, query url.Values, items string, most int) (all []object, more bool, err error) {
	if query == nil {
		query = url.Values{}
	}
	for {
		n := cloud.MaxPage
		if most > 0 {
			n = min(n, most-len(all))
		}
		query.Set("limit", strconv.Itoa(n))
		page, err := r.ask(http.MethodGet, path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, false, err
		}
		found, _ := page[items].([]any)
		for _, item := range found {
			if o, ok := item.(object); ok {
				all = append(all, o)
			}
		}
		next, _ := page["next_cursor"].(string)
		if next == "" || most > 0 && len(all) >= most {
			return all, next != "", nil
		}
		query.Set("cursor", next)
	}
}

// addLimit gives a command that lists the flag for how much.
func addLimit(c *cobra.Command) *cobra.Command {
	c.Flags().Uint("limit", cloud.DefaultPage, "print at most so many, 0 for all")
	return c
}

// appName is the app that the command is about: --app, or PICLOUD_APP, or the only one there is.
func (r *remote) appName() (string, error) {
	if name := cmp.Or(r.flag("app"), os.Getenv("PICLOUD_APP")); name != "" {
		return name, nil
	}
	apps, more, err := r.pages("/apps", nil, "items", 2)
	switch {
	case err != nil:
		return "", err
	case len(apps) == 0:
		return "", cloud.Errorf(cloud.NotFound, "%s has no app for you: make one with picloud app create", r.base)
	case len(apps) > 1 || more:
		return "", usageError{errors.New("there are several apps: name one with --app or PICLOUD_APP (picloud app list shows them)")}
	}
	return text(apps[0], "slug"), nil
}

// inApp is the path of something in the app.
func (r *remote) inApp(parts ...string) (string, error) {
	app, err := r.appName()
	if err != nil {
		return "", err
	}
	return segments(append([]string{"apps", app}, parts...)...), nil
}

// segments is a path of the API; what parts hold can't break out of its segment.
func segments(parts ...string) string {
	path := ""
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

func text(o object, field string) string {
	s, _ := o[field].(string)
	return s
}

// isID reports whether an argument is an id rather than a name.
func isID(s string) bool {
	_, err := cloud.ParseID[cloud.ScriptID](s)
	return err == nil
}
