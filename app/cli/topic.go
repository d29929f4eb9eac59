package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func topicCommand() *cobra.Command {
	return group("topic", "Publish messages, and say who may listen to topics from outside", topicList(), topicOpen(), topicClose(), topicDelete(), topicPublish())
}

func topicList() *cobra.Command {
	return addLimit(remoteCommand("list", "List the registered topics of the app", cobra.NoArgs, func(r *remote, _ []string) error {
		return r.listInApp(columns("topic", "external_subscribable", "auth_mode", "updated_at"), "items", "topics")
	}))
}

func topicOpen() *cobra.Command {
	c := remoteCommand("open TOPIC", "Let subscribers from outside listen to a topic: those with a token, or with --public everybody", cobra.ExactArgs(1), func(r *remote, args []string) error {
		mode := "token"
		if r.flag("public") == "true" {
			mode = "public"
		}
		return r.putTopic(args[0], object{"external_subscribable": true, "auth_mode": mode})
	})
	c.Flags().Bool("public", false, "no token is needed")
	return c
}

func topicClose() *cobra.Command {
	return remoteCommand("close TOPIC", "Make a registered topic internal", cobra.ExactArgs(1), func(r *remote, args []string) error {
		return r.putTopic(args[0], object{"external_subscribable": false})
	})
}

func (r *remote) putTopic(name string, in object) error {
	path, err := r.inApp("topics", name)
	if err != nil {
		return err
	}
	topic, err := r.ask(http.MethodPut, path, in)
	if err != nil {
		return err
	}
	return r.show(topic, "topic", "external_subscribable", "auth_mode")
}

func topicDelete() *cobra.Command {
	return remoteCommand("delete TOPIC", "Forget a registered topic, which makes it internal", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("topics", args[0])
		if err != nil {
			return err
		}
		if err := r.do(http.MethodDelete, path, nil); err != nil {
			return err
		}
		return r.say("deleted %s", args[0])
	})
}

func topicPublish() *cobra.Command {
	return remoteCommand("publish TOPIC JSON|@FILE|-", "Publish a message; triggers fire as for a script's", cobra.ExactArgs(2), func(r *remote, args []string) error {
		message, err := r.jsonArgument(args[1], "message")
		if err != nil {
			return err
		}
		path, err := r.inApp("topics", args[0], "messages")
		if err != nil {
			return err
		}
		answer, err := r.ask(http.MethodPost, path, object{"message": message})
		if err != nil {
			return err
		}
		return r.show(answer, "topic", "published_at")
	})
}
