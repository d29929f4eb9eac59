package data

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

// vault is a database with an app and a place for the key file.
type vault struct {
	*testing.T
	db   *db.DB
	app  cloud.AppID
	file string
}

func newVault(t *testing.T) *vault {
	t.Helper()
	t.Parallel()
	v := &vault{T: t, db: dbtest.Open(t), app: cloud.NewID[cloud.AppID](), file: filepath.Join(t.TempDir(), KeyFile)}
	v.addApp(v.app)
	return v
}

func (v *vault) addApp(id cloud.AppID) {
	v.Helper()
	v.check(v.db.Update(v.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, ?, '', 0, 0)`, id, id.String())
		return err
	}))
}

func (v *vault) check(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

// open is what a start does.
func (v *vault) open(keys ...*MasterKey) *Secrets {
	return NewSecrets(v.db, SecretsOptions{Keys: keys, File: v.file})
}

func (v *vault) put(s *Secrets, name, value string) {
	v.Helper()
	_, err := s.Put(v.Context(), v.app, name, value)
	v.check(err)
}

func (v *vault) wantValue(s *Secrets, name, want string) {
	v.Helper()
	got, ok, err := s.Get(v.Context(), v.app, name)
	if got != want || !ok || err != nil {
		v.Errorf("%s: got %q %v %v, want %q", name, got, ok, err, want)
	}
}

func (v *vault) wantKind(err error, want cloud.Kind, part string) {
	v.Helper()
	if cloud.KindOf(err) != want || !strings.Contains(cloud.Message(err), part) {
		v.Errorf("got %v (%s), want %s with %q", err, cloud.KindOf(err), want, part)
	}
}

func TestSecrets(t *testing.T) {
	v := newVault(t)
	s := v.open()
	if _, err := os.Stat(v.file); err == nil {
		t.Error("the key file is there before the first secret")
	}
	v.put(s, "api-key", "one")
	v.put(s, "api-key", "two")
	v.put(s, "other", "three")
	info, err := os.Stat(v.file)
	v.check(err)
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode of the key file: got %v", got)
	}
	s = v.open()
	v.check(s.Check(t.Context()))
	v.wantValue(s, "api-key", "two")
	list, next, err := s.List(t.Context(), v.app, cloud.Page{Limit: 1})
	if err != nil || len(list) != 1 || list[0].Name != "api-key" || next != "api-key" {
		t.Errorf("first page: got %v %q %v", list, next, err)
	}
	list, next, err = s.List(t.Context(), v.app, cloud.Page{Cursor: next})
	if err != nil || len(list) != 1 || list[0].Name != "other" || next != "" {
		t.Errorf("second page: got %v %q %v", list, next, err)
	}
	v.check(s.Delete(t.Context(), v.app, "api-key"))
	v.wantKind(s.Delete(t.Context(), v.app, "api-key"), cloud.NotFound, "")
	if _, ok, err := s.Get(t.Context(), v.app, "api-key"); ok || err != nil {
		t.Errorf("a deleted one: got %v %v", ok, err)
	}
}

func TestSecretsRefuse(t *testing.T) {
	v := newVault(t)
	s := v.open()
	for _, name := range []string{"", "a b", "a/b", "ü", strings.Repeat("a", MaxSecretName+1)} {
		_, err := s.Put(t.Context(), v.app, name, "x")
		v.wantKind(err, cloud.Invalid, "name of a secret")
	}
	for _, value := range []string{"", strings.Repeat("x", MaxSecretValue+1), "\xff"} {
		_, err := s.Put(t.Context(), v.app, "a", value)
		v.wantKind(err, cloud.Invalid, "value")
	}
	_, err := s.Put(t.Context(), cloud.NewID[cloud.AppID](), "a", "x")
	v.wantKind(err, cloud.NotFound, "app")
}

// What is stored tells nothing, and is bound to its place.
func TestSecretsAreSealed(t *testing.T) {
	v := newVault(t)
	s := v.open()
	other := cloud.NewID[cloud.AppID]()
	v.addApp(other)
	v.put(s, "a", "the value of a secret")
	var sealed []byte
	v.check(v.db.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT sealed FROM secrets`).Scan(&sealed)
	}))
	if bytes.Contains(sealed, []byte("value")) {
		t.Error("the value is stored as it is")
	}
	v.check(v.db.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		for _, x := range []struct {
			app  cloud.AppID
			name string
		}{{other, "a"}, {v.app, "b"}} {
			if _, err := tx.Exec(`INSERT INTO secrets SELECT ?, ?, key_id, created_at, updated_at, sealed FROM secrets WHERE app_id = ? AND name = 'a'`, x.app, x.name, v.app); err != nil {
				return err
			}
		}
		return nil
	}))
	_, _, err := s.Get(t.Context(), other, "a")
	v.wantKind(err, cloud.Conflict, "damaged")
	_, _, err = s.Get(t.Context(), v.app, "b")
	v.wantKind(err, cloud.Conflict, "damaged")
	v.wantValue(s, "a", "the value of a secret")
}

func TestMissingKey(t *testing.T) {
	v := newVault(t)
	v.put(v.open(), "a", "one")
	kept, err := os.ReadFile(v.file)
	v.check(err)
	v.check(os.Remove(v.file))

	s := v.open()
	v.wantKind(s.Check(t.Context()), cloud.Conflict, "1 secrets can't be read")
	_, _, err = s.Get(t.Context(), v.app, "a")
	v.wantKind(err, cloud.Conflict, "master key")
	_, err = s.Put(t.Context(), v.app, "b", "x")
	v.wantKind(err, cloud.Conflict, "restore master.key")
	if _, err := os.Stat(v.file); err == nil {
		t.Error("a key was made that would be in the way of the right one")
	}

	v.check(os.WriteFile(v.file, kept, 0o600))
	s = v.open()
	v.check(s.Check(t.Context()))
	v.wantValue(s, "a", "one")

	v.check(os.WriteFile(v.file, []byte("rubbish"), 0o600))
	s = v.open()
	v.wantKind(s.Check(t.Context()), cloud.Conflict, "32 random bytes")
	_, err = s.Put(t.Context(), v.app, "b", "x")
	v.wantKind(err, cloud.Conflict, "can't be read")

	// Who has lost the key for good deletes what can't be read, and begins anew.
	v.check(os.Remove(v.file))
	s = v.open()
	v.check(s.Delete(t.Context(), v.app, "a"))
	v.put(s, "a", "two")
	v.wantValue(v.open(), "a", "two")
}

func testKey(t *testing.T, b byte) *MasterKey {
	t.Helper()
	k, err := ParseMasterKey(hex.EncodeToString(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRotate(t *testing.T) {
	v := newVault(t)
	s := v.open()
	if _, err := s.Rotate(t.Context()); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("without a key: got %v", err)
	}
	for i := range rotateAtOnce + 1 {
		v.put(s, "s"+strings.Repeat("x", i%100)+string(rune('a'+i/100)), "value")
	}
	before, err := os.ReadFile(v.file)
	v.check(err)
	n, err := v.open().Rotate(t.Context())
	if n != rotateAtOnce+1 || err != nil {
		t.Fatalf("got %d %v", n, err)
	}
	after, err := os.ReadFile(v.file)
	v.check(err)
	if bytes.Contains(after, bytes.TrimPrefix(before, []byte(keyFileHead))) {
		t.Error("the former key is still there")
	}
	s = v.open()
	v.check(s.Check(t.Context()))
	v.wantValue(s, "sa", "value")
}

// A rotation that ends anywhere leaves secrets that can be read, and is taken up again with
// the key that it had begun with.
func TestRotateBrokenOff(t *testing.T) {
	v := newVault(t)
	s := v.open()
	for i := range 2*rotateAtOnce + 1 {
		v.put(s, "s"+strings.Repeat("x", i%100)+string(rune('a'+i/100)), "value")
	}
	s = v.open()
	v.check(s.addKey(true))
	v.wantValue(v.open(), "sa", "value") // after the file, before the first commit
	if n, err := s.sealAnew(t.Context()); n != rotateAtOnce || err != nil {
		t.Fatalf("got %d %v", n, err)
	}
	begun := s.keys[0].id
	s = v.open() // in between
	v.check(s.Check(t.Context()))
	v.wantValue(s, "sa", "value")
	v.wantValue(s, "sc", "value")
	if n, err := s.Rotate(t.Context()); n != 2*rotateAtOnce+1 || err != nil {
		t.Fatalf("got %d %v", n, err)
	}
	s = v.open()
	if len(s.keys) != 1 || s.keys[0].id != begun {
		t.Errorf("%d keys, want the one that the rotation began with", len(s.keys))
	}
	v.check(s.Check(t.Context()))
}

func TestRotateKeyOfSettings(t *testing.T) {
	v := newVault(t)
	old, next := testKey(t, 1), testKey(t, 2)
	s := v.open(old)
	v.put(s, "a", "one")
	if _, err := os.Stat(v.file); err == nil {
		t.Error("a key file was made beside the setting")
	}
	_, err := s.Rotate(t.Context())
	v.wantKind(err, cloud.Invalid, "PICLOUD_MASTER_KEY")
	s = v.open(next, old)
	v.wantValue(s, "a", "one")
	if n, err := s.Rotate(t.Context()); n != 1 || err != nil {
		t.Fatalf("got %d %v", n, err)
	}
	v.wantValue(v.open(next), "a", "one")
	_, err = v.open(old).Rotate(t.Context())
	v.wantKind(err, cloud.Conflict, "another master key")
}

func TestParseMasterKey(t *testing.T) {
	t.Parallel()
	b := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	want := testKey(t, 0).text
	for _, text := range []string{
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b),
		hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), " " + base64.RawURLEncoding.EncodeToString(b) + "\n",
	} {
		k, err := ParseMasterKey(text)
		if err != nil || k.text != base64.StdEncoding.EncodeToString(b) || k.text == want {
			t.Errorf("%q: got %v %v", text, k, err)
		}
	}
	for _, text := range []string{"", "correct horse battery staple correct horse", base64.StdEncoding.EncodeToString(b[:31]), hex.EncodeToString(b[:31]), base64.StdEncoding.EncodeToString(append(b, 1)), strings.Repeat("g", 64)} {
		if _, err := ParseMasterKey(text); cloud.KindOf(err) != cloud.Invalid || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v, want invalid, and no word of the key", text, err)
		}
	}
}

func FuzzParseMasterKey(f *testing.F) {
	f.Add(strings.Repeat("A", 43) + "=")
	f.Add(strings.Repeat("0f", 32))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseMasterKey(text)
		if err != nil {
			return
		}
		again, err := ParseMasterKey(k.text)
		if err != nil || again.id != k.id {
			t.Errorf("%q: read again it is %v %v", text, again, err)
		}
	})
}

// A comment longer than a scanner's buffer once ended the list of keys, so that secrets sealed
// with a former one could not be read.
func TestKeyFileWithALongLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), KeyFile)
	var text string
	for range 2 {
		k, err := randomMasterKey()
		if err != nil {
			t.Fatal(err)
		}
		text += k.text + "\n# " + strings.Repeat("x", 100_000) + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if keys, err := readKeyFile(path); err != nil || len(keys) != 2 {
		t.Errorf("got %d keys, %v; want 2", len(keys), err)
	}
}
