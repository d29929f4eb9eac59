package replica

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picloud/durable"
)

// targets runs f against each kind of target that a test can have.
func targets(t *testing.T, f func(t *testing.T, yml string)) {
	t.Run("file", func(t *testing.T) { f(t, fileYML(filepath.Join(t.TempDir(), "copy"))) })
	t.Run("s3", func(t *testing.T) { f(t, newS3(t).yml("pi")) })
}

// everyTarget is targets with sftp, which has no lease and tells times to the second.
func everyTarget(t *testing.T, f func(t *testing.T, yml string)) {
	targets(t, f)
	t.Run("sftp", func(t *testing.T) { f(t, sftpYML(t)) })
}

func TestLostDeviceComesBack(t *testing.T) {
	everyTarget(t, func(t *testing.T, yml string) {
		d := newDevice(t, yml)
		d.start(Options{})
		d.insert("a")
		d.insert("b")
		d.sync()
		d.lose()
		d.start(Options{})
		if got := d.rows(); got != "a b" {
			t.Errorf("restored rows: %q, want a b", got)
		}
		d.insert("c") // and it goes on replicating
		d.sync()
		d.lose()
		d.start(Options{})
		if got := d.rows(); got != "a b c" {
			t.Errorf("restored rows: %q, want a b c", got)
		}
	})
}

// Nobody asks for Sync: the loops do it.
func TestLoopsReplicate(t *testing.T) {
	everyTarget(t, func(t *testing.T, yml string) {
		d := newDevice(t, yml)
		d.start(Options{})
		d.insert("a")
		until(t, "the lag is gone", func() bool { return d.r.Lag() == 0 && d.r.Status().State == OK })
		dst := filepath.Join(t.TempDir(), "copy.db")
		if _, err := d.r.Restore(t.Context(), Moment{}, dst); err != nil {
			t.Fatal(err)
		}
		if got := rowsIn(t, dst); got != "a" {
			t.Errorf("restored rows: %q, want a", got)
		}
		if info, err := os.Stat(dst); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the restored file: %v %v, want 0600", info.Mode(), err)
		}
	})
}

func TestPointInTime(t *testing.T) {
	targets(t, func(t *testing.T, yml string) {
		d := newDevice(t, yml)
		d.start(Options{})
		d.insert("a")
		d.sync()
		first := d.r.Status().TXID
		time.Sleep(20 * time.Millisecond) // stamps have milliseconds
		then := time.Now()
		time.Sleep(20 * time.Millisecond)
		d.insert("b")
		d.sync()
		for name, m := range map[string]Moment{"timestamp": {Timestamp: then}, "txid": {TXID: first}} {
			dst := filepath.Join(t.TempDir(), name)
			p, err := d.r.Restore(t.Context(), m, dst)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := rowsIn(t, dst); got != "a" || p.TXID != first {
				t.Errorf("%s: rows %q of transaction %d, want a of %d", name, got, p.TXID, first)
			}
		}
		_, err := d.r.Plan(t.Context(), Moment{Timestamp: then.Add(-time.Hour)})
		if err == nil || !strings.Contains(err.Error(), "reaches from") {
			t.Errorf("a time before the replica: %v", err)
		}
		points, err := d.r.Points(t.Context(), 0, 50)
		if err != nil || len(points) < 2 || points[0].TXID != d.r.Status().TXID {
			t.Errorf("points: %+v %v", points, err)
		}
	})
}

func TestDoubtStopsTheStart(t *testing.T) {
	s := newS3(t)
	d := newDevice(t, s.yml("pi"))
	d.start(Options{})
	d.insert("a")
	d.sync()
	d.lose()
	s.set("denied")
	d.make(Options{})
	if _, err := d.r.RestoreIfMissing(t.Context(), true); err == nil || !strings.Contains(err.Error(), "access-key-id") {
		t.Errorf("a target that can't be asked: %v", err)
	}
	if _, err := os.Stat(d.path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the database is there: %v", err)
	}
	s.set("")
	d.make(Options{})
	if p, err := d.r.RestoreIfMissing(t.Context(), true); err != nil || p == nil {
		t.Errorf("restored %v, %v", p, err)
	}
}

// A replica that misses its beginning must not be taken for none.
func TestIncompleteReplicaIsNotEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	d := newDevice(t, fileYML(dir))
	d.start(Options{})
	d.insert("a")
	d.sync()
	d.insert("b")
	d.sync()
	d.lose()
	if err := os.RemoveAll(filepath.Join(dir, "ltx", "9")); err != nil {
		t.Fatal(err)
	}
	first, err := filepath.Glob(filepath.Join(dir, "ltx", "*", "0000000000000001-*"))
	if err != nil || len(first) == 0 {
		t.Fatalf("%v %v", first, err)
	}
	for _, f := range first {
		os.Remove(f)
	}
	d.make(Options{})
	p, err := d.r.RestoreIfMissing(t.Context(), true)
	if err == nil || !strings.Contains(err.Error(), "no complete state") {
		t.Errorf("restored %v, %v; want a refusal", p, err)
	}
}

func TestLeftoversAreSetAside(t *testing.T) {
	d := newDevice(t, fileYML(filepath.Join(t.TempDir(), "copy")))
	d.start(Options{})
	d.insert("a")
	d.sync()
	d.stop()
	for _, name := range []string{"picloud.db", "picloud.db-wal"} {
		if err := os.WriteFile(filepath.Join(d.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(d.path()+"-wal", []byte("of another database"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start(Options{})
	if got := d.rows(); got != "a" {
		t.Errorf("rows: %q, want a", got)
	}
	lost, _ := filepath.Glob(filepath.Join(d.dir, "*.before-restore-*"))
	if len(lost) < 2 { // the log and what litestream had staged, at least
		t.Errorf("set aside: %v", lost)
	}
}

// Restores that follow each other at once keep each database that they replace.
func TestRestoresKeepWhatWasThere(t *testing.T) {
	d := newDevice(t, fileYML(filepath.Join(t.TempDir(), "copy")))
	d.start(Options{})
	d.insert("a")
	d.sync()
	d.stop()
	d.make(Options{})
	staged := d.r.db.MetaPath()
	kept := map[string]string{} // the suffix of each former database, by its content
	for _, text := range []string{"first", "second", "third"} {
		if err := durable.MakeDir(staged); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{d.path(), filepath.Join(staged, "file")} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if _, kept[text], err = d.r.RestoreOver(t.Context(), Moment{}); err != nil {
			t.Fatal(err)
		}
	}
	for text, aside := range kept {
		for _, name := range []string{d.path() + aside, filepath.Join(staged+aside, "file")} {
			if got, err := os.ReadFile(name); string(got) != text {
				t.Errorf("%s: got %q %v, want %q", filepath.Base(name), got, err, text)
			}
		}
	}
}

func TestVerify(t *testing.T) {
	targets(t, func(t *testing.T, yml string) {
		d := newDevice(t, yml)
		d.start(Options{})
		d.insert("a")
		d.sync()
		v, err := d.r.Verify(t.Context())
		if err != nil || v.Error != "" || v.Rows != 1 || len(v.Tables) != 1 {
			t.Errorf("verification: %+v %v", v, err)
		}
		n, err := openNotes(d.dir)
		if err != nil || n.verification() == nil || n.verification().Rows != 1 {
			t.Errorf("noted: %+v %v", n.verification(), err)
		}
		if left, _ := filepath.Glob(filepath.Join(d.dir, "verify-*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestVerifyFindsDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	d := newDevice(t, fileYML(dir))
	d.start(Options{})
	d.insert("a")
	d.sync()
	files, _ := filepath.Glob(filepath.Join(dir, "ltx", "*", "*.ltx"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 0xff
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v, err := d.r.Verify(t.Context())
	if err != nil || v.Error == "" {
		t.Errorf("verification of a damaged replica: %+v %v", v, err)
	}
}
