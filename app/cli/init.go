package cli

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"picloud/app"
	"picloud/app/project"
)

func initCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "init DIR", Short: "Make a project: functions, routes and triggers in files", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return initProject(cmd, args[0]) },
	}
	c.Long = c.Short + ".\nWrites picloud.json with its JSON Schema, a function in TypeScript, a test, the types of what both can use, and\n" +
		".env.local, which says where to deploy and stays out of git. Files that are there already are left alone."
	addTargetFlags(c.Flags())
	c.Flags().String("app", "", "slug of the app; made of the directory's name when left out")
	return c
}

func initProject(cmd *cobra.Command, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the directory: %w", err)
	}
	url, _ := cmd.Flags().GetString("url")
	key, _ := cmd.Flags().GetString("key")
	if url = cmp.Or(url, os.Getenv(envURL), onlyLogin(), "http://localhost:8080"); url != "" {
		if url, err = instanceURL(url); err != nil {
			return err
		}
	}
	slug, _ := cmd.Flags().GetString("app")
	written, err := project.Init(abs, project.Starter{App: cmp.Or(slug, slugOf(filepath.Base(abs))), Types: app.Types(), URL: url, Key: key})
	for _, name := range written {
		fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(dir, filepath.FromSlash(name)))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "next: picloud dev %s runs it here, picloud test %s tests it, picloud deploy %s deploys it to %s\n", dir, dir, dir, url)
	return err
}

// onlyLogin is the address of the instance that login knows, "" when there is none or several.
func onlyLogin() string {
	stored, err := storedCredentials()
	if err != nil || len(stored.Instances) != 1 {
		return ""
	}
	return slices.Collect(maps.Keys(stored.Instances))[0]
}

// slugOf makes a slug of a directory's name.
func slugOf(name string) string {
	slug := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
	slug = strings.Trim(slug[:min(len(slug), 40)], "-")
	if len(slug) < 2 {
		return "my-app"
	}
	return slug
}
