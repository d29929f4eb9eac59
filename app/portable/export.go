package portable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/schema"
)

// appColumns are what a file keeps of the app itself.
const appColumns = "id, slug, name, description, quotas, created_at, updated_at"

// Export writes one app with all of its data to a file that must not exist yet: a database of
// the same schema with this app alone. from is one consistent snapshot. Keys and sessions
// stay behind; people are in it by name only.
func Export(ctx context.Context, from *db.Snapshot, app cloud.AppID, path string) (err error) {
	file, err := db.Open(ctx, path, db.Options{Schema: schema.State, Durability: db.Relaxed})
	if err != nil {
		return fmt.Errorf("make the export: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := file.Update(ctx, func(_ context.Context, tx *db.Tx) error { return export(tx, from.Rx, app) }); err != nil {
		return err
	}
	return file.Checkpoint(ctx)
}

func export(tx *db.Tx, from *db.Rx, app cloud.AppID) error {
	all, err := tables(from)
	if err != nil {
		return err
	}
	known, err := readPeople(from)
	if err != nil {
		return err
	}
	if err := copyApp(tx, from, app); err != nil {
		return err
	}
	seen := map[cloud.UserID]bool{}
	for _, t := range all {
		err := t.each(from, app, func(r row) error {
			for _, v := range r {
				if u, ok := known.named(v); ok {
					seen[u] = true
				}
			}
			return t.put(tx, r)
		})
		if err != nil {
			return err
		}
	}
	return exportMembers(tx, from, app, known, seen)
}

func copyApp(tx *db.Tx, from *db.Rx, app cloud.AppID) error {
	r := make([]any, 7)
	at := make([]any, len(r))
	for i := range r {
		at[i] = &r[i]
	}
	err := from.QueryRow("SELECT "+appColumns+" FROM apps WHERE id = ?", app).Scan(at...)
	if errors.Is(err, sql.ErrNoRows) {
		return cloud.Errorf(cloud.NotFound, "the app does not exist any more")
	}
	if err != nil {
		return fmt.Errorf("read the app: %w", err)
	}
	if _, err := tx.Exec("INSERT INTO apps ("+appColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)", r...); err != nil {
		return fmt.Errorf("write the app: %w", err)
	}
	return nil
}

// exportMembers writes the roles, and everybody who is mentioned.
func exportMembers(tx *db.Tx, from *db.Rx, app cloud.AppID, known people, seen map[cloud.UserID]bool) error {
	members, err := readMembers(from, app)
	if err != nil {
		return err
	}
	for _, m := range members {
		seen[m.user] = true
	}
	for u := range seen {
		if err := stub(tx, u, known[u]); err != nil {
			return err
		}
	}
	for _, m := range members {
		if err := m.put(tx, app); err != nil {
			return err
		}
	}
	return nil
}

type member struct {
	user    cloud.UserID
	role    string
	created cloud.Time
}

func readMembers(rx *db.Rx, app cloud.AppID) (list []member, err error) {
	rows, err := rx.Query("SELECT user_id, role, created_at FROM members WHERE app_id = ? ORDER BY user_id", app)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var m member
		if err := rows.Scan(&m.user, &m.role, &m.created); err != nil {
			return nil, fmt.Errorf("read members: %w", err)
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

func (m member) put(tx *db.Tx, app cloud.AppID) error {
	_, err := tx.Exec("INSERT INTO members (app_id, user_id, role, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", app, m.user, m.role, m.created)
	if err != nil {
		return fmt.Errorf("write a member: %w", err)
	}
	return nil
}
