package app

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/app/executor"
	"picloud/app/outbound"
	"picloud/db"
)

// Config is everything an operator may set. Load fills it; the zero value is not usable.
type Config struct {
	DataDir string
	Listen  string

	LogFormat string // text | json
	LogLevel  string // debug | info | warn | error

	Durability db.Durability
	SyncOutbox string // memory | table
	Engines    []string

	Isolation        string // executor.InProcess | executor.Process
	IsolationWorkers int    // 0: by the machine

	MaxConcurrentExecutions int
	GateWait                time.Duration
	GateQueue               int
	MaxBodyBytes            int64
	MaxConnections          int // 0: derived from the files that the process may open

	MaxConnectionsPerAddress int

	MaxImportBytes int64
	Limits         cloud.Limits // ceiling and default of every script; zero fields derive from the machine

	RetryMaxAttempts int
	RetryBackoff     string
	RetryBaseMS      int
	RetryJitterPct   int
	MaxTriggerDepth  int
	ClockWait        time.Duration

	TokenTTLMin, TokenTTLMax, TokenTTLDefault int // seconds
	MaxSubscribers, MaxSubscribersPerApp      int

	Deduplication    time.Duration // of queues
	DeadLetterDays   int
	AbandonedDays    int
	LogRetentionDays int
	LogMaxRows       int64
	LogDelay         time.Duration
	LogMaxBytes      int64
	DiskReserveBytes int64
	SessionTTL       time.Duration
	OwnerUsername    string
	OwnerPassword    string
	TrustedProxies   []netip.Prefix
	TLSCert, TLSKey  string
	ACMEDomains      []string
	SlugRoutes       bool
	MDNS             bool
	MDNSName         string

	MasterKeys []*data.MasterKey // of secrets: the one in use, then former ones; none: a file has it

	OutboundAllow         *outbound.Allow
	OutboundRequests      int // of one execution
	OutboundRequestBytes  int64
	OutboundResponseBytes int64
	OutboundTimeout       time.Duration
	OutboundRetryAttempts int
	OutboundRetryBaseMS   int
	OutboundPatienceHours int

	LitestreamConfig  string // "": where it usually is; "off": no replication
	Replication       string // inside | outside
	ReplicaVerifyDays int    // 0: never

	Logger   *slog.Logger   // slog.Default()
	TakeOver bool           // replicate although another device holds the lease; no setting: it is for one start
	Serving  func(net.Addr) // told once where the instance listens; nil: nobody

	values []Value
}

// Value is one setting in force, for `picloud config`.
type Value struct {
	Name   string // of the environment variable
	Value  string // "(set)" for secrets
	Source string // default | flag | environment | file
	Doc    string
}

// Setting describes one setting. Its name is PICLOUD_ + the upper-case Key in the
// environment, --key-with-dashes as a flag, and Key in picloud.toml.
type Setting struct {
	Key     string
	Default string
	Doc     string
	Secret  bool
	set     func(*Config, string) error
}

// Env is the environment variable of the setting.
func (s Setting) Env() string { return "PICLOUD_" + strings.ToUpper(s.Key) }

// Flag is the flag of the setting, without dashes in front.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Key, "_", "-") }

// Settings lists every setting, in the order of the documentation.
var Settings = []Setting{
	{Key: "data_dir", Default: "./data", Doc: "folder that holds picloud.db and logs.db", set: text(func(c *Config) *string { return &c.DataDir })},
	{Key: "listen", Default: ":8080", Doc: "address to listen on", set: text(func(c *Config) *string { return &c.Listen })},
	{Key: "log_format", Default: "text", Doc: "text or json", set: oneOf(func(c *Config) *string { return &c.LogFormat }, "text", "json")},
	{Key: "log_level", Default: "info", Doc: "debug, info, warn or error", set: oneOf(func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error")},
	{Key: "durability", Default: "full", Doc: "full: acknowledged means fsynced; relaxed: a power cut may lose the last moments", set: oneOf(func(c *Config) *db.Durability { return &c.Durability }, db.Full, db.Relaxed)},
	{Key: "sync_outbox", Default: "memory", Doc: "where the rows of waiting callers live: memory or table", set: oneOf(func(c *Config) *string { return &c.SyncOutbox }, "memory", "table")},
	{Key: "engines", Default: "quickjs", Doc: "engines that scripts may use: quickjs, or quickjs,otto (otto has no memory limit: trusted code only)", set: engines},
	{Key: "isolation", Default: executor.InProcess, Doc: "where scripts run: inprocess, or process: in worker processes that have no rights and that can be killed, for apps of people you don't know (Linux; each call costs more)", set: oneOf(func(c *Config) *string { return &c.Isolation }, executor.InProcess, executor.Process)},
	{Key: "isolation_workers", Default: "0", Doc: "with isolation=process: processes that run scripts at once; 0: max_concurrent_executions, which is also the most. Fewer take less memory, but executions that wait for each other over HTTP need one each", set: integer(func(c *Config) *int { return &c.IsolationWorkers }, 0, 1024)},
	{Key: "max_concurrent_executions", Default: strconv.Itoa(max(8, 4*runtime.NumCPU())), Doc: "executions that run at once, 1-1024", set: integer(func(c *Config) *int { return &c.MaxConcurrentExecutions }, 1, 1024)},
	{Key: "gate_wait_ms", Default: "1000", Doc: "how long a caller waits for a free place before 503", set: milliseconds(func(c *Config) *time.Duration { return &c.GateWait }, 1, 60_000)},
	{Key: "gate_queue", Default: "1024", Doc: "callers that may wait for a free place", set: integer(func(c *Config) *int { return &c.GateQueue }, 1, 1_000_000)},
	{Key: "max_import_bytes", Default: "1073741824", Doc: "largest file that an app is imported from or rewound with", set: integer(func(c *Config) *int64 { return &c.MaxImportBytes }, 1<<20, 1<<40)},
	{Key: "max_body_bytes", Default: "1048576", Doc: "largest request body", set: integer(func(c *Config) *int64 { return &c.MaxBodyBytes }, 1, 1<<30)},
	{Key: "max_connections", Default: "0", Doc: "connections that are open at once; 0: half as many as the process may open files, at most 16384", set: integer(func(c *Config) *int { return &c.MaxConnections }, 0, 1_000_000)},
	{Key: "max_connections_per_address", Default: strconv.Itoa(connectionsPerAddress), Doc: "of these, from one address (IPv6: one network of 64 bits), other than this machine and trusted_proxies", set: integer(func(c *Config) *int { return &c.MaxConnectionsPerAddress }, 1, 1_000_000)},
	{Key: "script_operations", Default: "0", Doc: "most operations that a script may ask for; 0: 50 thousand million (a script that asks for nothing gets a fiftieth)", set: integer(func(c *Config) *int64 { return &c.Limits.Operations }, 0, 1<<50)},
	{Key: "script_memory_bytes", Default: "0", Doc: "most memory that a script may ask for; 0: as much as lets all executions at once fit in half of the machine's memory, at most 512 MiB (a script that asks for nothing gets at most 64 MiB)", set: integer(func(c *Config) *int64 { return &c.Limits.MemoryBytes }, 0, 1<<40)},
	{Key: "script_output_bytes", Default: "0", Doc: "largest answer that a script may ask for; 0: 8 MiB (a script that asks for nothing gets 1 MiB)", set: integer(func(c *Config) *int64 { return &c.Limits.OutputBytes }, 0, 1<<30)},
	{Key: "script_writes", Default: "0", Doc: "most writes in one commit that a script may ask for; 0: 10000 (a script that asks for nothing gets 1000)", set: integer(func(c *Config) *int64 { return &c.Limits.Writes }, 0, 1_000_000)},
	{Key: "script_write_bytes", Default: "0", Doc: "most bytes in one commit that a script may ask for; 0: 32 MiB (a script that asks for nothing gets 4 MiB)", set: integer(func(c *Config) *int64 { return &c.Limits.WriteBytes }, 0, 1<<30)},
	{Key: "trigger_retry_max_attempts", Default: "3", Doc: "attempts before an event becomes a dead letter", set: integer(func(c *Config) *int { return &c.RetryMaxAttempts }, 1, 100)},
	{Key: "trigger_retry_backoff", Default: "exponential", Doc: "exponential, linear or constant", set: oneOf(func(c *Config) *string { return &c.RetryBackoff }, "exponential", "linear", "constant")},
	{Key: "trigger_retry_base_ms", Default: "1000", Doc: "first pause between attempts", set: integer(func(c *Config) *int { return &c.RetryBaseMS }, 0, 86_400_000)},
	{Key: "trigger_retry_jitter_pct", Default: "20", Doc: "random share of each pause, in percent", set: integer(func(c *Config) *int { return &c.RetryJitterPct }, 0, 100)},
	{Key: "max_trigger_depth", Default: "8", Doc: "longest chain of executions that cause each other", set: integer(func(c *Config) *int { return &c.MaxTriggerDepth }, 1, 1000)},
	{Key: "queue_deduplication", Default: "5m", Doc: "how long a queue knows a deduplication id, such as 5m; at most a week", set: duration(func(c *Config) *time.Duration { return &c.Deduplication }, time.Second, 7*24*time.Hour)},
	{Key: "dead_letter_retention_days", Default: "30", Doc: "days that dead letters are kept", set: integer(func(c *Config) *int { return &c.DeadLetterDays }, 1, 36_500)},
	{Key: "abandoned_executions_retention_days", Default: "7", Doc: "days that abandoned executions are kept", set: integer(func(c *Config) *int { return &c.AbandonedDays }, 1, 36_500)},
	{Key: "log_retention_days", Default: "14", Doc: "days that execution logs are kept", set: integer(func(c *Config) *int { return &c.LogRetentionDays }, 1, 36_500)},
	{Key: "log_max_rows", Default: "500000", Doc: "most executions in the log", set: integer(func(c *Config) *int64 { return &c.LogMaxRows }, 1000, 1<<40)},
	{Key: "log_max_bytes", Default: "536870912", Doc: "most bytes of the execution log", set: integer(func(c *Config) *int64 { return &c.LogMaxBytes }, 1<<20, 1<<50)},
	{Key: "log_delay", Default: "5s", Doc: "how long the log of an execution that succeeded may wait in memory to be written with others; less wears a card more, and reading the log writes it at once", set: duration(func(c *Config) *time.Duration { return &c.LogDelay }, time.Millisecond, time.Hour)},
	{Key: "clock_wait", Default: "10m", Doc: "how long schedules wait after the start for a time server to set the clock, where the machine can tell; 0s: schedules go by the clock whatever it shows, even if it is in the past", set: duration(func(c *Config) *time.Duration { return &c.ClockWait }, 0, 365*24*time.Hour)},
	{Key: "disk_reserve_bytes", Default: "67108864", Doc: "free disk space below which no more async work is accepted; below twice as much, execution logs are dropped; 0: none", set: integer(func(c *Config) *int64 { return &c.DiskReserveBytes }, 0, 1<<50)},
	{Key: "subscriber_token_ttl_min_sec", Default: "10", Doc: "shortest life of a token that lets its holder listen to topics from outside, in seconds", set: integer(func(c *Config) *int { return &c.TokenTTLMin }, 1, 365*86_400)},
	{Key: "subscriber_token_ttl_max_sec", Default: "86400", Doc: "longest life of such a token, in seconds", set: integer(func(c *Config) *int { return &c.TokenTTLMax }, 1, 365*86_400)},
	{Key: "subscriber_token_ttl_default_sec", Default: "3600", Doc: "life of such a token that asks for none, in seconds", set: integer(func(c *Config) *int { return &c.TokenTTLDefault }, 1, 365*86_400)},
	{Key: "max_subscribers", Default: "6000", Doc: "most subscribers from outside that listen to topics at once", set: integer(func(c *Config) *int { return &c.MaxSubscribers }, 1, 1_000_000)},
	{Key: "max_subscribers_per_app", Default: "5000", Doc: "most such subscribers of one app", set: integer(func(c *Config) *int { return &c.MaxSubscribersPerApp }, 1, 1_000_000)},
	{Key: "session_ttl", Default: "168h", Doc: "how long an unused login lasts, such as 168h", set: duration(func(c *Config) *time.Duration { return &c.SessionTTL }, time.Minute, 10*365*24*time.Hour)},
	{Key: "owner_username", Doc: "with owner_password: creates the owner at first start", set: text(func(c *Config) *string { return &c.OwnerUsername })},
	{Key: "owner_password", Doc: "12 or more characters", Secret: true, set: text(func(c *Config) *string { return &c.OwnerPassword })},
	{Key: "trusted_proxies", Doc: "addresses or networks of proxies whose X-Forwarded-* headers are believed, separated by commas", set: proxies},
	{Key: "tls_cert", Doc: "certificate file (PEM); with tls_key: serve HTTPS", set: text(func(c *Config) *string { return &c.TLSCert })},
	{Key: "tls_key", Doc: "key file (PEM) of tls_cert", set: text(func(c *Config) *string { return &c.TLSKey })},
	{Key: "acme_domains", Doc: "domains to get certificates for by ACME, separated by commas: serves HTTPS", set: list(func(c *Config) *[]string { return &c.ACMEDomains })},
	{Key: "slug_routes", Default: "true", Doc: "answer /~app/…, so that apps are reachable without a domain", set: boolean(func(c *Config) *bool { return &c.SlugRoutes })},
	{Key: "mdns", Default: "true", Doc: "be found as mdns_name.local on the local network, unless only this machine can connect", set: boolean(func(c *Config) *bool { return &c.MDNS })},
	{Key: "mdns_name", Default: "picloud", Doc: "host name for mdns, without .local; a number is added where it is taken", set: hostLabel(func(c *Config) *string { return &c.MDNSName })},
	{Key: "master_key", Secret: true, Doc: "key that encrypts secrets: 32 random bytes in base64 or hexadecimal, then former keys after commas; without it the file master.key in data_dir is used, and made with the first secret", set: masterKeys},
	{Key: "outbound_allow", Doc: "networks, addresses and hosts that every app's scripts may call although they are private or reserved, separated by commas: 192.168.1.0/24, printer.lan, *.lan", set: outboundAllow},
	{Key: "outbound_requests", Default: "50", Doc: "HTTP requests that one execution may send, 1-1000", set: integer(func(c *Config) *int { return &c.OutboundRequests }, 1, 1000)},
	{Key: "outbound_request_bytes", Default: "1048576", Doc: "largest body of a request that a script sends", set: integer(func(c *Config) *int64 { return &c.OutboundRequestBytes }, 1, 64<<20)},
	{Key: "outbound_response_bytes", Default: "4194304", Doc: "largest body of an answer that a script gets", set: integer(func(c *Config) *int64 { return &c.OutboundResponseBytes }, 1, 64<<20)},
	{Key: "outbound_timeout_ms", Default: "10000", Doc: "how long a script's request may take when it says nothing", set: milliseconds(func(c *Config) *time.Duration { return &c.OutboundTimeout }, 1, 300_000)},
	{Key: "outbound_retry_max_attempts", Default: "17", Doc: "attempts of http.later that a host refuses for now (5xx, 408, 425, 429) before the request becomes a dead letter", set: integer(func(c *Config) *int { return &c.OutboundRetryAttempts }, 1, 100)},
	{Key: "outbound_retry_base_ms", Default: "5000", Doc: "first pause between these attempts; it doubles, to a day at most", set: integer(func(c *Config) *int { return &c.OutboundRetryBaseMS }, 1, 86_400_000)},
	{Key: "outbound_patience_hours", Default: "168", Doc: "hours that http.later waits for a host that can't be reached before the request becomes a dead letter", set: integer(func(c *Config) *int { return &c.OutboundPatienceHours }, 1, 87_600)},
	{Key: "litestream_config", Doc: "the litestream.yml that says where picloud.db is replicated to; empty: the one in the data directory, else in the working directory, else no replication; off: no replication", set: text(func(c *Config) *string { return &c.LitestreamConfig })},
	{Key: "replication", Default: inside, Doc: "inside: the instance replicates picloud.db itself; outside: `picloud replicate` or litestream does, as a process of its own", set: oneOf(func(c *Config) *string { return &c.Replication }, inside, outside)},
	{Key: "replica_verify_days", Default: "7", Doc: "days between two trials of the replica, which read all of it; 0: only when asked", set: integer(func(c *Config) *int { return &c.ReplicaVerifyDays }, 0, 365)},
}

// FileName of the settings file in the data directory.
const FileName = "picloud.toml"

// Load resolves all settings: flags, then the environment, then picloud.toml in the data
// directory, then defaults. flags holds only those that were given, by Setting.Flag. An
// error names the setting, its source and what is allowed.
func Load(flags map[string]string, getenv func(string) (string, bool)) (*Config, error) {
	c := &Config{}
	dir := resolve(Settings[0], flags, getenv, nil)
	file, err := readFile(filepath.Join(dir.Value, FileName))
	if err != nil {
		return nil, err
	}
	for _, s := range Settings {
		v := resolve(s, flags, getenv, file)
		if err := s.set(c, v.Value); err != nil {
			return nil, cloud.Errorf(cloud.Invalid, "%s (from the %s): %s", s.Env(), v.Source, err)
		}
		if s.Secret && v.Value != "" {
			v.Value = "(set)"
		}
		c.values = append(c.values, v)
	}
	return c, c.check()
}

// Values lists the settings in force.
func (c *Config) Values() []Value { return c.values }

func (c *Config) check() error {
	switch {
	case (c.OwnerUsername == "") != (c.OwnerPassword == ""):
		return cloud.Errorf(cloud.Invalid, "PICLOUD_OWNER_USERNAME and PICLOUD_OWNER_PASSWORD go together: set both or neither")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return cloud.Errorf(cloud.Invalid, "PICLOUD_TLS_CERT and PICLOUD_TLS_KEY go together: set both or neither")
	case c.TLSCert != "" && len(c.ACMEDomains) > 0:
		return cloud.Errorf(cloud.Invalid, "PICLOUD_TLS_CERT and PICLOUD_ACME_DOMAINS exclude each other: choose one")
	case c.TokenTTLMin > c.TokenTTLDefault || c.TokenTTLDefault > c.TokenTTLMax:
		return cloud.Errorf(cloud.Invalid, "PICLOUD_SUBSCRIBER_TOKEN_TTL_DEFAULT_SEC is %d: it lies between PICLOUD_SUBSCRIBER_TOKEN_TTL_MIN_SEC (%d) and PICLOUD_SUBSCRIBER_TOKEN_TTL_MAX_SEC (%d)", c.TokenTTLDefault, c.TokenTTLMin, c.TokenTTLMax)
	}
	return nil
}

func resolve(s Setting, flags map[string]string, getenv func(string) (string, bool), file map[string]string) Value {
	v := Value{Name: s.Env(), Value: s.Default, Source: "default", Doc: s.Doc}
	if x, ok := flags[s.Flag()]; ok {
		v.Value, v.Source = x, "flag"
	} else if x, ok := getenv(s.Env()); ok && x != "" {
		v.Value, v.Source = x, "environment"
	} else if x, ok := file[s.Key]; ok {
		v.Value, v.Source = x, "file"
	}
	return v
}

// readFile reads picloud.toml; a missing file is empty, an unknown key an error.
func readFile(path string) (map[string]string, error) {
	var raw map[string]any
	if _, err := toml.DecodeFile(path, &raw); os.IsNotExist(err) {
		return nil, nil
	} else if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "%s is not valid TOML: %v", FileName, err)
	}
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		known := slices.ContainsFunc(Settings, func(s Setting) bool { return s.Key == key && key != "data_dir" })
		if !known {
			return nil, cloud.Errorf(cloud.Invalid, "%s: %q is not a setting; `picloud config` lists them", FileName, key)
		}
		v, err := fileValue(raw[key])
		if err != nil {
			return nil, cloud.Errorf(cloud.Invalid, "%s: %s: %s", FileName, key, err)
		}
		out[key] = v
	}
	return out, nil
}

func fileValue(v any) (string, error) {
	switch v := v.(type) {
	case string, int64, bool:
		return fmt.Sprint(v), nil
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return "", fmt.Errorf("a list holds strings")
			}
			parts[i] = s
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("write a string, a whole number, a truth value or a list of strings")
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error { *field(c) = v; return nil }
}

func oneOf[S ~string](field func(*Config) *S, allowed ...S) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !slices.Contains(allowed, S(v)) {
			return fmt.Errorf("%q is not allowed: choose one of %v", v, allowed)
		}
		*field(c) = S(v)
		return nil
	}
}

func integer[N int | int64](field func(*Config) *N, least, most N) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < int64(least) || n > int64(most) {
			return fmt.Errorf("%q is not allowed: give a whole number from %d to %d", v, least, most)
		}
		*field(c) = N(n)
		return nil
	}
}

func milliseconds(field func(*Config) *time.Duration, least, most int64) func(*Config, string) error {
	return func(c *Config, v string) error {
		var n int64
		if err := integer(func(*Config) *int64 { return &n }, least, most)(c, v); err != nil {
			return err
		}
		*field(c) = time.Duration(n) * time.Millisecond
		return nil
	}
}

func duration(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < least || d > most {
			return fmt.Errorf("%q is not allowed: give a duration from %v to %v, such as 24h or 90m", v, least, most)
		}
		*field(c) = d
		return nil
	}
}

func boolean(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) error {
		switch v {
		case "true", "false":
			*field(c) = v == "true"
			return nil
		}
		return fmt.Errorf("%q is not allowed: give true or false", v)
	}
}

var label = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,58}[a-zA-Z0-9])?$`)

func hostLabel(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !label.MatchString(v) {
			return fmt.Errorf("%q is no host name: give 1-60 letters, digits and hyphens", v)
		}
		*field(c) = v
		return nil
	}
}

func list(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error { *field(c) = splitList(v); return nil }
}

func splitList(v string) []string {
	var out []string
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func engines(c *Config, v string) error {
	c.Engines = splitList(v)
	for _, e := range c.Engines {
		if e != cloud.EngineQuickJS && e != cloud.EngineOtto {
			return fmt.Errorf("%q is not an engine: there are quickjs and otto", e)
		}
	}
	if !slices.Contains(c.Engines, cloud.EngineQuickJS) {
		return fmt.Errorf("quickjs must be among the engines")
	}
	return nil
}

func masterKeys(c *Config, v string) error {
	c.MasterKeys = nil
	for _, part := range splitList(v) {
		k, err := data.ParseMasterKey(part)
		if err != nil {
			return err
		}
		c.MasterKeys = append(c.MasterKeys, k)
	}
	return nil
}

func outboundAllow(c *Config, v string) (err error) {
	c.OutboundAllow, err = outbound.ParseAllow(splitList(strings.ToLower(v)))
	return err
}

func proxies(c *Config, v string) error {
	c.TrustedProxies = nil
	for _, part := range splitList(v) {
		p, err := netip.ParsePrefix(part)
		if a, aerr := netip.ParseAddr(part); aerr == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return fmt.Errorf("%q is neither an address nor a network: write 10.0.0.1 or 10.0.0.0/8", part)
		}
		c.TrustedProxies = append(c.TrustedProxies, p.Masked())
	}
	return nil
}
