// Package cli is the command line: serve, and the operator's verbs.
package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"picloud/app"
	"picloud/app/cloud"
)

// Exit codes of the program.
const (
	ExitOK     = 0
	ExitFailed = 1 // the work could not be done
	ExitUsage  = 2 // the command line or a setting is wrong
)

// Main runs the command line and returns the exit code. It stops when ctx ends.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "picloud",
		Short:         "A cloud of your own on one small computer",
		Long:          "PiCloud Edge runs JavaScript functions behind HTTP routes, with a key-value store, events,\nretries and a dashboard, from one binary and one SQLite file.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(serveCommand(), configCommand(), adminCommand(), loginCommand(), logoutCommand(), typesCommand(), versionCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	fmt.Fprintln(stderr, "picloud:", err)
	if _, ok := err.(usageError); ok || cloud.KindOf(err) == cloud.Invalid {
		return ExitUsage
	}
	return ExitFailed
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
