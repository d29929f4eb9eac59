package cli

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write what the tests compare with")

const (
	docsFile  = "../../docs/cli.md"
	docsBegin = "<!-- begin verbs: written by go test ./app/cli -run TestDocs -update -->\n"
	docsEnd   = "<!-- end verbs -->"
)

// docs/cli.md lists every verb with what it does, as --help has it.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), docsBegin)
	got, after, ok2 := strings.Cut(rest, docsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around its list of verbs", docsFile)
	}
	want := "| verb | |\n|---|---|\n" + verbs(rootCommand(io.Discard, io.Discard))
	if *update {
		if err := os.WriteFile(docsFile, []byte(before+docsBegin+want+docsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s does not list the verbs as they are: run the test with -update\ngot:\n%s\nwant:\n%s", docsFile, got, want)
	}
}

func verbs(c *cobra.Command) string {
	var b strings.Builder
	for _, sub := range c.Commands() {
		if sub.Name() == "help" {
			continue
		}
		if sub.HasSubCommands() {
			b.WriteString(verbs(sub))
			continue
		}
		use := strings.TrimPrefix(strings.TrimSuffix(sub.UseLine(), " [flags]"), "picloud ")
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(use, "|", "\\|"), sub.Short)
	}
	return b.String()
}

func TestDocsTellExitCodes(t *testing.T) {
	b, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{ExitOK, ExitFailed, ExitUsage, ExitDenied, ExitNotFound, ExitConflict, ExitUnreached} {
		if !strings.Contains(string(b), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("%s does not tell exit code %d", docsFile, code)
		}
	}
}

// Every verb that asks an instance takes the flags that say which, and --json.
func TestRemoteFlags(t *testing.T) {
	local := map[string]bool{"serve": true, "config": true, "create": true, "reset-password": true, "rotate-key": true, "types": true, "version": true,
		"upgrade": true, "selftest": true, "torture": true, "login": true, "logout": true, "init": true, "dev": true, "test": true, "man": true, "restore": true, "replicate": true, "bash": true, "zsh": true, "fish": true, "powershell": true}
	walk(rootCommand(io.Discard, io.Discard), func(c *cobra.Command) {
		remote := c.Flags().Lookup("json") != nil
		if !remote && !local[c.Name()] && !c.HasSubCommands() && c.Name() != "help" {
			t.Errorf("%s has no --json", c.CommandPath())
		}
		if remote && (c.Flags().Lookup("url") == nil || c.Flags().Lookup("app") == nil) {
			t.Errorf("%s has no --url and --app", c.CommandPath())
		}
	})
}

// The pages and completions are made without a mistake, and a group without a verb prints help.
func TestManAndCompletion(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"man", dir}, {"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}, {"app"}, {}} {
		var out strings.Builder
		if code := Main(t.Context(), args, &out, io.Discard); code != ExitOK {
			t.Errorf("%v: got exit code %d, want 0", args, code)
		}
		if len(args) > 0 && args[0] != "man" && !strings.Contains(out.String(), "picloud") {
			t.Errorf("%v printed %q", args, out.String())
		}
	}
	page, err := os.ReadFile(dir + "/picloud-script-save.1")
	if err != nil || !strings.Contains(string(page), "Save a file as a script") {
		t.Errorf("the page of script save: %v\n%s", err, page)
	}
}

func walk(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}
