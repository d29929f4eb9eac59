// Package cli is the command line: serve, and the operator's verbs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"picloud/app"
)

// Main runs the command line and returns the exit code. It stops when ctx ends.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	fmt.Fprintln(stderr, "picloud:", err)
	return exitCode(err)
}

// rootCommand is the whole command line.
func rootCommand(stdout, stderr io.Writer) *cobra.Command {
	root := group("picloud", "A cloud of your own on one small computer",
		serveCommand(), configCommand(), adminCommand(), typesCommand(), versionCommand(),
		loginCommand(), logoutCommand(),
		initCommand(), devCommand(), testCommand(), deployCommand(), rollbackCommand(), deploymentsCommand(),
		appCommand(), scriptCommand(), routeCommand(), triggerCommand(), kvCommand(), queueCommand(), topicCommand(), secretsCommand(), dlqCommand(), outboxCommand(),
		logsCommand(), runCommand(), tokenCommand(), systemCommand(), doctorCommand(),
		backupCommand(), restoreCommand(), replicateCommand(),
		manCommand(), upgradeCommand(), selfTestCommand(), tortureCommand(),
	)
	root.Long = "PiCloud Edge runs JavaScript functions behind HTTP routes, with a key-value store, events,\nretries and a dashboard, from one binary and one SQLite file."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.InitDefaultCompletionCmd() // it keeps the writer that it finds
	misuse(root)
	return root
}

// misuse makes a wrong number of arguments a mistake on the command line.
func misuse(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil || errors.As(err, new(usageError)) {
				return err
			}
			return usageError{fmt.Errorf("%w: write %s", err, cmd.UseLine())}
		}
	}
	for _, sub := range c.Commands() {
		misuse(sub)
	}
}

// usageError marks a mistake on the command line.
type usageError struct{ error }

func typesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "types",
		Short: "Print picloud.d.ts, the types of what scripts can use",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), app.Types())
			return err
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := app.BuildVersion()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "picloud %s (commit %s)\n", v.Product, v.Commit)
			return err
		},
	}
}
