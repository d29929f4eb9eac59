package cli

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"picloud/app"
	"picloud/app/cloud"
)

// How a check ended.
const (
	fine   = "ok"
	warned = "warn"
	failed = "fail"
)

// finding is what one check found, and what to do about it.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok | warn | fail
	What   string `json:"what"`
	Do     string `json:"do,omitempty"` // for warn and fail
}

func ok(check, what string, args ...any) finding {
	return finding{Check: check, Status: fine, What: fmt.Sprintf(what, args...)}
}

func warn(check, do, what string, args ...any) finding {
	return finding{check, warned, fmt.Sprintf(what, args...), do}
}

func fail(check, do, what string, args ...any) finding {
	return finding{check, failed, fmt.Sprintf(what, args...), do}
}

// checks of the machine, in the order in which they are told.
var checks = []func(*machine) []finding{
	checkClock, checkDisk, checkFileSystem, checkCards, checkPower, checkHeat, checkMemory, checkFiles, checkPort,
}

func doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check the machine and the instance, and say what to do",
		Long: "Looks at the machine that it runs on: clock, disk, wear of SD cards, power, heat, memory, permissions, port; and at the instance, if\n" +
			"it finds one (--url, PICLOUD_URL, login): whether it is ready, its second copy, dead letters, warnings. With --url it looks at the\n" +
			"instance alone. The exit code is 1 when something is broken; warnings don't count.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := examine(cmd)
			if err != nil {
				return err
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				err = writeJSON(cmd.OutOrStdout(), found)
			} else {
				err = writeFindings(cmd.OutOrStdout(), found)
			}
			if err != nil {
				return err
			}
			return verdict(found)
		},
	}
	addRemoteFlags(c)
	c.Flags().String("data-dir", "", "data directory to look at [PICLOUD_DATA_DIR]")
	c.Flags().String("listen", "", "address that the instance listens on [PICLOUD_LISTEN]")
	return c
}

func examine(cmd *cobra.Command) (found []finding, err error) {
	alone := cmd.Flags().Changed("url")
	if !alone {
		m, err := localMachine(cmd)
		if err != nil {
			return nil, err
		}
		for _, check := range checks {
			found = append(found, check(m)...)
		}
	}
	r, err := connect(cmd)
	if err != nil {
		if alone {
			return nil, err
		}
		return append(found, ok("instance", "none is known: picloud login, or --url, to look at one too")), nil
	}
	return append(found, checkInstance(r)...), nil
}

func localMachine(cmd *cobra.Command) (*machine, error) {
	given := map[string]string{}
	for _, name := range []string{"data-dir", "listen"} {
		if f := cmd.Flags().Lookup(name); f.Changed {
			given[name] = f.Value.String()
		}
	}
	cfg, err := app.Load(given, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	return &machine{root: "/", dataDir: cfg.DataDir, listen: cfg.Listen, now: time.Now(), statfs: statfs, synced: kernelClock, uid: os.Getuid()}, nil
}

// writeFindings writes a line for each, and what to do below those that need it.
func writeFindings(w io.Writer, found []finding) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Status, f.Check, oneLine(f.What))
		if f.Do != "" {
			fmt.Fprintf(t, "\t\t-> %s\n", oneLine(f.Do))
		}
	}
	return t.Flush()
}

func verdict(found []finding) error {
	n := 0
	for _, f := range found {
		if f.Status == failed {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return cloud.Errorf(cloud.Internal, "%d of %d checks failed", n, len(found))
}
