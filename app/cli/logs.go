package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func logsCommand() *cobra.Command {
	c := remoteCommand("logs [EXECUTION]", "Print executions with their logs, and follow them with -f", cobra.MaximumNArgs(1), func(r *remote, args []string) error {
		switch {
		case len(args) > 0 && r.given("chain"):
			return r.showChain(args[0])
		case len(args) > 0:
			return r.showExecution(args[0])
		}
		return r.printLogs()
	})
	c.Long = c.Short + ".\nWithout -f the newest come last. With -f executions are printed as they finish, until you stop it (Ctrl-C);\n" +
		"a lost connection is made again, and what finished meanwhile is printed then. --json prints one object a line."
	f := c.Flags()
	f.BoolP("follow", "f", false, "go on with executions as they finish")
	f.String("script", "", "only of this script, by name or id")
	f.String("status", "", "only with this status: success, error, timeout, budget or conflict")
	f.String("source", "", "only of this source: http, kv, dead_letter, …")
	f.Duration("since", 0, "only those that started at most so long ago, such as 2h")
	f.Uint("limit", 20, "print at most so many of the past, 0 for all")
	f.Bool("chain", false, "everything that the execution's root led to, as a tree")
	return c
}

// logFilter selects executions by the flags.
func (r *remote) logFilter() (url.Values, error) {
	q := url.Values{}
	for _, name := range []string{"status", "source"} {
		if r.given(name) {
			q.Set(name, r.flag(name))
		}
	}
	if r.given("since") {
		ago, err := r.cmd.Flags().GetDuration("since")
		if err != nil {
			return nil, err
		}
		q.Set("since", time.Now().Add(-ago).UTC().Format(time.RFC3339))
	}
	if r.given("script") {
		id, err := r.scriptID(r.flag("script"))
		if err != nil {
			return nil, err
		}
		q.Set("script_id", id)
	}
	return q, nil
}

func (r *remote) printLogs() error {
	filter, err := r.logFilter()
	if err != nil {
		return err
	}
	path, err := r.inApp("executions")
	if err != nil {
		return err
	}
	p := &logPrinter{remote: r, scripts: strings.TrimSuffix(path, "/executions") + "/scripts"}
	if r.given("follow") {
		return r.follow(path, filter, p)
	}
	found, err := r.list(path, filter, "items")
	if err != nil {
		return err
	}
	slices.Reverse(found)
	for _, x := range found {
		if err := p.print(x); err != nil {
			return err
		}
	}
	return nil
}

// logPrinter prints executions, with their scripts by name.
type logPrinter struct {
	*remote
	scripts string // path of the list
	names   map[string]string
	place   func(script, stack string) string // makes a stack's places those of the author's files; nil: leaves them
}

func (p *logPrinter) print(x object) error {
	if p.json {
		return writeLine(p.out(), x)
	}
	source := strings.TrimSpace(text(x, "source") + " " + text(x, "op"))
	if m := textOf(fieldOf(x, "request.method"), false); m != "" {
		source = text(x, "source") + " " + m + " " + textOf(fieldOf(x, "request.path"), false)
	}
	_, err := fmt.Fprintf(p.out(), "%s  %-8s  %s  %s  %s ms  %s\n", textOf(x["started_at"], true), text(x, "status"), oneLine(p.name(x)), oneLine(source), textOf(x["duration_ms"], false), text(x, "id"))
	if err != nil {
		return err
	}
	return p.details(x)
}

// details prints what the script logged and why it failed.
func (p *logPrinter) details(x object) error { return p.writeDetails(p.out(), x) }

func (p *logPrinter) writeDetails(w io.Writer, x object) error {
	logged, _ := x["logs"].([]any)
	for _, l := range logged {
		line, _ := l.(object)
		message := text(line, "message")
		if f := textOf(line["fields"], false); f != "" {
			message += " " + f
		}
		if err := indented(w, text(line, "level"), message); err != nil {
			return err
		}
	}
	if trace, ok := x["error"].(object); ok {
		message := text(trace, "message")
		if stack := text(trace, "stack"); stack != "" {
			if p.place != nil {
				stack = p.place(p.name(x), stack)
			}
			message += "\n" + stack
		}
		return indented(w, "fail", message)
	}
	return nil
}

// indented writes one line of a log below its execution; further lines of the message are
// indented likewise.
func indented(w io.Writer, level, message string) error {
	message = strings.ReplaceAll(lines(message), "\n", "\n           ")
	_, err := fmt.Fprintf(w, "    %-5s  %s\n", level, message)
	return err
}

// name is that of the execution's script, or its id when the script is gone. The list is
// asked for again when a script is new.
func (p *logPrinter) name(x object) string {
	id := text(x, "script_id")
	if _, known := p.names[id]; !known {
		p.learn()
		if _, known := p.names[id]; !known {
			p.names[id] = id
		}
	}
	return p.names[id]
}

// learn does without names when they can't be had: the key may only read logs.
func (p *logPrinter) learn() {
	if p.names == nil {
		p.names = map[string]string{}
	}
	all, _, err := p.pages(p.scripts, nil, "items", 0)
	if err != nil {
		return
	}
	for _, s := range all {
		p.names[text(s, "id")] = text(s, "name")
	}
}

func (r *remote) showExecution(id string) error {
	x, err := r.ask(http.MethodGet, segments("executions", id), nil)
	if err != nil {
		return err
	}
	if r.json {
		return writeJSON(r.out(), x)
	}
	if err := r.show(x, "id", "status", "status_code", "script_id", "script_version", "source", "op", "started_at", "finished_at", "duration_ms",
		"attempt", "reruns", "depth", "root_execution_id", "next_attempt_at", "dead_letter_id", "request", "response_summary"); err != nil {
		return err
	}
	return (&logPrinter{remote: r}).details(x)
}

func (r *remote) showChain(id string) error {
	chain, err := r.ask(http.MethodGet, segments("executions", id, "chain"), nil)
	if err != nil {
		return err
	}
	if r.json {
		return writeJSON(r.out(), chain)
	}
	return r.printTree(chain, "")
}
