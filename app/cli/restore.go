package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"picloud/app"
)

// restoring is what the flags of restore say.
type restoring struct {
	output, timestamp, txid string
	dryRun, force           bool
}

func restoreCommand() *cobra.Command {
	var o restoring
	c := &cobra.Command{
		Use:   "restore",
		Short: "Bring the database back from the replica while the instance is stopped, or write it to a file",
		Long: "Restore reads the replica that litestream.yml names, at a time or a transaction or as new as it is,\n" +
			"checks what it got, and puts it in the place of picloud.db. The former database stays beside it.\n" +
			"With -o it writes a file instead, and the instance may run.\n" +
			"With --app it asks a running instance to put one app back, as picloud app rewind does.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name := cmd.Flags().Lookup("app").Value.String(); name != "" {
				return rewindOne(cmd, name)
			}
			cfg, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			cfg.Logger = logger(cmd, cfg)
			return o.run(cmd, cfg)
		},
	}
	addSettings(c.Flags())
	c.Flags().StringVarP(&o.output, "output", "o", "", "write to this file instead of the data directory")
	c.Flags().StringVar(&o.timestamp, "timestamp", "", "the state of then, such as 2026-01-31T18:00:00Z, or 2026-01-31 18:00:00 in local time")
	c.Flags().StringVar(&o.txid, "txid", "", "the state after this transaction, as picloud backup points lists them")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "tell what would be restored, and change nothing")
	c.Flags().BoolVar(&o.force, "force", false, "although there is a database: it is kept beside the restored one; or a file: it is replaced")
	addRemoteFlags(c)
	c.Flags().Lookup("app").Usage = "only this app, of a running instance; shows what would change unless --yes"
	c.Flags().Bool("yes", false, "with --app: do it")
	c.Flags().Bool("skip-taken", false, "with --app: leave out routes and domains that another app has now")
	return c
}

// rewindOne is picloud app rewind by its other name.
func rewindOne(cmd *cobra.Command, name string) error {
	for _, f := range []string{"output", "txid", "dry-run", "force"} {
		if cmd.Flags().Changed(f) {
			return usageError{fmt.Errorf("--%s is for the whole database: with --app give --timestamp, and --yes to do it", f)}
		}
	}
	r, err := connect(cmd)
	if err != nil {
		return err
	}
	return r.rewindApp([]string{name})
}

func (o *restoring) run(cmd *cobra.Command, cfg *app.Config) error {
	m, err := o.moment()
	if err != nil {
		return usageError{err}
	}
	out := cmd.OutOrStdout()
	switch {
	case o.dryRun:
		p, err := app.PlanRestore(cmd.Context(), cfg, m)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "would restore the state of %s, transaction %s, from %d files with %s\n", at(p.At), app.FormatTXID(p.TXID), p.Files, size(p.Bytes))
		return err
	case o.output != "":
		return o.toFile(cmd, cfg, m)
	}
	p, aside, err := app.RestoreState(cmd.Context(), cfg, m, o.force)
	if err != nil {
		return err
	}
	if err := tell(out, "picloud.db", p); err != nil {
		return err
	}
	if aside != "" {
		_, err = fmt.Fprintf(out, "what was there is kept as picloud.db%s\n", aside)
	}
	return err
}

// toFile restores to -o. A file of that name is replaced only by a restored one.
func (o *restoring) toFile(cmd *cobra.Command, cfg *app.Config, m app.Moment) error {
	_, err := os.Lstat(o.output)
	exists := !errors.Is(err, fs.ErrNotExist)
	if exists && !o.force {
		return usageError{fmt.Errorf("%s exists: choose another name, or replace it with --force", o.output)}
	}
	dst := o.output
	if exists {
		dst += ".restored"
		if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	p, err := app.RestoreFile(cmd.Context(), cfg, m, dst)
	if err != nil {
		return err
	}
	if exists {
		if err := os.Rename(dst, o.output); err != nil {
			return err
		}
	}
	return tell(cmd.OutOrStdout(), o.output, p)
}

func (o *restoring) moment() (m app.Moment, err error) {
	if o.timestamp != "" && o.txid != "" {
		return m, errors.New("give --timestamp or --txid, not both")
	}
	if o.txid != "" {
		m.TXID, err = app.ParseTXID(o.txid)
		return m, err
	}
	if o.timestamp != "" {
		m.Timestamp, err = parseMoment(o.timestamp)
	}
	return m, err
}

// parseMoment reads a time with its zone, or one of the local zone.
func parseMoment(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write one such as 2026-01-31T18:00:00Z, or \"2026-01-31 18:00:00\" in local time", s)
}

func at(t time.Time) string { return t.Local().Format(time.DateTime) }

func tell(w io.Writer, name string, p *app.Restored) error {
	_, err := fmt.Fprintf(w, "%s is restored: the state of %s, transaction %s, %d rows in %d tables, integrity ok\n",
		name, at(p.At), app.FormatTXID(p.TXID), p.Found.Rows, len(p.Found.Tables))
	return err
}
