package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// Bounds of the verbs that take long.
const (
	syncTimeout = 10 * time.Minute // of backup now
	verifyPoll  = time.Second      // between two looks at a verification
	readStall   = 2 * time.Minute  // how long a download may stand still
)

func backupCommand() *cobra.Command {
	return group("backup", "Look after the second copy of the database, and download one",
		backupStatus(), backupNow(), backupPoints(), backupVerify(), backupDownload())
}

func backupStatus() *cobra.Command {
	return remoteCommand("status", "Show how the replication stands", cobra.NoArgs, func(r *remote, _ []string) error {
		s, err := r.ask(http.MethodGet, "/backup/status", nil)
		if err != nil {
			return err
		}
		return r.showReplication(s)
	})
}

func (r *remote) showReplication(s object) error {
	if r.json {
		return writeJSON(r.out(), s)
	}
	flat := object{}
	flatten(flat, "", s)
	delete(flat, "verification.tables")
	return r.showAll(flat)
}

func backupNow() *cobra.Command {
	return remoteCommand("now", "Return when the replica has everything that is committed", cobra.NoArgs, func(r *remote, _ []string) error {
		ctx, cancel := context.WithTimeout(r.cmd.Context(), syncTimeout)
		defer cancel()
		resp, err := r.request(ctx, http.MethodPost, adminAPI+"/backup/sync", http.NoBody, "")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", r.base, err)
		}
		if resp.StatusCode != http.StatusOK {
			return r.refused(resp, body)
		}
		var s object
		if err := decodeAnswer(body, &s); err != nil {
			return r.stranger(resp)
		}
		if r.json {
			return writeJSON(r.out(), s)
		}
		return r.say("%s has everything up to transaction %s", text(s, "target"), text(s, "target_txid"))
	})
}

func backupPoints() *cobra.Command {
	return addLimit(remoteCommand("points", "List what the replica can restore, newest first", cobra.NoArgs, func(r *remote, _ []string) error {
		points, err := r.list("/backup/points", nil, "items")
		if err != nil {
			return err
		}
		return r.table(points, columns("txid", "at", "level", "bytes"))
	}))
}

func backupVerify() *cobra.Command {
	return remoteCommand("verify", "Restore the replica to a temporary file, check it and count its rows", cobra.NoArgs, func(r *remote, _ []string) error {
		s, err := r.ask(http.MethodPost, "/backup/verify", nil)
		for err == nil && s["verifying"] == true {
			if err = pause(r.cmd.Context(), verifyPoll); err == nil {
				s, err = r.ask(http.MethodGet, "/backup/status", nil)
			}
		}
		if err != nil {
			return err
		}
		v, _ := s["verification"].(object)
		if v == nil {
			return errors.New("the verification was broken off: the instance's log says why")
		}
		if err := r.show(v, "at", "state_of", "txid", "rows", "seconds", "error"); err != nil {
			return err
		}
		if v["ok"] != true {
			return errors.New("the replica is not good: restoring from it would fail")
		}
		return r.say("the replica is good: it was restored and checked")
	})
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func backupDownload() *cobra.Command {
	return remoteCommand("download FILE", "Write a consistent copy of the database to FILE (- is standard output); only for owners", cobra.ExactArgs(1), func(r *remote, args []string) error {
		if args[0] == "-" {
			_, err := r.fetchCopy(r.out())
			return err
		}
		f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			return usageError{fmt.Errorf("%s exists: choose another name", args[0])}
		}
		if err != nil {
			return err
		}
		n, err := r.fetchCopy(f)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return errors.Join(err, os.Remove(args[0]))
		}
		if r.json {
			return writeJSON(r.out(), object{"file": args[0], "bytes": n})
		}
		return r.say("%s: %s", args[0], size(n))
	})
}

// fetchCopy copies the instance's database to w; all of it, or an error.
func (r *remote) fetchCopy(w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancel(r.cmd.Context())
	defer cancel()
	resp, err := r.request(ctx, http.MethodGet, adminAPI+"/backup", http.NoBody, "")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return 0, err
		}
		return 0, r.refused(resp, body)
	}
	still := time.AfterFunc(readStall, cancel)
	defer still.Stop()
	n, err := io.Copy(w, &moving{resp.Body, still})
	if err == nil && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("the download from %s broke off after %s: %w", r.base, size(n), err)
	}
	return n, nil
}

// moving pushes a timer on while bytes come.
type moving struct {
	io.Reader
	still *time.Timer
}

func (m *moving) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.still.Reset(readStall)
	return n, err
}
