package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const exportMedia = "application/vnd.sqlite3"

func appExport() *cobra.Command {
	c := remoteCommand("export [APP] FILE", "Write an app with all of its data to one file (- is standard output)", cobra.RangeArgs(1, 2), func(r *remote, args []string) error {
		path, err := r.appPath(args[:len(args)-1])
		if err != nil {
			return err
		}
		return r.download(path+"/export", args[len(args)-1])
	})
	c.Long = c.Short + ".\nIt has scripts with their versions, routes, domains, triggers, keys and values, dead letters and work that waits; people by name\n" +
		"only, and neither API keys nor sessions. It is a SQLite database, and one consistent state of the app."
	return c
}

func appImport() *cobra.Command {
	c := remoteCommand("import FILE [SLUG]", "Make an app of an export (- is standard input), all of it or nothing", cobra.RangeArgs(1, 2), func(r *remote, args []string) error {
		query := url.Values{}
		if len(args) > 1 {
			query.Set("slug", args[1])
		}
		for _, f := range []string{"name", "source", "members", "leave-work", "skip-taken"} {
			if r.given(f) {
				query.Set(underscored(f), r.flag(f))
			}
		}
		done, err := r.upload("/apps/import?"+query.Encode(), args[0])
		if err != nil || r.json {
			return firstError(err, func() error { return writeJSON(r.out(), done) })
		}
		if err := r.tellSkipped(done); err != nil {
			return err
		}
		rows, _ := done["rows"].(object)
		return r.say("imported app %s: %s scripts, %s routes, %s triggers, %s keys", textOf(fieldOf(done, "app.slug"), false),
			count(rows, "scripts"), count(rows, "routes"), count(rows, "triggers"), count(rows, "kv_entries"))
	})
	c.Long = c.Short + ".\nFILE may also be a copy of a whole database: say with --source which of its apps. On an instance that doesn't have the\n" +
		"app its ids stay what they were; beside the original it gets others. Triggers run as you. What the operator of the other\n" +
		"instance allowed (reserved addresses, roles) does not come along unless you say so."
	f := c.Flags()
	f.String("name", "", "another name for people")
	f.String("source", "", "slug of the app to take, when the file has several")
	f.Bool("members", false, "give users of the same name the roles that they had")
	f.Bool("leave-work", false, "leave out what waited to run")
	f.Bool("skip-taken", false, "leave out routes and domains that another app has")
	return c
}

func appRewind() *cobra.Command {
	c := remoteCommand("rewind [APP]", "Put an app back to what it was; shows what would change unless --yes", cobra.MaximumNArgs(1), (*remote).rewindApp)
	c.Long = c.Short + ".\nScripts, routes, domains, triggers, data, dead letters and waiting work become what they were, in one transaction; slug, name, members\n" +
		"and quotas stay. The state comes from the second copy (--timestamp), or from a file: a copy of the database, or an export."
	addRewindFlags(c)
	return c
}

func addRewindFlags(c *cobra.Command) {
	f := c.Flags()
	f.String("timestamp", "", "the moment to go back to, such as 2026-01-31T12:00:00Z, or 30m for half an hour ago")
	f.String("from", "", "go back to what this file has, instead")
	f.Bool("yes", false, "do it")
	f.Bool("skip-taken", false, "leave out routes and domains that another app has now")
}

func (r *remote) rewindApp(args []string) error {
	path, err := r.appPath(args)
	if err != nil {
		return err
	}
	if r.given("timestamp") == r.given("from") {
		return usageError{errors.New("say what to go back to: --timestamp, or --from a file")}
	}
	var done object
	if r.given("from") {
		query := url.Values{"apply": {r.flag("yes")}, "skip_taken": {r.flag("skip-taken")}}
		done, err = r.upload(path+"/rewind/file?"+query.Encode(), r.flag("from"))
	} else {
		done, err = r.rewindTo(path + "/rewind")
	}
	if err != nil || r.json {
		return firstError(err, func() error { return writeJSON(r.out(), done) })
	}
	return r.tellRewound(done)
}

func (r *remote) rewindTo(path string) (object, error) {
	at, err := moment(r.flag("timestamp"), time.Now())
	if err != nil {
		return nil, err
	}
	text := at.UTC().Format(cloudTime)
	if r.flag("yes") != "true" {
		return r.patiently(http.MethodGet, path+"?timestamp="+url.QueryEscape(text), nil)
	}
	return r.patiently(http.MethodPost, path, object{"timestamp": text, "skip_taken": r.flag("skip-taken") == "true"})
}

// moment is a time, or how long ago.
func moment(s string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := parseMoment(s)
	if err != nil {
		return at, usageError{fmt.Errorf("%w; or 30m for half an hour ago", err)}
	}
	return at, nil
}

func (r *remote) tellRewound(done object) error {
	if at := textOf(done["state_of"], true); at != "" {
		if err := r.say("state of %s", at); err != nil {
			return err
		}
	}
	changes, _ := done["changes"].([]any)
	var rows []object
	for _, c := range changes {
		row, _ := c.(object)
		rows = append(rows, row)
	}
	if err := writeTable(r.out(), rows, columns("table", "now", "then", "added", "changed", "removed")); err != nil {
		return err
	}
	for _, row := range rows {
		names, _ := row["names"].([]any)
		for _, n := range names {
			if err := r.say("  %s: %s", text(row, "table"), oneLine(textOf(n, false))); err != nil {
				return err
			}
		}
	}
	if err := r.tellSkipped(done); err != nil {
		return err
	}
	switch {
	case done["applied"] == true:
		return r.say("done")
	case len(rows) == 0:
		return r.say("nothing would change")
	}
	return r.say("nothing is changed yet: add --yes to do it")
}

func (r *remote) tellSkipped(done object) error {
	skipped, _ := done["skipped"].([]any)
	for _, s := range skipped {
		if err := r.say("left out: %s", oneLine(textOf(s, false))); err != nil {
			return err
		}
	}
	return nil
}

func count(rows object, table string) string {
	if n := textOf(rows[table], false); n != "" {
		return n
	}
	return "0"
}

func underscored(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// patiently is ask for what takes as long as it takes.
func (r *remote) patiently(method, path string, in any) (object, error) {
	var body io.Reader = http.NoBody
	media := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body, media = bytes.NewReader(b), "application/json"
	}
	return r.exchange(r.cmd.Context(), method, path, body, media)
}

func (r *remote) exchange(ctx context.Context, method, path string, body io.Reader, media string) (object, error) {
	resp, err := r.request(ctx, method, adminAPI+path, body, media)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", r.base, err)
	}
	if resp.StatusCode > 299 {
		return nil, r.refused(resp, b)
	}
	var o object
	if err := decodeAnswer(b, &o); err != nil {
		return nil, r.stranger(resp)
	}
	return o, nil
}

// upload sends a file and reads the answer.
func (r *remote) upload(path, name string) (object, error) {
	if name == "-" {
		return r.exchange(r.cmd.Context(), http.MethodPost, path, r.cmd.InOrStdin(), exportMedia)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p := r.progress("sending "+filepath.Base(name), info.Size())
	defer p.end()
	return r.exchange(r.cmd.Context(), http.MethodPost, path, io.TeeReader(f, p), exportMedia)
}

// download writes what path answers to a file, which appears when it is whole.
func (r *remote) download(path, name string) error {
	resp, err := r.request(r.cmd.Context(), http.MethodGet, adminAPI+path, http.NoBody, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode > 299 {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return r.refused(resp, b)
	}
	if name == "-" {
		_, err := io.Copy(r.out(), resp.Body)
		return err
	}
	n, err := r.save(resp, name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return r.say("wrote %s (%s)", name, size(n))
}

func (r *remote) save(resp *http.Response, name string) (int64, error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".download-*") // mode 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	p := r.progress("receiving "+filepath.Base(name), resp.ContentLength)
	defer p.end()
	n, err := io.Copy(f, io.TeeReader(resp.Body, p))
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return n, os.Rename(f.Name(), name)
}
