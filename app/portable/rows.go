package portable

import (
	"database/sql"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// row has the values of a table's columns, in their order: int64, float64, string, []byte or nil.
type row []any

// each calls f with the app's rows of a table. The row is f's to keep.
func (t *table) each(rx *db.Rx, app cloud.AppID, f func(row) error) error {
	w := t.walk(rx, app)
	defer w.close()
	for w.next(); w.row != nil; w.next() {
		if err := f(w.row); err != nil {
			return err
		}
	}
	return w.err
}

// walker is a place among an app's rows; row is nil at the end, and err then says why.
type walker struct {
	t    *table
	rows *sql.Rows
	row  row
	err  error
}

// walk begins before the first row.
func (t *table) walk(rx *db.Rx, app cloud.AppID) *walker {
	rows, err := rx.Query(t.read(), app)
	if err != nil {
		return &walker{t: t, err: fmt.Errorf("read %s: %w", t.name, err)}
	}
	return &walker{t: t, rows: rows}
}

func (w *walker) next() {
	w.row = nil
	if w.err != nil {
		return
	}
	if !w.rows.Next() {
		if err := w.rows.Err(); err != nil {
			w.err = fmt.Errorf("read %s: %w", w.t.name, err)
		}
		return
	}
	r, at := make(row, len(w.t.cols)), make([]any, len(w.t.cols))
	for i := range r {
		at[i] = &r[i]
	}
	if err := w.rows.Scan(at...); err != nil {
		w.err = fmt.Errorf("read %s: %w", w.t.name, err)
		return
	}
	w.t.normalize(r)
	w.row = r
}

func (w *walker) close() {
	if w.rows != nil {
		w.rows.Close()
	}
}

// normalize makes both drivers' values alike, and begins anew what is fresh.
func (t *table) normalize(r row) {
	for i, c := range t.cols {
		switch v := r[i].(type) {
		case []byte:
			if c.kind == "TEXT" {
				r[i] = string(v)
			}
		case string:
			if c.kind == "BLOB" {
				r[i] = []byte(v)
			}
		}
	}
	for _, name := range fresh[t.name] {
		if n := t.index(name); n >= 0 {
			r[n] = nil
		}
	}
}

// put inserts a row.
func (t *table) put(tx *db.Tx, r row) error {
	_, err := tx.Exec(t.insert(), r...)
	switch {
	case err == nil:
		return nil
	case db.IsUnique(err):
		return cloud.Errorf(cloud.Conflict, "a row of %s stands in the way: nothing was changed", t.name).WithCause(err)
	case db.IsForeignKey(err):
		return cloud.Errorf(cloud.Invalid, "the file is not whole: a row of %s refers to one that is missing", t.name).WithCause(err)
	}
	return fmt.Errorf("write %s: %w", t.name, err)
}

// id is a value that can be an id.
func id(v any) (cloud.AppID, bool) {
	b, ok := v.([]byte)
	if !ok || len(b) != len(cloud.AppID{}) {
		return cloud.AppID{}, false
	}
	return cloud.AppID(b), true
}
