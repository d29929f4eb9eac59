package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"

	"github.com/spf13/cobra"

	"picloud/app/cloud"
	"picloud/app/project"
)

// projectCommand makes a command that works on the project in DIR, the working directory
// when left out.
func projectCommand(use, short string, run func(cmd *cobra.Command, p *project.Project) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " [DIR]", Short: short, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			} else if found, ok := projectDir(dir); ok {
				dir = found
			}
			p, err := project.Open(dir)
			if err != nil {
				return err
			}
			return run(cmd, p)
		},
	}
}

// build bundles a project.
func build(p *project.Project, to io.Writer) ([]*project.Bundle, error) {
	bundles, err := p.Build()
	return bundles, shown(err, to)
}

// shown shows what is wrong with sources in their lines.
func shown(err error, to io.Writer) error {
	var wrong *project.BuildError
	if !errors.As(err, &wrong) {
		return err
	}
	fmt.Fprint(to, wrong.Frames(atTerminal(to)))
	return cloud.Errorf(cloud.Invalid, "the project can't be built: mend what is shown above")
}

// atTerminal reports whether a person is at the other end.
func atTerminal(end any) bool {
	f, ok := end.(*os.File)
	return ok && isTerminal(f)
}

// payload is what a project is to the API.
func payload(bundles []*project.Bundle, prune bool, note string) object {
	functions := make([]object, len(bundles))
	for i, b := range bundles {
		functions[i] = object{"name": b.Name, "file": b.File, "source": b.Source}
		for name, raw := range b.Fields {
			functions[i][name] = raw
		}
	}
	return object{"functions": functions, "prune": prune, "note": note}
}

var functionIndex = regexp.MustCompile(`functions\[(\d+)\]`)

// named makes places in a request those of picloud.json, where functions have names.
func named(err error, bundles []*project.Bundle) error {
	var own *cloud.Error
	if !errors.As(err, &own) {
		return err
	}
	text := functionIndex.ReplaceAllStringFunc(own.Msg, func(s string) string {
		i, _ := strconv.Atoi(functionIndex.FindStringSubmatch(s)[1])
		if i >= len(bundles) {
			return s
		}
		return project.FileName + ": functions." + bundles[i].Name
	})
	return cloud.Errorf(own.Kind, "%s", text)
}
