package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"picloud/app/cloud"
)

const (
	executeAPI      = "/api/v1/execute"
	executionHeader = "X-Picloud-Execution-Id"
)

func runCommand() *cobra.Command {
	c := remoteCommand("run SCRIPT [BODY|@FILE|-]", "Run a script directly and print what it answers", cobra.RangeArgs(1, 2), func(r *remote, args []string) error {
		in, err := r.runInput(args[1:])
		if err != nil {
			return err
		}
		id, err := r.scriptID(args[0])
		if err != nil {
			return err
		}
		return r.runScript(id, in)
	})
	c.Long = c.Short + ".\nBODY is JSON. The answer goes to standard output; when the script fails or answers 400 or more, its log goes to\n" +
		"standard error and the exit code is 1."
	f := c.Flags()
	f.String("method", "", "method that the script sees (POST)")
	f.String("path", "", "path that the script sees, may have a query (/)")
	f.StringArrayP("header", "H", nil, "a header that the script sees, such as 'accept: text/html'; may be repeated")
	return c
}

func (r *remote) runInput(body []string) (object, error) {
	in := object{}
	for _, name := range []string{"method", "path"} {
		if r.given(name) {
			in[name] = r.flag(name)
		}
	}
	given, err := r.cmd.Flags().GetStringArray("header")
	if err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for _, h := range given {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, usageError{fmt.Errorf("header %q: write name: value", h)}
		}
		headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	in["headers"] = headers
	if len(body) > 0 {
		if in["body"], err = r.jsonArgument(body[0], "body"); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// runScript waits for as long as the script may run.
func (r *remote) runScript(id string, in object) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := r.request(r.cmd.Context(), http.MethodPost, executeAPI+segments(id), bytes.NewReader(b), "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxInput))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	execution := resp.Header.Get(executionHeader)
	if execution == "" {
		return r.refused(resp, body) // no script ran
	}
	if err := r.printAnswer(resp, body); err != nil {
		return err
	}
	if resp.StatusCode < 400 {
		return nil
	}
	r.explain(execution)
	return cloud.Errorf(cloud.ScriptError, "the script answered %d (execution %s)", resp.StatusCode, execution)
}

func (r *remote) printAnswer(resp *http.Response, body []byte) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var v any
	isJSON := media == "application/json" && decodeAnswer(body, &v) == nil
	switch {
	case r.json && isJSON:
		return writeJSON(r.out(), object{"status": resp.StatusCode, "execution_id": resp.Header.Get(executionHeader), "headers": headersOf(resp), "body": v})
	case r.json:
		return writeJSON(r.out(), object{"status": resp.StatusCode, "execution_id": resp.Header.Get(executionHeader), "headers": headersOf(resp), "body": string(body)})
	case isJSON:
		return writeJSON(r.out(), v)
	}
	_, err := r.out().Write(body)
	return err
}

func headersOf(resp *http.Response) map[string]string {
	h := map[string]string{}
	for name := range resp.Header {
		h[strings.ToLower(name)] = strings.Join(resp.Header.Values(name), ", ")
	}
	return h
}

// explain prints the log of a failed execution, if the key may read it.
func (r *remote) explain(execution string) {
	x, err := r.ask(http.MethodGet, segments("executions", execution), nil)
	if err != nil {
		if !errors.As(err, new(*cloud.Error)) {
			fmt.Fprintln(r.cmd.ErrOrStderr(), "picloud: no log:", err)
		}
		return
	}
	_ = (&logPrinter{remote: r}).writeDetails(r.cmd.ErrOrStderr(), x)
}
