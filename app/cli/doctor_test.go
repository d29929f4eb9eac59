package cli

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree makes a machine of files: a name ending in / is a directory.
func tree(t *testing.T, files map[string]string) *machine {
	t.Helper()
	m := &machine{
		root: t.TempDir(), dataDir: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:0", uid: os.Getuid(),
		now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
		statfs: func(string) (volume, error) {
			return volume{free: 5 << 30, size: 8 << 30, files: 1 << 20, freeFiles: 1 << 19}, nil
		},
		synced: func() (bool, bool) { return true, true },
	}
	if err := os.Mkdir(m.dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(m.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func only(t *testing.T, found []finding, status, what string) {
	t.Helper()
	if len(found) != 1 || found[0].Status != status || !strings.Contains(found[0].What, what) || (found[0].Do == "") != (status == fine) {
		t.Errorf("got %+v, want one %s with %q", found, status, what)
	}
}

func TestCheckClock(t *testing.T) {
	t.Parallel()
	m := tree(t, map[string]string{"sys/class/rtc/rtc0/name": "rtc"})
	only(t, checkClock(m), fine, "synchronized")
	m.synced = func() (bool, bool) { return false, true }
	only(t, checkClock(m), warned, "not synchronized")
	synced := tree(t, map[string]string{"run/systemd/timesync/synchronized": ""})
	synced.synced = m.synced
	only(t, checkClock(synced), fine, "without a battery")
	m.now = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	only(t, checkClock(m), failed, "in the past")
	m.now = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	path := filepath.Join(m.dataDir, "picloud.db")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, m.now.Add(time.Hour), m.now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	only(t, checkClock(m), failed, "was written at")
}

func TestCheckDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		v      volume
		err    error
		status string
		what   string
	}{
		{"room", volume{free: 5 << 30, size: 8 << 30}, nil, fine, "5.0 GiB of 8.0 GiB"},
		{"little room", volume{free: 500 << 20, size: 8 << 30}, nil, warned, "500.0 MiB"},
		{"full", volume{free: 100 << 20, size: 8 << 30}, nil, failed, "100.0 MiB"},
		{"no more files", volume{free: 5 << 30, size: 8 << 30, files: 100000, freeFiles: 10}, nil, failed, "10 more files"},
		{"read-only", volume{free: 5 << 30, size: 8 << 30, readOnly: true}, nil, failed, "read-only"},
		{"gone", volume{}, errors.New("input/output error"), failed, "input/output error"},
	} {
		m := tree(t, nil)
		m.dataDir = filepath.Join(m.dataDir, "not", "there", "yet")
		m.statfs = func(path string) (volume, error) {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: asked for %s, which is not there", tt.name, path)
			}
			return tt.v, tt.err
		}
		t.Run(tt.name, func(t *testing.T) { only(t, checkDisk(m), tt.status, tt.what) })
	}
}

func TestCheckCards(t *testing.T) {
	t.Parallel()
	const dir = "sys/block/mmcblk0/device/"
	for _, tt := range []struct{ life, spare, status, what string }{
		{"0x01 0x02", "0x01", fine, "up to 20 %"},
		{"0x09 0x01\n", "0x01", warned, "up to 90 %"},
		{"0x0b 0x01", "0x01", failed, "worn out"},
		{"0x01 0x01", "0x02", warned, "of its life"},
		{"0x00 0x00", "0x03", failed, "worn out"},
		{"0x00 0x00", "0x00", fine, "doesn't tell"},
		{"nonsense", "", fine, "doesn't tell"},
	} {
		m := tree(t, map[string]string{dir + "life_time": tt.life, dir + "pre_eol_info": tt.spare, "sys/block/mmcblk0boot0/device/life_time": "0x0b 0x0b"})
		only(t, checkCards(m), tt.status, tt.what)
	}
	if found := checkCards(tree(t, nil)); len(found) > 0 {
		t.Errorf("no card: got %+v", found)
	}
}

func TestCheckPower(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"0\n": {fine, "no undervoltage"}, "50005\n": {failed, "too low"}, "50000": {warned, "since the last boot"},
		"8": {warned, "slowed down"}, "80000": {warned, "was slowed down"}, "0x1": {failed, "too low"},
	} {
		only(t, checkPower(tree(t, map[string]string{throttledFile: text})), want[0], want[1])
	}
	only(t, checkPower(tree(t, map[string]string{"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"})), failed, "too low")
	only(t, checkPower(tree(t, map[string]string{"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n"})), fine, "no undervoltage")
	if found := checkPower(tree(t, nil)); len(found) > 0 {
		t.Errorf("a machine that doesn't tell: got %+v", found)
	}
}

func TestCheckHeatAndMemory(t *testing.T) {
	t.Parallel()
	const zone = "sys/class/thermal/thermal_zone0/temp"
	for text, status := range map[string]string{"45000\n": fine, "81000": warned, "86000": failed} {
		only(t, checkHeat(tree(t, map[string]string{zone: text})), status, " °C")
	}
	only(t, checkMemory(tree(t, map[string]string{"proc/meminfo": "MemTotal: 1000 kB\nMemAvailable:   500000 kB\n"})), fine, "488.3 MiB")
	only(t, checkMemory(tree(t, map[string]string{"proc/meminfo": "MemAvailable: 5000 kB\n"})), warned, "4.9 MiB")
	if found := append(checkHeat(tree(t, nil)), checkMemory(tree(t, nil))...); len(found) > 0 {
		t.Errorf("a machine that doesn't tell: got %+v", found)
	}
}

func TestCheckFileSystem(t *testing.T) {
	t.Parallel()
	m := tree(t, map[string]string{"proc/mounts": "/dev/root / ext4 rw 0 0\nserver:/x /mnt nfs4 rw 0 0\nbroken\n/dev/sda1 /mnt/usb exfat rw 0 0\n"})
	for dir, want := range map[string][2]string{"/var/lib/picloud": {fine, "ext4"}, "/mnt/data": {warned, "network"}, "/mnt/usb/data": {warned, "permissions"}, "/mnts": {fine, "ext4"}} {
		m.dataDir = dir
		only(t, checkFileSystem(m), want[0], want[1])
	}
}

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	m := tree(t, nil)
	only(t, checkFiles(m), fine, "is private")
	path := filepath.Join(m.dataDir, "picloud.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	only(t, checkFiles(m), fine, "is private")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	only(t, checkFiles(m), failed, "others may read")
	if err := errors.Join(os.Chmod(path, 0o600), os.Chmod(m.dataDir, 0o777)); err != nil {
		t.Fatal(err)
	}
	only(t, checkFiles(m), failed, "others may write")
	if err := os.Chmod(m.dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	m.uid = os.Getuid() + 1
	only(t, checkFiles(m), warned, "belongs to user")
	m.dataDir = filepath.Join(m.dataDir, "none")
	only(t, checkFiles(m), fine, "not there yet")
}

func TestCheckPort(t *testing.T) {
	t.Parallel()
	m := tree(t, nil)
	only(t, checkPort(m), fine, "is free")
	for name, tt := range map[string]struct{ body, status, what string }{
		"an instance": {`{"product":"1.2.3","schema":7}`, fine, "picloud 1.2.3 listens"},
		"another":     {`<h1>It works</h1>`, failed, "another program"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tt.body)) }))
			defer server.Close()
			m.listen = server.Listener.Addr().String()
			only(t, checkPort(m), tt.status, tt.what)
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m.listen = "nowhere:port"
	only(t, checkPort(m), failed, "nobody can listen")
}

func TestCheckReplicaAndWork(t *testing.T) {
	t.Parallel()
	for state, status := range map[string]string{"ok": fine, "outside": fine, "behind": warned, "off": warned, "failing": failed} {
		only(t, checkReplica(object{"replication": object{"state": state, "target": "s3://b"}}), status, "")
	}
	var s object
	if err := decodeAnswer([]byte(`{"outbox":{"unresolved_dead_letters":3,"oldest_due_seconds":99.5}}`), &s); err != nil {
		t.Fatal(err)
	}
	found := checkWork(s)
	if len(found) != 2 || !strings.HasPrefix(found[0].What, "3 events") || !strings.Contains(found[1].What, "100 s") {
		t.Errorf("got %+v", found)
	}
	if found := checkWork(object{}); len(found) > 0 {
		t.Errorf("nothing waits: got %+v", found)
	}
}

func FuzzHexNumber(f *testing.F) {
	f.Add("0x0b")
	f.Add("ffffffffffffffff")
	f.Fuzz(func(t *testing.T, s string) {
		if n := hexNumber(s); n < 0 {
			t.Errorf("%q is %d", s, n)
		}
	})
}

func TestProgressAndMoments(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	p := &progress{to: &b, what: "sending f", total: 200}
	_, _ = p.Write(make([]byte, 100))
	if want := "sending f: [===============               ]  50% of 200 B"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	p.end()
	silent := &progress{what: "x"}
	_, _ = silent.Write([]byte("a"))
	silent.end()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{"30m": "2026-01-01T11:30:00Z", "2025-12-31T00:00:00+01:00": "2025-12-30T23:00:00Z", "soon": "", "-5m": ""} {
		at, err := moment(text, now)
		if got := at.UTC().Format(time.RFC3339); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
}
