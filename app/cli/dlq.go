package cli

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func dlqCommand() *cobra.Command {
	return group("dlq", "See and settle dead letters: events that used up their attempts",
		dlqList(), dlqShow(), dlqReplay(), dlqResolve())
}

func dlqList() *cobra.Command {
	c := addLimit(remoteCommand("list", "List dead letters, newest first", cobra.NoArgs, func(r *remote, _ []string) error {
		query := url.Values{}
		if !r.given("all") {
			query.Set("unresolved", "true")
		}
		filter, err := r.letterFilter()
		if err != nil {
			return err
		}
		for name, v := range filter {
			query.Set(name, textOf(v, false))
		}
		path, err := r.inApp("dead_letters")
		if err != nil {
			return err
		}
		rows, err := r.list(path, query, "dead_letters")
		if err != nil {
			return err
		}
		return r.table(rows, columns("id", "source", "op", "attempt_count", "last_error", "created_at", "resolution"))
	}))
	c.Flags().Bool("all", false, "resolved ones too")
	addLetterFilter(c)
	return c
}

func addLetterFilter(c *cobra.Command) {
	c.Flags().String("source", "", "only of this source: kv, http, …")
	c.Flags().String("script", "", "only of this script, by name or id")
	c.Flags().String("trigger", "", "only of this trigger, by id")
}

// letterFilter selects by the flags.
func (r *remote) letterFilter() (object, error) {
	f := object{}
	if r.given("source") {
		f["source"] = r.flag("source")
	}
	if r.given("trigger") {
		f["trigger_id"] = r.flag("trigger")
	}
	if r.given("script") {
		id, err := r.scriptID(r.flag("script"))
		if err != nil {
			return nil, err
		}
		f["script_id"] = id
	}
	return f, nil
}

func dlqShow() *cobra.Command {
	return remoteCommand("show LETTER", "Show a dead letter with its payload and attempts", cobra.ExactArgs(1), func(r *remote, args []string) error {
		path, err := r.inApp("dead_letters", args[0])
		if err != nil {
			return err
		}
		letter, err := r.ask(http.MethodGet, path, nil)
		if err != nil || r.json {
			return firstError(err, func() error { return writeJSON(r.out(), letter) })
		}
		if err := r.show(letter, "id", "source", "op", "script_id", "trigger_id", "attempt_count", "first_attempt_at", "last_attempt_at", "resolved_at", "resolution", "reason"); err != nil {
			return err
		}
		if err := r.say("payload:"); err != nil {
			return err
		}
		if err := writeJSON(r.out(), letter["payload"]); err != nil {
			return err
		}
		return r.showAttempts(letter)
	})
}

func (r *remote) showAttempts(o object) error {
	history, _ := o["attempts"].([]any)
	for _, a := range history {
		attempt, _ := a.(object)
		if err := r.say("%s  %s  %s", textOf(attempt["at"], true), text(attempt, "execution_id"), lines(text(attempt, "error"))); err != nil {
			return err
		}
	}
	return nil
}

func dlqReplay() *cobra.Command {
	c := remoteCommand("replay [LETTER…]", "Put the events of dead letters back into the outbox", cobra.ArbitraryArgs, func(r *remote, args []string) error {
		return r.settleLetters("replay", "replayed", args, object{})
	})
	addSettleFlags(c)
	return c
}

func dlqResolve() *cobra.Command {
	c := remoteCommand("resolve [LETTER…]", "Close dead letters without running them again", cobra.ArbitraryArgs, func(r *remote, args []string) error {
		return r.settleLetters("resolve", "resolved", args, object{"reason": r.flag("reason")})
	})
	c.Flags().String("reason", "", "why, for the record")
	addSettleFlags(c)
	return c
}

func addSettleFlags(c *cobra.Command) {
	c.Flags().Bool("all", false, "every open letter that --source, --script and --trigger select")
	addLetterFilter(c)
}

// settleLetters does the verb to the letters named or, with --all, to those selected, and
// tells how many.
func (r *remote) settleLetters(verb, done string, ids []string, in object) error {
	all := r.given("all")
	if all == (len(ids) > 0) {
		return usageError{errors.New("name letters by id, or select them with --all")}
	}
	if all {
		return r.settleAll(verb, done, in)
	}
	for _, id := range ids {
		path, err := r.inApp("dead_letters", id, verb)
		if err != nil {
			return err
		}
		if err := r.do(http.MethodPost, path, in); err != nil {
			return err
		}
		if err := r.say("%s %s", done, id); err != nil {
			return err
		}
	}
	if r.json {
		return writeJSON(r.out(), object{"count": len(ids)})
	}
	return nil
}

func (r *remote) settleAll(verb, done string, in object) error {
	filter, err := r.letterFilter()
	if err != nil {
		return err
	}
	body := object{"filter": filter}
	for name, v := range in {
		body[name] = v
	}
	path, err := r.inApp("dead_letters", verb)
	if err != nil {
		return err
	}
	n, err := r.ask(http.MethodPost, path, body)
	if err != nil {
		return err
	}
	if r.json {
		return writeJSON(r.out(), n)
	}
	return r.say("%s %s letters", done, textOf(n["count"], false))
}
