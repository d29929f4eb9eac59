package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"picloud/app"
	"picloud/app/torture"
)

// ordeal is what `picloud torture` was asked for.
type ordeal struct {
	torture.Options
	durability string // full, relaxed or both
	keep       bool
	out        io.Writer
}

func tortureCommand() *cobra.Command {
	var o ordeal
	c := &cobra.Command{
		Use:   "torture",
		Short: "Kill an instance again and again under load, and check that it keeps its promises",
		Long: "Runs this program as an instance of its own on this machine, sends it requests of all kinds, kills it at random\n" +
			"moments, starts it again, and compares what it then holds with a ledger of what it had acknowledged. The first\n" +
			"promise that was broken ends it with exit code 1: the directory stays, with the log and the files. docs/reliability.md\n" +
			"says what is checked. It takes about a second for each kill, needs no network, and touches nothing else.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress, o.out = cmd.ErrOrStderr(), cmd.OutOrStdout()
			return o.run(cmd.Context())
		},
	}
	f := c.Flags()
	f.IntVar(&o.Kills, "kills", 20, "how many kills, for each durability")
	f.IntVar(&o.Clients, "clients", 8, "clients that send requests at once")
	f.Uint64Var(&o.Seed, "seed", 0, "of what is random (default: another one each time); the machine's own timing stays random")
	f.StringVar(&o.durability, "durability", "both", "full, relaxed or both")
	f.StringVar(&o.Dir, "data-dir", "", "empty directory to work in (default: a temporary one)")
	f.StringVar(&o.Program, "binary", "", "the program to run (default: the one that runs this)")
	f.BoolVar(&o.keep, "keep", false, "keep the directory although nothing was found")
	return c
}

func (o *ordeal) run(ctx context.Context) (err error) {
	kinds := []string{o.durability}
	if o.durability == "both" {
		kinds = torture.Durabilities
	} else if !slices.Contains(torture.Durabilities, o.durability) {
		return usageError{fmt.Errorf("--durability is full, relaxed or both, not %q", o.durability)}
	}
	if o.Kills < 1 || o.Clients < 1 {
		return usageError{errors.New("--kills and --clients are 1 or more")}
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return err
		}
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "picloud-torture-"); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		if err := o.torture(ctx, kind); err != nil {
			return err
		}
	}
	if o.keep {
		return nil
	}
	return os.RemoveAll(o.Dir)
}

// torture is a run with one durability, in a directory of its own.
func (o *ordeal) torture(ctx context.Context, durability string) error {
	run := o.Options
	run.Dir, run.Durability = filepath.Join(o.Dir, durability), durability
	fmt.Fprintf(o.Progress, "%s: %d kills, seed %d, in %s\n", durability, run.Kills, run.Seed, run.Dir)
	report, err := torture.Run(ctx, run)
	if err != nil {
		again := fmt.Sprintf("picloud torture --durability %s --kills %d --clients %d --seed %d", durability, run.Kills, run.Clients, run.Seed)
		return fmt.Errorf("%w\nthe data directory and the log are kept in %s\nrun it again with: %s (commit %s)", err, run.Dir, again, app.BuildVersion().Commit)
	}
	return report.Write(o.out)
}
