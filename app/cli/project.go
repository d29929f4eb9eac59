package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

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

var (
	functionIndex = regexp.MustCompile(`functions\[(\d+)\]`)
	notCompiled   = regexp.MustCompile(`^(.*?)\S+: \S+ does not compile: line (\d+), column (\d+): (.*)$`)
)

// named makes places in a request those of the project's files: functions have names in
// picloud.json, and what an instance can't compile is shown in its author's lines.
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
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = inFile(line, bundles)
	}
	return cloud.Errorf(own.Kind, "%s", strings.Join(lines, "\n"))
}

// inFile is a line of an error with the place that it names, and those lines of the file.
func inFile(line string, bundles []*project.Bundle) string {
	m := notCompiled.FindStringSubmatch(line)
	if m == nil {
		return line
	}
	for _, b := range bundles {
		if !strings.Contains(line, b.File+": "+b.Name+".js does not compile") {
			continue
		}
		l, _ := strconv.Atoi(m[2])
		c, _ := strconv.Atoi(m[3])
		if file, l, c := b.Position(l, c); file != "" {
			return fmt.Sprintf("%s%s:%d:%d: %s\n%s", m[1], file, l, c, m[4], b.Frame(file, l, c))
		}
	}
	return line
}
