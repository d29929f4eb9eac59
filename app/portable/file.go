package portable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/schema"
)

// File is an export, or any copy of a picloud.db, to take an app from. One goroutine at a
// time uses it.
type File struct {
	db   *db.DB
	snap *db.Snapshot

	App    cloud.AppID // the app to take
	Slug   string      // what it was called
	Name   string
	Detail string // its description
	Quotas string // JSON
}

// Open opens a file of this or an earlier version, which is brought to this one: the file is
// changed, so it must be the caller's own copy. app is the slug or id of the app to take, ""
// for the only one. Whatever isn't a whole database with the tables of like is Invalid.
func Open(ctx context.Context, path, app string, like *db.DB) (_ *File, err error) {
	d, err := db.Open(ctx, path, db.Options{Schema: schema.State, Durability: db.Relaxed, Readers: 2})
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || db.IsFull(err) || ctx.Err() != nil {
			return nil, err
		}
		return nil, cloud.Errorf(cloud.Invalid, "the file can't be used: it is no export and no copy of a picloud.db, or one of a newer PiCloud").WithCause(err)
	}
	f := &File{db: d}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if err := d.IntegrityCheck(ctx); err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "the file is damaged: export the app again, or take an earlier copy").WithCause(err)
	}
	if f.snap, err = d.Snapshot(ctx); err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, f.snap.Rx, like); err != nil {
		return nil, err
	}
	if err := f.choose(app); err != nil {
		return nil, err
	}
	return f, nil
}

// Close ends the use of the file. It may be called twice.
func (f *File) Close() error {
	var err error
	if f.snap != nil {
		err = f.snap.Close()
	}
	if f.db != nil {
		err = errors.Join(err, f.db.Close())
		f.db = nil
	}
	return err
}

// choose finds the app to take.
func (f *File) choose(app string) error {
	rows, err := f.snap.Query("SELECT id, slug, name, description, quotas FROM apps ORDER BY slug")
	if err != nil {
		return fmt.Errorf("read the file's apps: %w", err)
	}
	defer rows.Close()
	var slugs []string
	found := false
	for rows.Next() {
		var a File
		if err := rows.Scan(&a.App, &a.Slug, &a.Name, &a.Detail, &a.Quotas); err != nil {
			return fmt.Errorf("read the file's apps: %w", err)
		}
		slugs = append(slugs, a.Slug)
		if app == "" && len(slugs) == 1 || a.Slug == app || a.App.String() == app {
			f.App, f.Slug, f.Name, f.Detail, f.Quotas = a.App, a.Slug, a.Name, a.Detail, a.Quotas
			found = true
		}
	}
	switch {
	case rows.Err() != nil:
		return fmt.Errorf("read the file's apps: %w", rows.Err())
	case len(slugs) == 0:
		return cloud.Errorf(cloud.Invalid, "the file has no app")
	case !found:
		return cloud.Errorf(cloud.NotFound, "the file has no app %q: it has %s", app, strings.Join(slugs, ", "))
	case app == "" && len(slugs) > 1:
		return cloud.Errorf(cloud.Invalid, "the file has several apps, say which: %s", strings.Join(slugs, ", "))
	}
	return nil
}

// checkSchema refuses a file whose schema isn't exactly ours: nothing else of it may be run,
// such as a trigger of SQL that somebody put into it.
func checkSchema(ctx context.Context, rx *db.Rx, like *db.DB) error {
	got, err := texts(rx, wholeSchema)
	if err != nil {
		return fmt.Errorf("read the file's schema: %w", err)
	}
	var want []string
	err = like.View(ctx, func(_ context.Context, rx *db.Rx) error {
		want, err = texts(rx, wholeSchema)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if !slices.Equal(got, want) {
		return cloud.Errorf(cloud.Invalid, "the file's tables are not those of a picloud.db")
	}
	return nil
}

const wholeSchema = `SELECT type || ' ' || name || ' ' || COALESCE(sql, '') FROM sqlite_schema WHERE ` + ours + ` ORDER BY 1`
