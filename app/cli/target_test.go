package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestFindTarget(t *testing.T) {
	const login = `{"instances":{"http://login":{"key":"of login"}}}`
	const two = `{"instances":{"http://login":{"key":"of login"},"http://other":{"key":"of other"}}}`
	const file = "# comment\nexport PICLOUD_URL=\"http://file\"\nPICLOUD_KEY=of file\n"
	for _, tt := range []struct {
		name             string
		flags            []string
		envURL, envKey   string
		envFile, stored  string
		wantURL, wantKey string
		wantErr          string
	}{
		{name: "flags win", flags: []string{"--url=http://flag", "--key=of flag"}, envURL: "http://env", envKey: "of env", envFile: file, stored: login, wantURL: "http://flag", wantKey: "of flag"},
		{name: "then the environment", envURL: "http://env", envKey: "of env", envFile: file, stored: login, wantURL: "http://env", wantKey: "of env"},
		{name: "then the file", envFile: file, stored: login, wantURL: "http://file", wantKey: "of file"},
		{name: "then the login", stored: login, wantURL: "http://login", wantKey: "of login"},
		{name: "a key by flag for the file's address", flags: []string{"--key=of flag"}, envFile: file, wantURL: "http://file", wantKey: "of flag"},
		{name: "the login's key for an address by flag", flags: []string{"--url=http://login/"}, envFile: file, stored: two, wantURL: "http://login", wantKey: "of login"},
		{name: "no key of elsewhere", flags: []string{"--url=http://flag"}, envURL: "http://env", envKey: "of env", envFile: file, stored: login, wantErr: "no key for http://flag"},
		{name: "a key of nowhere", envKey: "of env", envFile: file, wantErr: "PICLOUD_KEY is set without PICLOUD_URL"},
		{name: "several logins", stored: two, wantErr: "name one of"},
		{name: "nothing", wantErr: "name an instance"},
		{name: "an address that is none", flags: []string{"--url=pi"}, wantErr: "give the instance's address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config, project := t.TempDir(), t.TempDir()
			t.Setenv("XDG_CONFIG_HOME", config)
			t.Setenv(envURL, tt.envURL)
			t.Setenv(envKey, tt.envKey)
			write(t, filepath.Join(config, "picloud", "credentials.json"), tt.stored)
			write(t, filepath.Join(project, projectFile), "{}")
			write(t, filepath.Join(project, envFile), tt.envFile)
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			addTargetFlags(flags)
			if err := flags.Parse(tt.flags); err != nil {
				t.Fatal(err)
			}
			inside := filepath.Join(project, "functions")
			if err := os.Mkdir(inside, 0o700); err != nil {
				t.Fatal(err)
			}
			got, err := findTarget(flags, inside)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("got error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || got.base != tt.wantURL || got.key != tt.wantKey {
				t.Errorf("got %+v, %v, want %s with the key %s", got, err, tt.wantURL, tt.wantKey)
			}
		})
	}
}

// write makes a file that only its owner can read; no content makes none.
func write(t *testing.T, path, content string) {
	t.Helper()
	if content == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzFiles: no file beside a project and no moment that somebody names breaks a command.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("export PICLOUD_URL=\"http://file\"\nPICLOUD_KEY='of file'\n"), "2026-01-31 18:00")
	f.Add([]byte("PICLOUD_URL"), "2026-01-31T18:00:00+25:00")
	f.Add([]byte(`{"instances":{"http://login":{"key":"of login"}}}`), "2026-02-30")
	f.Add([]byte(`{"instances":null}`), "")
	f.Add([]byte("=\x00\r\xff="), "0000-01-01")
	f.Fuzz(func(t *testing.T, file []byte, moment string) {
		dir := t.TempDir()
		path := filepath.Join(dir, "credentials.json")
		for name, content := range map[string][]byte{filepath.Join(dir, projectFile): nil, filepath.Join(dir, envFile): file, path: file} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if found, err := readEnvFile(dir); err == nil && strings.ContainsAny(found.url+found.key, "\n\r") && !bytes.ContainsRune(file, '\r') {
			t.Errorf("%q names %q", file, found)
		}
		if c, err := readCredentials(path); (err == nil) == (c == nil || c.Instances == nil) {
			t.Errorf("%q: %v, %v", file, c, err)
		}
		if m, err := parseMoment(moment); err == nil && at(m) == "" {
			t.Errorf("%q is %v", moment, m)
		}
	})
}
