package portable

import (
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// people are the users of a database by their id.
type people map[cloud.UserID]string

func readPeople(rx *db.Rx) (people, error) {
	rows, err := rx.Query("SELECT id, username FROM users")
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer rows.Close()
	p := people{}
	for rows.Next() {
		var u cloud.UserID
		var name string
		if err := rows.Scan(&u, &name); err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		p[u] = name
	}
	return p, rows.Err()
}

// named is somebody of p, if a value is their id.
func (p people) named(v any) (u cloud.UserID, ok bool) {
	b, isID := id(v)
	if !isID {
		return u, false
	}
	_, ok = p[cloud.UserID(b)]
	return cloud.UserID(b), ok
}

// local finds the user of that name; zero when there is none.
func local(rx *db.Rx, name string) (cloud.UserID, error) {
	var u cloud.UserID
	rows, err := rx.Query("SELECT id FROM users WHERE username = ?", name)
	if err != nil {
		return u, fmt.Errorf("find a user: %w", err)
	}
	defer rows.Close()
	if rows.Next() {
		if err := rows.Scan(&u); err != nil {
			return u, fmt.Errorf("find a user: %w", err)
		}
	}
	return u, rows.Err()
}

// stub writes a user into a file: a name to be recognized by, nobody who could log in.
func stub(tx *db.Tx, u cloud.UserID, name string) error {
	now := cloud.TimeOf(tx.Now)
	_, err := tx.Exec(`INSERT INTO users (id, username, password_hash, instance_role, is_active, created_at, updated_at)
		VALUES (?, ?, '', 'member', 0, ?, ?)`, u, name, now, now)
	if err != nil {
		return fmt.Errorf("write a user: %w", err)
	}
	return nil
}
