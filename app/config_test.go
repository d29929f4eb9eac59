package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func noEnv(string) (string, bool) { return "", false }

func TestLoadPrecedence(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("listen = \":1\"\ngate_queue = 7\nengines = [\"quickjs\", \"otto\"]\nslug_routes = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(k string) (string, bool) {
		v, ok := map[string]string{"PICLOUD_LISTEN": ":2", "PICLOUD_GATE_WAIT_MS": "5"}[k]
		return v, ok
	}
	c, err := Load(map[string]string{"data-dir": dir, "listen": ":3"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":3" || c.GateQueue != 7 || c.GateWait.Milliseconds() != 5 || c.SlugRoutes || len(c.Engines) != 2 {
		t.Errorf("got %+v, want flag over environment over file", c)
	}
	sources := map[string]string{}
	for _, v := range c.Values() {
		sources[v.Name] = v.Source
	}
	for name, want := range map[string]string{"PICLOUD_LISTEN": "flag", "PICLOUD_GATE_WAIT_MS": "environment", "PICLOUD_GATE_QUEUE": "file", "PICLOUD_DURABILITY": "default"} {
		if sources[name] != want {
			t.Errorf("%s: source %q, want %q", name, sources[name], want)
		}
	}
}

func TestLoadRefusesBadValues(t *testing.T) {
	for _, tt := range []struct{ name, flag, value, want string }{
		{"not a number", "gate-queue", "many", "PICLOUD_GATE_QUEUE (from the flag): \"many\" is not allowed: give a whole number from 1"},
		{"below the least", "max-concurrent-executions", "0", "whole number from 1 to 1024"},
		{"not of the list", "durability", "maybe", "choose one of [full relaxed]"},
		{"unknown engine", "engines", "quickjs,goja", "there are quickjs and otto"},
		{"without quickjs", "engines", "otto", "quickjs must be among"},
		{"duration", "session-ttl", "3 days", "give a duration"},
		{"proxy", "trusted-proxies", "10.0.0.0/8,me", "\"me\" is neither an address nor a network"},
		{"bool", "slug-routes", "yes", "give true or false"},
		{"half an owner", "owner-username", "ann", "go together"},
		{"half of TLS", "tls-cert", "a.pem", "go together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(map[string]string{"data-dir": t.TempDir(), tt.flag: tt.value}, noEnv)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestFileRefusesUnknownKeys(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("lisen = \":1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(map[string]string{"data-dir": dir}, noEnv)
	if err == nil || !strings.Contains(err.Error(), `"lisen" is not a setting`) {
		t.Errorf("got %v, want an error that names lisen", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c, err := Load(map[string]string{"data-dir": t.TempDir(), "owner-username": "ann", "owner-password": "correct horse battery"}, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range c.Values() {
		if strings.Contains(v.Value, "horse") {
			t.Errorf("%s shows its secret", v.Name)
		}
	}
}

// FuzzSettings: no file and no value of any setting breaks the start, and no secret is shown.
func FuzzSettings(f *testing.F) {
	for i, s := range Settings {
		f.Add([]byte("gate_queue = 7\n"), i, s.Default)
	}
	f.Add([]byte("engines = [\"quickjs\", 1]"), 0, "\x00")
	f.Add([]byte("a.b.c = 1979-05-27T07:32:00Z\n[[x]]"), 1, "-9223372036854775808")
	f.Add([]byte("\xff"), 2, "10.0.0.0/8,::1")
	f.Fuzz(func(t *testing.T, file []byte, which int, value string) {
		s := Settings[uint(which)%uint(len(Settings))]
		if s.Key == "data_dir" {
			s = Settings[1]
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, FileName), file, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []map[string]string{{"data-dir": dir}, {"data-dir": t.TempDir(), s.Flag(): value}} {
			loaded, err := Load(c, noEnv)
			if err != nil && cloud.KindOf(err) != cloud.Invalid {
				t.Errorf("%v", err)
			}
			if err != nil {
				continue
			}
			for _, v := range loaded.Values() {
				if v.Name == s.Env() && s.Secret && v.Value != "" && v.Value != "(set)" {
					t.Errorf("%s is shown", v.Name)
				}
			}
		}
	})
}
