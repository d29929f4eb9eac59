package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"picloud/app"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages, one for each command",
		Long: "Writes the manual pages, one for each command, into a directory such as /usr/local/share/man/man1.\n" +
			"With SOURCE_DATE_EPOCH set they are the same at every run.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("make the directory: %w", err)
			}
			header := &doc.GenManHeader{Section: "1", Source: "PiCloud Edge " + app.Product, Manual: "PiCloud Edge"}
			return doc.GenManTree(cmd.Root(), header, args[0])
		},
	}
}
