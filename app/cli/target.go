package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// The variables that name an instance and open it, in the environment and in envFile.
const (
	envURL = "PICLOUD_URL"
	envKey = "PICLOUD_KEY"
)

const (
	projectFile = "picloud.json" // marks a project's directory
	envFile     = ".env.local"   // beside it; not for version control
)

// target is where an instance may be named and the key that was written beside it.
type target struct{ url, key string }

func addTargetFlags(flags *pflag.FlagSet) {
	flags.String("url", "", "address of the instance ["+envURL+"]")
	flags.String("key", "", "API key for it ["+envKey+"]")
}

// findTarget is the instance that a command talks to: the one that the flags name, else the
// environment, else .env.local of the project in dir ("": the one around the working
// directory), else the only one that login knows. A key goes only where it was meant to: it is
// the one of --key, or the one written beside the address, or the one that login made there.
func findTarget(flags *pflag.FlagSet, dir string) (*client, error) {
	local, err := readEnvFile(dir)
	if err != nil {
		return nil, err
	}
	url, _ := flags.GetString("url")
	key, _ := flags.GetString("key")
	env := target{os.Getenv(envURL), os.Getenv(envKey)}
	if env.url == "" && env.key != "" && url == "" {
		return nil, usageError{fmt.Errorf("%s is set without %s: set both, so that the key goes nowhere else", envKey, envURL)}
	}
	for _, t := range []target{{url, key}, env, local} {
		if t.url == "" {
			continue
		}
		base, err := instanceURL(t.url)
		if err != nil {
			return nil, err
		}
		if key == "" {
			key = t.key
		}
		return withKey(base, key)
	}
	return loggedIn(key)
}

// withKey is an instance by its address; without a key, the one that login made there.
func withKey(base, key string) (*client, error) {
	if key != "" {
		return &client{base: base, key: key}, nil
	}
	stored, err := storedCredentials()
	if err != nil {
		return nil, err
	}
	made, ok := stored.Instances[base]
	if !ok {
		return nil, fmt.Errorf("no key for %s: run picloud login %s, or set %s", base, base, envKey)
	}
	return &client{base: base, key: made.Key}, nil
}

// loggedIn is the only instance that login knows.
func loggedIn(key string) (*client, error) {
	stored, err := storedCredentials()
	if err != nil {
		return nil, err
	}
	if len(stored.Instances) == 0 {
		return nil, usageError{fmt.Errorf("name an instance: run picloud login URL, or give --url and --key, or set %s and %s", envURL, envKey)}
	}
	base, err := stored.choose(nil)
	if err != nil {
		return nil, err
	}
	return withKey(base, key)
}

func storedCredentials() (*credentials, error) {
	path, err := credentialsPath()
	if err != nil {
		return nil, err
	}
	return readCredentials(path)
}

// projectDir is the directory with a picloud.json that dir is in; ok is false for none.
func projectDir(dir string) (found string, ok bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, projectFile)); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

// readEnvFile reads the project's .env.local; none is empty.
func readEnvFile(dir string) (target, error) {
	found, ok := projectDir(dir)
	if !ok {
		return target{}, nil
	}
	f, err := os.Open(filepath.Join(found, envFile))
	if errors.Is(err, fs.ErrNotExist) {
		return target{}, nil
	}
	if err != nil {
		return target{}, fmt.Errorf("read %s: %w", envFile, err)
	}
	defer f.Close()
	var t target
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export "), "=")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch strings.TrimSpace(name) {
		case envURL:
			t.url = value
		case envKey:
			t.key = value
		}
	}
	if err := lines.Err(); err != nil {
		return target{}, fmt.Errorf("read %s: %w", envFile, err)
	}
	return t, nil
}
