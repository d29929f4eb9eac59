package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"picloud/app"
	"picloud/app/cloud"
)

// adminCommand works on the data directory while the instance is stopped: it is the way
// back in for somebody who lost the owner's password.
func adminCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "admin",
		Short: "Manage users on the data directory while the instance is stopped",
	}
	c.AddCommand(
		offlineCommand("create", "Create a user", true, app.CreateUser),
		offlineCommand("reset-password", "Give a user another password, make them active, and end their sessions", false, app.ResetPassword),
	)
	return c
}

func offlineCommand(use, short string, withRole bool, do func(o app.Offline) error) *cobra.Command {
	var role string
	c := &cobra.Command{
		Use:   use + " USERNAME",
		Short: short,
		Long:  short + ".\nThe password is read from standard input, one line, 12 or more characters.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			password, err := readPassword(cmd.InOrStdin())
			if err != nil {
				return err
			}
			o := app.Offline{Context: cmd.Context(), Config: cfg, Username: args[0], Password: password, Role: cloud.InstanceRole(role)}
			if err := do(o); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: done\n", args[0])
			return err
		},
	}
	addSettings(c.Flags())
	if withRole {
		c.Flags().StringVar(&role, "role", string(cloud.Owner), "owner, admin or member")
	}
	return c
}

func readPassword(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usageError{fmt.Errorf("give the password on standard input, one line")}
	}
	return line, nil
}
