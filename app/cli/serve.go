package cli

import (
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"picloud/app"
)

func serveCommand() *cobra.Command {
	var takeOver bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the instance",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			cfg.Logger, cfg.TakeOver = logger(cmd, cfg), takeOver
			a, err := app.New(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return a.Run(cmd.Context())
		},
	}
	addSettings(c.Flags())
	addTakeOver(c.Flags(), &takeOver)
	return c
}

// addTakeOver adds what is for one start, so that it isn't a setting.
func addTakeOver(flags *pflag.FlagSet, takeOver *bool) {
	flags.BoolVar(takeOver, "take-over", false, "replicate although the replica belongs to another device, which then stops")
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Print the settings in force and where each came from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, v := range cfg.Values() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Name, v.Value, v.Source, v.Doc)
			}
			return w.Flush()
		},
	}
	addSettings(c.Flags())
	return c
}

func addSettings(flags *pflag.FlagSet) {
	for _, s := range app.Settings {
		flags.String(s.Flag(), s.Default, s.Doc+" ["+s.Env()+"]")
	}
}

func loadConfig(flags *pflag.FlagSet) (*app.Config, error) {
	given := map[string]string{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = f.Value.String() })
	return app.Load(given, os.LookupEnv)
}

func logger(cmd *cobra.Command, cfg *app.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // Load allows only names that it knows
	o := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), o))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), o))
}
