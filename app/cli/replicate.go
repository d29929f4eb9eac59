package cli

import (
	"github.com/spf13/cobra"

	"picloud/app"
)

func replicateCommand() *cobra.Command {
	var takeOver bool
	c := &cobra.Command{
		Use:   "replicate",
		Short: "Replicate the database from a process of its own, beside an instance with PICLOUD_REPLICATION=outside",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			cfg.Logger, cfg.TakeOver = logger(cmd, cfg), takeOver
			return app.Replicate(cmd.Context(), cfg)
		},
	}
	addSettings(c.Flags())
	addTakeOver(c.Flags(), &takeOver)
	return c
}
