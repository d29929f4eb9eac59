package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
)

// fakeInstance answers what login and logout ask, for a user with the given role in one app,
// and notes what it was asked.
type fakeInstance struct {
	role   cloud.Role // "" for none
	status int        // of DELETE
	asked  []string
	scopes []cloud.Scope
	name   string
}

const (
	fakeSecret = "pic_0123456789"
	fakeKeyID  = "01a20838-4ca8-78e3-8f85-324b882dd406"
)

func (f *fakeInstance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked = append(f.asked, r.Method+" "+strings.TrimPrefix(r.URL.Path, adminAPI))
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == adminAPI+"/auth/login":
		http.SetCookie(w, &http.Cookie{Name: "picloud_session", Value: "token"})
		roles := map[string]cloud.Role{}
		if f.role != "" {
			roles[fakeKeyID] = f.role
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"username": "ann", "instance_role": cloud.Member, "roles": roles})
	case r.URL.Path == adminAPI+"/api-keys" && r.Header.Get("Origin") == "http://"+r.Host:
		var in struct {
			Name   string
			Scopes []cloud.Scope
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		f.name, f.scopes = in.Name, in.Scopes
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"id":"` + fakeKeyID + `","key":"` + fakeSecret + `"}`))
	case r.Method == http.MethodDelete && r.Header.Get("Authorization") == "Bearer "+fakeSecret:
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(`{"error":{"code":"` + map[int]string{401: "unauthenticated", 404: "not_found", 500: "internal"}[f.status] + `","message":"m"}}`))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// run runs a command line with a configuration directory of the test's own.
func run(t *testing.T, f *fakeInstance, stdin string, args ...string) (out string, err error) {
	t.Helper()
	server := httptest.NewServer(f)
	defer server.Close()
	var b bytes.Buffer
	c := loginCommand()
	if args[0] == "logout" {
		c = logoutCommand()
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "URL", server.URL)
	}
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args[1:])
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&b)
	c.SetErr(&b)
	err = c.ExecuteContext(t.Context())
	if strings.Contains(b.String(), fakeSecret) || strings.Contains(b.String(), "hush") {
		t.Errorf("a secret was printed: %s", &b)
	}
	return b.String(), err
}

// configDir is the file below a fresh configuration directory.
func configDir(t *testing.T) string {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	path, err := credentialsPath()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLogin(t *testing.T) {
	path := configDir(t)
	f := &fakeInstance{role: cloud.Viewer}
	if out, err := run(t, f, "ann\nhush hush hush\n", "login", "URL"); err != nil || !strings.Contains(out, "as ann") {
		t.Fatalf("got %q, %v", out, err)
	}
	if want := []string{"POST /auth/login", "POST /api-keys", "POST /auth/logout"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked %v, want %v", f.asked, want)
	}
	if want := []cloud.Scope{cloud.ScopeScriptRead, cloud.ScopeLogRead}; !slices.Equal(f.scopes, want) || f.name != computer() {
		t.Errorf("key %q with %v, want %q with %v", f.name, f.scopes, computer(), want)
	}
	c, err := readCredentials(path)
	if err != nil || len(c.Instances) != 1 {
		t.Fatalf("stored %v, %v", c, err)
	}
}

func TestLoginWithoutARole(t *testing.T) {
	path := configDir(t)
	f := &fakeInstance{}
	_, err := run(t, f, "hush hush hush\n", "login", "--username", "ann", "URL")
	if cloud.KindOf(err) != cloud.Forbidden {
		t.Errorf("got %v, want forbidden", err)
	}
	if want := []string{"POST /auth/login", "POST /auth/logout"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked %v, want %v", f.asked, want)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was written: %v", err)
	}
}

// A key that can't be kept must not stay behind at the instance.
func TestLoginThatCannotStore(t *testing.T) {
	path := configDir(t)
	if err := os.Symlink("missing", filepath.Dir(path)); err != nil { // stops even root
		t.Fatal(err)
	}
	f := &fakeInstance{role: cloud.Viewer, status: 204}
	if _, err := run(t, f, "hush hush hush\n", "login", "--username", "ann", "URL"); err == nil {
		t.Error("want an error")
	}
	if want := []string{"POST /auth/login", "POST /api-keys", "POST /auth/logout", "DELETE /api-keys/" + fakeKeyID}; !slices.Equal(f.asked, want) {
		t.Errorf("asked %v, want %v", f.asked, want)
	}
}

func TestLoginAsksForBoth(t *testing.T) {
	configDir(t)
	for _, stdin := range []string{"", "\n", "ann", "ann\n", "ann\n\n"} {
		f := &fakeInstance{}
		if _, err := run(t, f, stdin, "login", "URL"); !errors.As(err, new(usageError)) || len(f.asked) > 0 {
			t.Errorf("%q: got %v and asked %v, want a usage error and no request", stdin, err, f.asked)
		}
	}
}

func TestLogout(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		args   []string
		stays  bool
	}{
		{"deleted", 204, nil, false},
		{"already dead", 401, nil, false},
		{"already deleted", 404, nil, false},
		{"failed", 500, nil, true},
		{"forgotten", 500, []string{"--forget"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := configDir(t)
			f := &fakeInstance{status: tt.status}
			server := httptest.NewServer(f)
			defer server.Close()
			var k credential
			if err := json.Unmarshal([]byte(`{"key_id":"`+fakeKeyID+`","key":"`+fakeSecret+`"}`), &k); err != nil {
				t.Fatal(err)
			}
			c := &credentials{Instances: map[string]credential{server.URL: k, "https://other.test": k}}
			if err := c.write(path); err != nil {
				t.Fatal(err)
			}
			_, err := run(t, f, "", append([]string{"logout", server.URL}, tt.args...)...)
			if (err != nil) != tt.stays {
				t.Errorf("got %v, want an error: %v", err, tt.stays)
			}
			if c, err = readCredentials(path); err != nil {
				t.Fatal(err)
			}
			if _, ok := c.Instances[server.URL]; ok != tt.stays || len(c.Instances) < 1 {
				t.Errorf("left %v, want it there: %v", c.Instances, tt.stays)
			}
		})
	}
}

func TestLogoutOfWhich(t *testing.T) {
	path := configDir(t)
	if err := (&credentials{Instances: map[string]credential{"http://a": {}, "http://b": {}}}).write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, &fakeInstance{}, "", "logout"); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "http://a http://b") {
		t.Errorf("got %v, want the choice", err)
	}
	if _, err := run(t, &fakeInstance{}, "", "logout", "http://c"); err == nil {
		t.Error("http://c: want an error")
	}
}

func TestReadCredentials(t *testing.T) {
	for name, content := range map[string]string{"no JSON": "key", "other JSON": "[]", "null": `{"instances":null}`} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := readCredentials(path); err == nil || !strings.Contains(err.Error(), "log in again") {
				t.Errorf("got %v", err)
			}
		})
	}
}
