package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"picloud/app/cloud"
	"picloud/app/project"
)

func testCommand() *cobra.Command {
	c := projectCommand("test", "Run a project's tests against an instance of their own", testProject)
	c.Long = c.Short + ".\nEach file named *.test.js or *.test.ts gets an empty app with the project in it. Tests use test, assert, request, data\n" +
		"and until; picloud.test.d.ts describes them. The exit code is 1 when a test fails."
	c.Flags().String("run", "", "only files whose name contains this")
	return c
}

func testProject(cmd *cobra.Command, p *project.Project) error {
	files, err := p.Tests()
	if err != nil {
		return err
	}
	only, _ := cmd.Flags().GetString("run")
	var chosen []string
	for _, f := range files {
		if strings.Contains(f, only) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return usageError{fmt.Errorf("no tests: write some into files named *.test.js or *.test.ts")}
	}
	bundles, err := build(p, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	tests, err := buildTests(p, chosen, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "picloud-test-")
	if err != nil {
		return fmt.Errorf("make a directory for the tests: %w", err)
	}
	defer os.RemoveAll(dir)
	l, err := startLocal(cmd.Context(), localOptions{Dir: dir, Listen: "127.0.0.1:0", App: p.App, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer l.Close()
	t := &tester{local: l, out: cmd.OutOrStdout(), bundles: bundles}
	for _, b := range tests {
		if err := t.file(cmd.Context(), b); err != nil {
			return err
		}
	}
	return t.verdict()
}

func buildTests(p *project.Project, files []string, to io.Writer) ([]*project.Bundle, error) {
	tests, err := p.BundleTests(files)
	return tests, shown(err, to)
}

// tester runs files of tests, one after the other.
type tester struct {
	*local
	out            io.Writer
	bundles        []*project.Bundle
	passed, failed int
}

// file runs one file's tests on an app that is as good as new.
func (t *tester) file(ctx context.Context, b *project.Bundle) error {
	if err := t.empty(ctx); err != nil {
		return err
	}
	if err := t.call(ctx, http.MethodPost, segments("apps", t.app, "deploy"), payload(t.bundles, false, ""), nil); err != nil {
		return named(err, t.bundles)
	}
	fmt.Fprintln(t.out, b.File)
	err := b.RunTests(ctx, t, t.out, t.ended)
	if err != nil {
		t.failed++
		fmt.Fprintln(t.out, "  FAIL ", indent(err.Error()))
	}
	return ctx.Err()
}

func (t *tester) ended(r project.TestResult) {
	if r.Failure == "" {
		t.passed++
		fmt.Fprintf(t.out, "  ok    %s (%d ms)\n", r.Name, r.Duration.Milliseconds())
		return
	}
	t.failed++
	fmt.Fprintf(t.out, "  FAIL  %s\n        %s\n", r.Name, indent(r.Failure))
	if r.Frame != "" {
		fmt.Fprint(t.out, r.Frame)
	}
}

func indent(s string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n        ")
}

func (t *tester) verdict() error {
	fmt.Fprintf(t.out, "%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 {
		return fmt.Errorf("%s failed", plural(t.failed, "test"))
	}
	return nil
}

const testRequestTimeout = 6 * time.Minute // longer than any function may run

// Request sends a test's request to the project's routes.
func (t *tester) Request(ctx context.Context, in *project.TestRequest) (*project.TestResponse, error) {
	if !strings.HasPrefix(in.Path, "/") {
		return nil, cloud.Errorf(cloud.Invalid, "request: the path %q does not begin with a slash", in.Path)
	}
	ctx, cancel := context.WithTimeout(ctx, testRequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(in.Method), t.base+in.Path, strings.NewReader(in.Body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	for name, value := range in.Headers {
		if req.Header.Set(name, value); strings.EqualFold(name, "host") {
			req.Host = value
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // redirects are the test's to see
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTestAnswer))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	out := &project.TestResponse{Status: resp.StatusCode, Headers: map[string]string{}, Text: string(body)}
	for name, values := range resp.Header {
		out.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return out, nil
}

const maxTestAnswer = 64 << 20 // bytes; a script's answer is at most 8 MiB by default

// Data reads and changes entries as the API does.
func (t *tester) Data(ctx context.Context, method, collection, key string, value json.RawMessage) (json.RawMessage, error) {
	path := segments("apps", t.app, "kv", collection, key)
	switch method {
	case http.MethodGet:
		var entry struct {
			Value json.RawMessage `json:"value"`
		}
		err := t.call(ctx, method, path, nil, &entry)
		if cloud.KindOf(err) == cloud.NotFound {
			return nil, nil
		}
		return entry.Value, err
	case http.MethodPut:
		return nil, t.call(ctx, method, path, object{"value": value}, nil)
	}
	err := t.call(ctx, method, path, nil, nil)
	if cloud.KindOf(err) == cloud.NotFound {
		return nil, nil
	}
	return nil, err
}
