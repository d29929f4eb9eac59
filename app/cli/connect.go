package cli

import "github.com/spf13/cobra"

func addRemoteFlags(c *cobra.Command) {
	addTargetFlags(c.Flags())
	c.Flags().String("app", "", "slug or id of the app; the only one when left out [PICLOUD_APP]")
	c.Flags().Bool("json", false, "print JSON instead of a table")
}

func connect(cmd *cobra.Command) (*remote, error) {
	target, err := findTarget(cmd.Flags(), "")
	if err != nil {
		return nil, err
	}
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return nil, err
	}
	return &remote{client: target, cmd: cmd, json: asJSON}, nil
}
