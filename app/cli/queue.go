package cli

import (
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"
)

func queueCommand() *cobra.Command {
	return group("queue", "See and manage queues and their messages",
		queueList(), queuePeek(), queueSend(), queuePurge(),
		queueVerb("pause", "Keep a queue's messages from being taken", "paused"),
		queueVerb("resume", "Let a paused queue's messages be taken again", "resumed"))
}

func queueList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the queues that hold messages, have a trigger or are paused", cobra.NoArgs, func(r *remote, _ []string) error {
		path, err := r.inApp("queues")
		if err != nil {
			return err
		}
		rows, err := r.list(path, nil, "items")
		if err != nil {
			return err
		}
		return r.table(rows, columnsOf(rows, "name"))
	}))
}

// columnsOf makes a column of each plain field that the rows have, the given ones first.
func columnsOf(rows []object, first ...string) []column {
	if len(rows) == 0 {
		return nil
	}
	return columns(fieldsAfter(rows[0], first)...)
}

func queuePeek() *cobra.Command {
	return addLimit(remoteCommand("peek QUEUE", "List the messages of a queue, oldest first, without taking them", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("queues", args[0], "messages")
		if err != nil {
			return err
		}
		rows, err := r.list(path, nil, "items")
		if err != nil {
			return err
		}
		return r.table(rows, columnsOf(rows, "id", "body"))
	}))
}

func queueSend() *cobra.Command {
	c := remoteCommand("send QUEUE JSON|@FILE|-", "Put a message into a queue", cobra.ExactArgs(2), func(r *remote, args []string) error {
		message, err := r.jsonArgument(args[1], "message")
		if err != nil {
			return err
		}
		in := object{"message": message}
		for flag, field := range map[string]string{"order": "key", "once": "deduplication_id"} {
			if r.given(flag) {
				in[field] = r.flag(flag)
			}
		}
		if r.given("delay") {
			in["delay_seconds"] = json.Number(r.flag("delay"))
		}
		path, err := r.inApp("queues", args[0], "messages")
		if err != nil {
			return err
		}
		sent, err := r.ask(http.MethodPost, path, in)
		if err != nil {
			return err
		}
		return r.show(sent, "queue", "id", "duplicate")
	})
	c.Flags().String("order", "", "messages with one key run in order, one at a time")
	c.Flags().String("once", "", "deduplication id: a second message with it is not stored, for some minutes")
	c.Flags().Float64("delay", 0, "seconds until it may be taken")
	return c
}

func queuePurge() *cobra.Command {
	return remoteCommand("purge QUEUE", "Delete the messages of a queue that no execution holds", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("queues", args[0], "messages")
		if err != nil {
			return err
		}
		if err := r.do(http.MethodDelete, path, nil); err != nil {
			return err
		}
		return r.say("purged queue %s", args[0])
	})
}

func queueVerb(verb, short, done string) *cobra.Command {
	return remoteCommand(verb+" QUEUE", short, cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("queues", args[0], verb)
		if err != nil {
			return err
		}
		if err := r.do(http.MethodPost, path, nil); err != nil {
			return err
		}
		return r.say("%s queue %s", done, args[0])
	})
}
