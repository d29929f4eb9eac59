package data

import (
	"context"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// Rotate encrypts all secrets anew with another master key and answers how many there are. It
// may be broken off anywhere: both keys are kept until all is done, and the next call goes on.
// A key of the settings is changed there, to "new,old"; then Rotate does the rest.
func (s *Secrets) Rotate(ctx context.Context) (n int, err error) {
	if err := s.Check(ctx); err != nil {
		return 0, err
	}
	fromFile := len(s.o.Keys) == 0
	if err := s.addKey(fromFile); err != nil {
		return 0, err
	}
	for {
		some, err := s.sealAnew(ctx)
		if err != nil {
			return n, err
		}
		if some == 0 {
			break
		}
	}
	if n, err = s.count(ctx); err != nil {
		return n, err
	}
	if fromFile {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.keys = s.keys[:1]
		return n, writeKeyFile(s.o.File, s.keys)
	}
	return n, nil
}

// addKey puts a new key in front of the one in use, unless one is there from a rotation that
// was broken off.
func (s *Secrets) addKey(fromFile bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.keys) > 1:
		return nil
	case !fromFile:
		return cloud.Errorf(cloud.Invalid, "the master key is that of PICLOUD_MASTER_KEY: set it to the new key, a comma and the old key, then rotate, then take the old one out")
	case len(s.keys) == 0:
		return cloud.Errorf(cloud.NotFound, "there is no master key yet: the first secret makes it")
	}
	k, err := randomMasterKey()
	if err != nil {
		return err
	}
	keys := append([]*MasterKey{k}, s.keys...)
	if err := writeKeyFile(s.o.File, keys); err != nil {
		return err
	}
	s.keys = keys
	return nil
}

// rotateAtOnce bounds one transaction.
const rotateAtOnce = 100

type sealedSecret struct {
	app         cloud.AppID
	name, keyID string
	sealed      []byte
}

// sealAnew encrypts some secrets that have another key than the one in use, and says how many.
func (s *Secrets) sealAnew(ctx context.Context) (n int, err error) {
	to := s.keys[0]
	err = s.db.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		old, err := selectOtherKeys(tx.Rx, to.id)
		if err != nil {
			return fmt.Errorf("read secrets: %w", err)
		}
		for _, x := range old {
			text, err := s.key(x.keyID).open(x.sealed, place(x.app, x.name))
			if err != nil {
				return cloud.Errorf(cloud.Conflict, "the secret %s of the app %s is damaged: delete it first", x.name, x.app).WithCause(err)
			}
			_, err = tx.Exec(`UPDATE secrets SET key_id = ?, sealed = ? WHERE app_id = ? AND name = ?`, to.id, to.seal(text, place(x.app, x.name)), x.app, x.name)
			if err != nil {
				return fmt.Errorf("store a secret anew: %w", err)
			}
		}
		n = len(old)
		return nil
	})
	return n, err
}

func selectOtherKeys(rx *db.Rx, id string) (list []sealedSecret, err error) {
	rows, err := rx.Query(`SELECT app_id, name, key_id, sealed FROM secrets WHERE key_id != ? LIMIT ?`, id, rotateAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x sealedSecret
		if err := rows.Scan(&x.app, &x.name, &x.keyID, &x.sealed); err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, rows.Err()
}
