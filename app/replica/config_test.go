package replica

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/benbjohnson/litestream/s3"
	"github.com/benbjohnson/litestream/sftp"
)

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestConfigIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, yml, want string }{
		{"unknown key", "dbs:\n  - path: /x\n    replica:\n      bukket: b\n", `"bukket" is not a key`},
		{"unknown key at the top", "snapshots: {}\n", `"snapshots" is not a key`},
		{"variable that isn't set", "access-key-id: ${NOT_SET}\n", "line 1: the environment variable NOT_SET is not set"},
		{"entry without a path", "dbs:\n  - replica: {path: /y}\n", "entry 1 has no path"},
		{"no time", "l0-retention: soon\n", "soon"},
		{"a time that is none", "l0-retention: -1h\n", "l0-retention: -1h0m0s is not allowed"},
		{"no yaml", "\tdbs", "yaml"},
		{"aliases", "a: &x 1\nb: *x\n", "aliases"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parse([]byte(tt.yml), env()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestConfigTargets(t *testing.T) {
	host := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQ7Y7d1Vb1o0u0nWmY4yX5QXtQmQO0kqD3v3m2W6n1k"
	for _, tt := range []struct{ name, yml, want string }{
		{"file", "replica: {path: /mnt/backup}", "file:///mnt/backup"},
		{"file url", "replica: {url: 'file:///mnt/backup'}", "file:///mnt/backup"},
		{"s3 url", "replica: {url: 's3://b/p'}", "s3://b/p"},
		{"s3 fields", "replica: {type: s3, bucket: b, path: p/q, endpoint: 'https://fsn1.your-objectstorage.com'}", "s3://b/p/q at fsn1.your-objectstorage.com"},
		{"replicas of one", "replicas: [{path: /mnt/backup}]", "file:///mnt/backup"},
		{"sftp", "replica: {url: 'sftp://pi:pw@nas:2222/backup', host-key: '" + host + "'}", "sftp://nas:2222/backup"},
		{"sftp without host key", "replica: {url: 'sftp://pi:hunter2@nas/backup'}", "error: replica: an sftp replica needs host-key"},
		{"two replicas", "replicas: [{path: /a}, {path: /b}]", "error: /data/picloud.db: a database has exactly one replica"},
		{"none", "snapshot: {interval: 1h}", "error: /data/picloud.db: a database has exactly one replica"},
		{"gs", "replica: {url: 'gs://b/p'}", `error: replica type "gs" is not built in`},
		{"half a key", "replica: {url: 's3://b/p', access-key-id: A}", "error: replica: access-key-id and secret-access-key go together"},
		{"url and bucket", "replica: {url: 's3://b/p', bucket: c}", "error: replica: write either url"},
		{"no bucket", "replica: {type: s3}", "error: replica: an s3 replica needs a bucket"},
		{"no size", "replica: {url: 's3://b/p', part-size: big}", "error: part-size"},
		{"a password in a bad url", "replica: {url: 'sftp://u:hunter2@[bad'}", "error: replica"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parse([]byte("dbs:\n  - path: /data/picloud.db\n    "+tt.yml+"\n"), env())
			if err != nil {
				t.Fatal(err)
			}
			got := describeEntry(f)
			if !strings.HasPrefix(got, tt.want) || strings.Contains(got, "hunter2") {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func describeEntry(f *File) string {
	t, err := f.target(f.entry("/data/picloud.db"))
	if err != nil {
		return "error: " + err.Error()
	}
	c, err := t.client()
	if err != nil {
		return "error: " + err.Error()
	}
	return describe(c)
}

func TestPresetsAndSettingsOfTheFile(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	f, err := parse([]byte(`
access-key-id: ${ID}
secret-access-key: "${SECRET}"
region: auto
dbs:
  - path: /data/picloud.db
    replica:
      url: s3://b/p?endpoint=https://x.r2.cloudflarestorage.com
`), env("ID", "12345", "SECRET", "a: b # c"))
	if err != nil {
		t.Fatal(err)
	}
	tg, err := f.target(f.entry("/data/picloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := tg.client()
	if err != nil {
		t.Fatal(err)
	}
	c := made.(*s3.ReplicaClient)
	if c.AccessKeyID != "12345" || c.SecretAccessKey != "a: b # c" || c.Region != "auto" || !c.ForcePathStyle || c.Concurrency != s3.DefaultR2Concurrency {
		t.Errorf("client: key %q %q region %q path style %v concurrency %d", c.AccessKeyID, c.SecretAccessKey, c.Region, c.ForcePathStyle, c.Concurrency)
	}
}

func TestSFTPCredentials(t *testing.T) {
	tg := &target{URL: "sftp://pi:pw@nas:2222/backup", settings: settings{HostKey: "ssh-ed25519 AAAA"}}
	made, err := tg.client()
	if err != nil {
		t.Fatal(err)
	}
	if c := made.(*sftp.ReplicaClient); c.User != "pi" || c.Password != "pw" || c.Host != "nas:2222" || c.Path != "/backup" {
		t.Errorf("client: %+v", c)
	}
}

// A relative path in the file is meant from the working directory, or from the file.
func TestEntryByPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("dbs:\n  - path: data/picloud.db\n    replica: {path: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if f.entry(filepath.Join(dir, "data/picloud.db")) == nil {
		t.Error("not found beside the file")
	}
	if f.entry(filepath.Join(dir, "picloud.db")) != nil {
		t.Error("found where it isn't")
	}
	t.Chdir(t.TempDir())
	here, _ := os.Getwd()
	if f.entry(filepath.Join(here, "data/picloud.db")) == nil {
		t.Error("not found in the working directory")
	}
}

func TestDefaults(t *testing.T) {
	d := newDevice(t, "dbs:\n  - path: \"%DB%\"\n    replica: {path: /mnt/x}\n")
	r := d.make(Options{})
	if r.interval != time.Second || r.store.L0RetentionCheckInterval != 10*time.Minute || r.store.L0Retention != time.Hour ||
		r.store.SnapshotRetention != 168*time.Hour || r.db.TruncatePageN != 2_000_000 || r.db.MinCheckpointPageN != 4000 || r.db.MonitorInterval != 0 {
		t.Errorf("defaults: %v %+v", r.interval, r.store)
	}
}

// The commented file at the top of the repository says what it says without a mistake, also
// once its examples are uncommented.
func TestExampleFile(t *testing.T) {
	b, err := os.ReadFile("../../litestream.yml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(b, env()); err != nil {
		t.Errorf("as it is: %v", err)
	}
	all := env("PICLOUD_REPLICA_KEY_ID", "k", "PICLOUD_REPLICA_SECRET", "s", "PICLOUD_REPLICA_PASSWORD", "p")
	examples := strings.Split(string(b), "#dbs:")[1:]
	if len(examples) < 7 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		e, _, _ = strings.Cut(e, "\n\n")
		yml := "dbs:" + strings.ReplaceAll(e, "\n#", "\n")
		f, err := parse([]byte(yml), all)
		if err != nil {
			t.Errorf("%v in the example\n%s", err, yml)
			continue
		}
		tg, err := f.target(f.DBs[0])
		if err == nil {
			_, err = tg.client()
		}
		if err != nil {
			t.Errorf("%v in the example\n%s", err, yml)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("dbs:\n  - path: /x\n    replica: {url: 's3://b/p?endpoint=x:1'}\n", "v")
	f.Add("access-key-id: ${A}\nlevels: [{interval: 5m}]\n", "a: b")
	f.Add("dbs: [{path: ~/x, replicas: [{type: sftp, host: h, user: u, host-key: k}]}]", "")
	f.Add("a: &a [*a]", "x")
	f.Fuzz(func(t *testing.T, yml, value string) {
		file, err := parse([]byte(yml), func(string) (string, bool) { return value, true })
		if err != nil {
			return
		}
		for _, d := range file.DBs {
			tg, err := file.target(d)
			if err != nil || tg.SSECustomerKeyPath != "" {
				continue
			}
			if c, err := tg.client(); err == nil && describe(c) == "" {
				t.Error("a client without a name")
			}
		}
	})
}
