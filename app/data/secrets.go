package data

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// Bounds of secrets.
const (
	MaxSecretName  = 128      // bytes
	MaxSecretValue = 64 << 10 // bytes
	MaxSecrets     = 500      // of one app
)

// SecretsOptions of NewSecrets.
type SecretsOptions struct {
	Keys   []*MasterKey // from a setting: the one in use, then former ones; none: File has them
	File   string       // path of the key file, made with the first secret
	Logger *slog.Logger // slog.Default
}

// Secrets are the apps' secrets. They are encrypted with the master key, bound to their app
// and name; what the database holds is of no use without it.
type Secrets struct {
	db  *db.DB
	o   SecretsOptions
	log *slog.Logger

	mu    sync.Mutex // guards what follows, and is held while a first key is made
	keys  []*MasterKey
	wrong error // why the key file can't be read
}

// NewSecrets makes the store. It works without its keys too, but reads nothing then: Check
// tells.
func NewSecrets(d *db.DB, o SecretsOptions) *Secrets {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Secrets{db: d, o: o, log: o.Logger, keys: o.Keys}
	if len(s.keys) == 0 {
		s.keys, s.wrong = readKeyFile(o.File)
		s.checkMode()
	}
	return s
}

// checkMode warns when others on the machine may read the key file.
func (s *Secrets) checkMode() {
	info, err := os.Stat(s.o.File)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		s.log.Warn("others on this machine may read the master key: chmod 600 it", "file", KeyFile, "mode", info.Mode().Perm().String())
	}
}

// Secret is one without its value.
type Secret struct {
	Name      string     `json:"name"`
	UpdatedAt cloud.Time `json:"updated_at"`
}

// place is what a secret is bound to: moved to another app or name it can't be opened.
func place(app cloud.AppID, name string) []byte {
	return append(append([]byte("secret\x00"), app[:]...), name...)
}

func checkSecretName(name string) error {
	bad := func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if name == "" || len(name) > MaxSecretName || strings.ContainsFunc(name, bad) {
		return cloud.Errorf(cloud.Invalid, "the name of a secret has 1 to %d of the characters A-Z, a-z, 0-9, _, - and .", MaxSecretName)
	}
	return nil
}

// List lists the names of an app's secrets in their order.
func (s *Secrets) List(ctx context.Context, app cloud.AppID, p cloud.Page) (list []Secret, next string, err error) {
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		list = nil
		rows, err := rx.Query(`SELECT name, updated_at FROM secrets WHERE app_id = ? AND name > ? ORDER BY name LIMIT ?`, app, p.Cursor, p.Clamp()+1)
		if err != nil {
			return fmt.Errorf("list secrets: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var x Secret
			if err := rows.Scan(&x.Name, (*int64)(&x.UpdatedAt)); err != nil {
				return err
			}
			list = append(list, x)
		}
		return rows.Err()
	})
	if len(list) > p.Clamp() {
		list = list[:p.Clamp()]
		next = list[len(list)-1].Name
	}
	return list, next, err
}

// Put stores a secret, over an earlier value.
func (s *Secrets) Put(ctx context.Context, app cloud.AppID, name, value string) (x Secret, err error) {
	if err := checkSecretName(name); err != nil {
		return x, err
	}
	if value == "" || len(value) > MaxSecretValue || !utf8.ValidString(value) {
		return x, cloud.Errorf(cloud.Invalid, "value: a secret is a text of 1 to %d bytes", MaxSecretValue)
	}
	key, err := s.sealing(ctx)
	if err != nil {
		return x, err
	}
	sealed := key.seal([]byte(value), place(app, name))
	err = s.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		x = Secret{Name: name, UpdatedAt: cloud.TimeOf(tx.Now)}
		return putSecret(tx, app, x, key.id, sealed)
	})
	return x, err
}

func putSecret(tx *db.Tx, app cloud.AppID, x Secret, keyID string, sealed []byte) error {
	var others int
	if err := tx.QueryRow(`SELECT count(*) FROM secrets WHERE app_id = ? AND name != ?`, app, x.Name).Scan(&others); err != nil {
		return fmt.Errorf("count secrets: %w", err)
	}
	if others >= MaxSecrets {
		return cloud.Errorf(cloud.Conflict, "the app has %d secrets, which is as many as it may have: delete one first", MaxSecrets)
	}
	_, err := tx.Exec(`INSERT INTO secrets (app_id, name, key_id, created_at, updated_at, sealed) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (app_id, name) DO UPDATE SET key_id = excluded.key_id, updated_at = excluded.updated_at, sealed = excluded.sealed`,
		app, x.Name, keyID, int64(x.UpdatedAt), int64(x.UpdatedAt), sealed)
	if db.IsForeignKey(err) {
		return cloud.Errorf(cloud.NotFound, "the app does not exist any more")
	}
	if err != nil {
		return fmt.Errorf("store a secret: %w", err)
	}
	return nil
}

// Delete removes a secret; it needs no key.
func (s *Secrets) Delete(ctx context.Context, app cloud.AppID, name string) error {
	return s.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		res, err := tx.Exec(`DELETE FROM secrets WHERE app_id = ? AND name = ?`, app, name)
		if err != nil {
			return fmt.Errorf("delete a secret: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return cloud.Errorf(cloud.NotFound, "the app has no secret of that name")
	})
}

// Get is the value of a secret, for scripts alone; ok is false when there is none. The error
// is Conflict when the key that it was stored with is not there.
func (s *Secrets) Get(ctx context.Context, app cloud.AppID, name string) (value string, ok bool, err error) {
	var keyID string
	var sealed []byte
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT key_id, sealed FROM secrets WHERE app_id = ? AND name = ?`, app, name).Scan(&keyID, &sealed)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read a secret: %w", err)
	}
	key := s.key(keyID)
	if key == nil {
		return "", false, cloud.Errorf(cloud.Conflict, "the secret %s can't be read: this instance does not have the master key that it was stored with", name)
	}
	text, err := key.open(sealed, place(app, name))
	if err != nil {
		return "", false, cloud.Errorf(cloud.Conflict, "the secret %s can't be read: what is stored is damaged, so set it anew", name).WithCause(err)
	}
	return string(text), true, nil
}

// Opens reports whether the master key of that id is there.
func (s *Secrets) Opens(keyID string) bool { return s.key(keyID) != nil }

// key is the one with that id, nil when it isn't there.
func (s *Secrets) key(id string) *MasterKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// sealing is the key for new secrets. The first secret makes it; but not when there are
// secrets already whose key is missing: who restores that key would lose the new one.
func (s *Secrets) sealing(ctx context.Context) (*MasterKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) > 0 {
		return s.keys[0], nil
	}
	if s.wrong != nil {
		return nil, cloud.Errorf(cloud.Conflict, "the master key can't be read: see the instance's log").WithCause(s.wrong)
	}
	if n, err := s.count(ctx); err != nil {
		return nil, err
	} else if n > 0 {
		return nil, cloud.Errorf(cloud.Conflict, "the master key of the secrets that are stored is missing: restore %s, or delete those secrets first", KeyFile)
	}
	if _, err := os.Stat(s.o.File); !errors.Is(err, fs.ErrNotExist) {
		return nil, cloud.Errorf(cloud.Conflict, "a %s has appeared while the instance runs: restart it", KeyFile)
	}
	k, err := randomMasterKey()
	if err != nil {
		return nil, err
	}
	if err := writeKeyFile(s.o.File, []*MasterKey{k}); err != nil {
		return nil, err
	}
	s.log.Info("made the master key of secrets: keep a copy of it elsewhere, no backup of picloud.db has it", "file", KeyFile)
	s.keys = []*MasterKey{k}
	return k, nil
}

func (s *Secrets) count(ctx context.Context) (n int, err error) {
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT count(*) FROM secrets`).Scan(&n)
	})
	return n, err
}

// Check tells what keeps secrets from being read; nil when all can be.
func (s *Secrets) Check(ctx context.Context) error {
	missing := 0
	err := s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		missing = 0
		rows, err := rx.Query(`SELECT key_id, count(*) FROM secrets GROUP BY key_id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var n int
			if err := rows.Scan(&id, &n); err != nil {
				return err
			}
			if s.key(id) == nil {
				missing += n
			}
		}
		return rows.Err()
	})
	switch {
	case err != nil:
		return fmt.Errorf("check the secrets' keys: %w", err)
	case missing > 0 && s.wrong != nil:
		return cloud.Errorf(cloud.Conflict, "%d secrets can't be read: %s; put the right master key there and restart", missing, s.wrong)
	case missing > 0:
		return cloud.Errorf(cloud.Conflict, "%d secrets can't be read, for they were stored with another master key: restore the %s (or PICLOUD_MASTER_KEY) that belongs to this database and restart, or set those secrets anew", missing, KeyFile)
	case s.wrong != nil:
		return cloud.Errorf(cloud.Conflict, "the master key can't be used: %s", s.wrong)
	}
	return nil
}
