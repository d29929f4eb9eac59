package replica

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// FileName of the configuration where no other name was given.
const FileName = "litestream.yml"

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// File is a litestream.yml: the format of litestream v0.5, but a key that litestream would
// pass over in silence is an error here, and so is a ${VARIABLE} that isn't set.
type File struct {
	settings `yaml:",inline"`

	Levels                   []level                           `yaml:"levels"`
	Snapshot                 snapshot                          `yaml:"snapshot"`
	Validation               struct{ Interval *time.Duration } `yaml:"validation"`
	L0Retention              *time.Duration                    `yaml:"l0-retention"`
	L0RetentionCheckInterval *time.Duration                    `yaml:"l0-retention-check-interval"`
	VerifyCompaction         bool                              `yaml:"verify-compaction"`
	Retention                struct{ Enabled *bool }           `yaml:"retention"`
	ShutdownSyncTimeout      *time.Duration                    `yaml:"shutdown-sync-timeout"`
	DBs                      []*database                       `yaml:"dbs"`

	// Read by the litestream program only; taken here so that both can share a file.
	ShutdownSyncInterval *time.Duration `yaml:"shutdown-sync-interval"`
	ShutdownTimeout      *time.Duration `yaml:"shutdown-timeout"`
	HeartbeatURL         string         `yaml:"heartbeat-url"`
	HeartbeatInterval    *time.Duration `yaml:"heartbeat-interval"`
	Addr                 string         `yaml:"addr"`
	Exec                 string         `yaml:"exec"`
	MCPAddr              string         `yaml:"mcp-addr"`
	Socket               yaml.Node      `yaml:"socket"`
	Logging              yaml.Node      `yaml:"logging"`

	dir string // that holds the file
}

type level struct {
	Interval time.Duration `yaml:"interval"`
}

type snapshot struct {
	Interval  *time.Duration `yaml:"interval"`
	Retention *time.Duration `yaml:"retention"`
}

// database is one entry of dbs.
type database struct {
	Path               string         `yaml:"path"`
	Snapshot           snapshot       `yaml:"snapshot"`
	MetaPath           *string        `yaml:"meta-path"`
	MonitorInterval    *time.Duration `yaml:"monitor-interval"`
	CheckpointInterval *time.Duration `yaml:"checkpoint-interval"`
	BusyTimeout        *time.Duration `yaml:"busy-timeout"`
	MinCheckpointPageN *int           `yaml:"min-checkpoint-page-count"`
	TruncatePageN      *int           `yaml:"truncate-page-n"`
	MaxSyncWALBytes    *int64         `yaml:"max-sync-wal-bytes"`
	Replica            *target        `yaml:"replica"`
	Replicas           []*target      `yaml:"replicas"`

	RestoreIfDBNotExists bool `yaml:"restore-if-db-not-exists"` // we always do

	// Whole directories of databases are the litestream program's.
	Dir       string  `yaml:"dir"`
	Pattern   string  `yaml:"pattern"`
	Recursive bool    `yaml:"recursive"`
	Watch     bool    `yaml:"watch"`
	MetaDir   *string `yaml:"meta-dir"`
}

// Load reads a configuration file.
func Load(path string) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(text, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.dir = filepath.Dir(path)
	return f, nil
}

func parse(text []byte, getenv func(string) (string, bool)) (*File, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, plain(err)
	}
	if doc.Kind == 0 {
		return &File{}, nil // nothing but comments
	}
	if err := expand(&doc, getenv, 0); err != nil {
		return nil, err
	}
	// Node.Decode knows no strict mode: it goes through text once more.
	strict, err := yaml.Marshal(&doc)
	if err != nil {
		return nil, err
	}
	f := &File{}
	dec := yaml.NewDecoder(bytes.NewReader(strict))
	dec.KnownFields(true)
	if err := dec.Decode(f); err != nil {
		return nil, plain(err)
	}
	return f, f.check()
}

// unknownField is how the library words a key that the format doesn't have. Its line is that
// of the second text, and its type is ours: neither helps.
var unknownField = regexp.MustCompile(`^line \d+: field (.+) not found in type .+$`)

// plain words the library's errors for the person who wrote the file.
func plain(err error) error {
	var e *yaml.TypeError
	if !errors.As(err, &e) {
		return err
	}
	var parts []string
	for _, text := range e.Errors {
		if m := unknownField.FindStringSubmatch(text); m != nil {
			text = fmt.Sprintf("%q is not a key that is known there: check its spelling and its place", m[1])
		}
		parts = append(parts, text)
	}
	return errors.New(strings.Join(parts, "; "))
}

// maxDepth of the document; the format needs six.
const maxDepth = 32

// expand replaces ${NAME} in values, not in the text, so that a secret may hold any character.
func expand(n *yaml.Node, getenv func(string) (string, bool), depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("line %d: nested too deep", n.Line)
	}
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: aliases are not supported", n.Line)
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue // a key
		}
		if err := expand(child, getenv, depth+1); err != nil {
			return err
		}
	}
	if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "$") {
		return nil
	}
	var missing string
	value := os.Expand(n.Value, func(name string) string {
		if name == "PID" {
			return strconv.Itoa(os.Getpid())
		}
		v, ok := getenv(name)
		if !ok {
			missing = name
		}
		return v
	})
	if missing != "" {
		return fmt.Errorf("line %d: the environment variable %s is not set", n.Line, missing)
	}
	*n = yaml.Node{Kind: yaml.ScalarNode, Value: value, Line: n.Line}
	if _, err := strconv.ParseBool(value); err != nil {
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			n.SetString(value)
		}
	}
	return nil
}

func (f *File) check() error {
	for i, d := range f.DBs {
		switch {
		case d == nil, d.Path == "" && d.Dir == "":
			return fmt.Errorf("dbs: entry %d has no path", i+1)
		}
	}
	for _, d := range []struct {
		key   string
		value *time.Duration
	}{
		{"snapshot: interval", f.Snapshot.Interval}, {"snapshot: retention", f.Snapshot.Retention}, {"l0-retention", f.L0Retention},
		{"l0-retention-check-interval", f.L0RetentionCheckInterval}, {"shutdown-sync-timeout", f.ShutdownSyncTimeout},
	} {
		if d.value != nil && *d.value <= 0 {
			return fmt.Errorf("%s: %v is not allowed: write a duration such as 24h", d.key, *d.value)
		}
	}
	for _, l := range f.Levels {
		if l.Interval < time.Second {
			return fmt.Errorf("levels: interval: %v is not allowed: write 1s or more", l.Interval)
		}
	}
	return nil
}

// entry finds the database at path, an absolute one; nil when the file doesn't name it. A
// relative path in the file may be meant from the working directory, as litestream reads it,
// or from the file.
func (f *File) entry(path string) *database {
	for _, d := range f.DBs {
		for _, base := range []string{"", f.dir} {
			if d.Path != "" && samePath(resolve(base, d.Path), path) {
				return d
			}
		}
	}
	return nil
}

func resolve(base, path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "sqlite3://"), "sqlite://")
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(base, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// samePath compares two paths of a file that need not exist, in a directory that may be
// reached by a link.
func samePath(a, b string) bool {
	if a == b {
		return true
	}
	dirA, errA := filepath.EvalSymlinks(filepath.Dir(a))
	dirB, errB := filepath.EvalSymlinks(filepath.Dir(b))
	return errA == nil && errB == nil && dirA == dirB && filepath.Base(a) == filepath.Base(b)
}

// target of a database, with the file's own settings where it has none.
func (f *File) target(d *database) (*target, error) {
	t := d.Replica
	switch {
	case t == nil && len(d.Replicas) == 1:
		t = d.Replicas[0]
	case t == nil || len(d.Replicas) > 0:
		return nil, fmt.Errorf("%s: a database has exactly one replica", d.Path)
	}
	if t == nil {
		return nil, fmt.Errorf("%s: the replica is empty", d.Path)
	}
	own, common := reflect.ValueOf(&t.settings).Elem(), reflect.ValueOf(f.settings)
	for i := range own.NumField() {
		if own.Field(i).IsZero() {
			own.Field(i).Set(common.Field(i))
		}
	}
	return t, nil
}
