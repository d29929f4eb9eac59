package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func outboxCommand() *cobra.Command {
	return group("outbox", "See and cancel work that waits to run", outboxList(), outboxCancel())
}

func outboxList() *cobra.Command {
	return addLimit(remoteCommand("list", "List waiting, running and retrying work, oldest first", cobra.NoArgs, func(r *remote, _ []string) error {
		return r.listInApp(columns("id", "source", "op", "state", "attempt_count", "next_attempt_at", "created_at"), "items", "outbox")
	}))
}

func outboxCancel() *cobra.Command {
	return remoteCommand("cancel ROW…", "Cancel work that is not running", cobra.MinimumNArgs(1), func(r *remote, args []string) error {
		for _, id := range args {
			path, err := r.inApp("outbox", id)
			if err != nil {
				return err
			}
			if err := r.do(http.MethodDelete, path, nil); err != nil {
				return err
			}
			if err := r.say("cancelled %s", id); err != nil {
				return err
			}
		}
		return nil
	})
}
