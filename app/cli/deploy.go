package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"picloud/app/cloud"
	"picloud/app/project"
)

func deployCommand() *cobra.Command {
	c := projectCommand("deploy", "Make an app hold what a project says, all of it or nothing", func(cmd *cobra.Command, p *project.Project) error {
		r, err := connectProject(cmd, p.Dir)
		if err != nil {
			return err
		}
		return r.deploy(p)
	})
	c.Long = c.Short + ".\nBundles TypeScript and what is imported from node_modules, shows what would change, and changes scripts, routes and\n" +
		"triggers in one transaction. What is the same already is left untouched; what was made by hand stays, unless --prune."
	addDeployFlags(c)
	c.Flags().Bool("prune", false, "also delete what was made in the app by hand")
	c.Flags().String("note", "", "what the list of deployments says of it")
	return c
}

func rollbackCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "rollback [NUMBER]", Short: "Bring back what an earlier deployment had deployed", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := connectProject(cmd, "")
			if err != nil {
				return err
			}
			return r.rollback(args)
		},
	}
	c.Long = c.Short + ": scripts, routes and triggers, in one transaction.\nNUMBER is one that picloud deployments lists; without it, it is the one before that in force, and rolling back again\n" +
		"goes back further. Without --app it is the app of the project around the working directory."
	addDeployFlags(c)
	return c
}

func deploymentsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "deployments", Short: "List the deployments of an app that are kept", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := connectProject(cmd, "")
			if err != nil {
				return err
			}
			app, err := r.projectApp()
			if err != nil {
				return err
			}
			found, _, err := r.pages(segments("apps", app, "deployments"), nil, "items", 0)
			if err != nil {
				return err
			}
			return r.table(found, columns("number", "created_at", "username", "note", "functions"))
		},
	}
	addTargetFlags(c.Flags())
	c.Flags().Bool("json", false, "print JSON instead of a table")
	c.Flags().String("app", "", "slug of the app; the project's own when left out [PICLOUD_APP]")
	return c
}

func addDeployFlags(c *cobra.Command) {
	addTargetFlags(c.Flags())
	c.Flags().Bool("plan", false, "only show what would change")
	c.Flags().BoolP("yes", "y", false, "don't ask before changing anything")
	c.Flags().Bool("json", false, "print what changes as JSON")
	c.Flags().String("app", "", "slug of the app; the project's own when left out [PICLOUD_APP]")
}

// connectProject finds the instance for a project's directory; "" is that around the working
// directory.
func connectProject(cmd *cobra.Command, dir string) (*remote, error) {
	target, err := findTarget(cmd.Flags(), dir)
	if err != nil {
		return nil, err
	}
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return nil, err
	}
	return &remote{client: target, cmd: cmd, json: asJSON}, nil
}

// outcome is what a deployment changes, as the API says it.
type outcome struct {
	Number  int      `json:"number"`
	Changes []change `json:"changes"`
	ByHand  []change `json:"by_hand"`
}

type change struct {
	Action   string   `json:"action"`
	What     string   `json:"what"`
	Function string   `json:"function"`
	Name     string   `json:"name"`
	Fields   []string `json:"fields,omitempty"`
	ByHand   bool     `json:"by_hand"`
}

// deploy shows what changes and, unless --plan, asks and makes it so.
func (r *remote) deploy(p *project.Project) error {
	p.App = cmp.Or(r.flag("app"), os.Getenv("PICLOUD_APP"), p.App)
	bundles, err := build(p, r.cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	prune, _ := r.cmd.Flags().GetBool("prune")
	in := payload(bundles, prune, r.flag("note"))
	made, err := r.makeApp(p)
	if err != nil {
		return err
	}
	err = r.carryOut(segments("apps", p.App), "deploy", in)
	if err != nil && made {
		err = errors.Join(err, r.do(http.MethodDelete, segments("apps", p.App), nil))
	}
	return named(err, bundles)
}

// makeApp makes the project's app when there is none; a deployment that fails takes it back.
func (r *remote) makeApp(p *project.Project) (made bool, err error) {
	_, err = r.ask(http.MethodGet, segments("apps", p.App), nil)
	if cloud.KindOf(err) != cloud.NotFound {
		return false, err
	}
	if plan, _ := r.cmd.Flags().GetBool("plan"); plan {
		return false, cloud.Errorf(cloud.NotFound, "%s has no app %q (or you have no role in it): deploying makes it", r.base, p.App)
	}
	if yes, err := r.confirm(fmt.Sprintf("Make the app %q at %s?", p.App, r.base)); err != nil || !yes {
		return false, cmp.Or(err, errDeclined)
	}
	return true, r.do(http.MethodPost, "/apps", object{"slug": p.App})
}

var errDeclined = errors.New("nothing was changed")

func (r *remote) rollback(args []string) error {
	in := object{}
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return usageError{fmt.Errorf("%q is not the number of a deployment", args[0])}
		}
		in["number"] = n
	}
	app, err := r.projectApp()
	if err != nil {
		return err
	}
	return r.carryOut(segments("apps", app), "rollback", in)
}

// projectApp is the app that a command without a project's directory is about.
func (r *remote) projectApp() (string, error) {
	if app := cmp.Or(r.flag("app"), os.Getenv("PICLOUD_APP")); app != "" {
		return app, nil
	}
	dir, ok := projectDir(".")
	if !ok {
		return "", usageError{errors.New("name the app with --app: there is no project here")}
	}
	p, err := project.Open(dir)
	if err != nil {
		return "", err
	}
	return p.App, nil
}

// carryOut plans what verb would change in the app at path, shows it, and does it.
func (r *remote) carryOut(path, verb string, in object) error {
	var planned, done outcome
	if err := r.call(r.cmd.Context(), http.MethodPost, path+"/"+verb+"/plan", in, &planned); err != nil {
		return err
	}
	plan, _ := r.cmd.Flags().GetBool("plan")
	if r.json && plan {
		return writeJSON(r.out(), planned)
	}
	if !r.json {
		planned.show(r.out())
	}
	if plan {
		return nil
	}
	if len(planned.Changes) > 0 {
		if yes, err := r.confirm("Change this at " + r.base + "?"); err != nil || !yes {
			return cmp.Or(err, errDeclined)
		}
	}
	if err := r.call(r.cmd.Context(), http.MethodPost, path+"/"+verb, in, &done); err != nil {
		return err
	}
	if r.json {
		return writeJSON(r.out(), done)
	}
	if done.Number == 0 {
		return r.say("nothing to change")
	}
	return r.say("deployment %d: %s", done.Number, plural(len(done.Changes), "change"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// show prints what changes, a line for each thing, and what was made by hand and stays.
func (o *outcome) show(w io.Writer) {
	for _, c := range append(o.Changes, o.ByHand...) {
		fmt.Fprintln(w, c.line())
	}
}

var signs = map[string]string{"create": "+", "update": "~", "delete": "-", "keep": " "}

func (c *change) line() string {
	line := fmt.Sprintf("%s %-7s  %s", signs[c.Action], c.What, oneLine(c.Name))
	if c.What != "script" {
		line += " -> " + oneLine(c.Function)
	}
	if len(c.Fields) > 0 {
		line += " (" + strings.Join(c.Fields, ", ") + ")"
	}
	switch {
	case c.Action == "keep":
		line += " (made by hand: stays)"
	case c.ByHand:
		line += " (made by hand)"
	}
	return line
}

// confirm asks somebody at a terminal. Nobody is there to be asked in a script, and --yes
// answers at once.
func (r *remote) confirm(question string) (bool, error) {
	in := r.cmd.InOrStdin()
	if yes, _ := r.cmd.Flags().GetBool("yes"); yes || !atTerminal(in) {
		return true, nil
	}
	fmt.Fprint(r.cmd.ErrOrStderr(), question+" [y/N] ")
	answer, err := bufio.NewReader(io.LimitReader(in, 100)).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}
