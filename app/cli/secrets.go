package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"picloud/app"
)

func secretsCommand() *cobra.Command {
	return group("secrets", "Set the app's secrets, which only its scripts can read", secretsList(), secretsSet(), secretsDelete(), secretsRotate())
}

func secretsList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the names of the app's secrets", cobra.NoArgs, func(r *remote, _ []string) error {
		return r.listInApp(columns("name", "updated_at"), "items", "secrets")
	}))
}

func secretsSet() *cobra.Command {
	return remoteCommand("set NAME [@FILE]", "Set a secret to the content of a file, or to what is typed or piped in: never an argument, which others could see",
		cobra.RangeArgs(1, 2), func(r *remote, args []string) error {
			path, err := r.inApp("secrets", args[0])
			if err != nil {
				return err
			}
			value, err := r.secretValue(args[1:])
			if err != nil {
				return err
			}
			secret, err := r.ask(http.MethodPut, path, object{"value": value})
			if err != nil {
				return err
			}
			return r.show(secret, "name", "updated_at")
		})
}

// secretValue reads the secret without the line end that editors and keyboards add.
func (r *remote) secretValue(args []string) (string, error) {
	if len(args) == 1 {
		if !strings.HasPrefix(args[0], "@") {
			return "", usageError{errors.New("don't write a secret on the command line, where other programs can see it: pipe it in, type it, or give @FILE")}
		}
		b, err := r.readArgument(args[0])
		return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), err
	}
	fmt.Fprint(r.cmd.ErrOrStderr(), "Secret (ends with the input): ")
	in := r.cmd.InOrStdin()
	show := hideTyping(in)
	// A signal ends the command with the terminal as it was.
	defer context.AfterFunc(r.cmd.Context(), show)()
	defer show()
	b, err := readBounded(in, "standard input")
	fmt.Fprintln(r.cmd.ErrOrStderr())
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), err
}

func secretsDelete() *cobra.Command {
	return remoteCommand("delete NAME", "Delete a secret", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("secrets", args[0])
		if err != nil {
			return err
		}
		if err := r.do(http.MethodDelete, path, nil); err != nil {
			return err
		}
		return r.say("deleted %s", args[0])
	})
}

// secretsRotate works on the data directory while the instance is stopped.
func secretsRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate-key",
		Short: "Encrypt all secrets with another master key, on the data directory of a stopped instance",
		Long: "Encrypt all secrets with another master key, on the data directory of a stopped instance.\n" +
			"With the key in master.key a random one takes its place. With PICLOUD_MASTER_KEY set that to\n" +
			"the new key, a comma and the old one first. If it is broken off, run it again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			n, err := app.RotateKey(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d secrets have another key. Keep a copy of it; restoring an earlier state of picloud.db still needs the former one.\n", n)
			return err
		},
	}
	addSettings(c.Flags())
	return c
}
