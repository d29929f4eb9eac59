package portable

import (
	"crypto/rand"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// Options of Import.
type Options struct {
	By        cloud.UserID // who imports: triggers run as them
	Slug      string       // "": that of the file
	Name      string       // "": that of the file
	Members   bool         // give users of the same name the roles that they had
	LeaveWork bool         // leave out what waited to run
	SkipTaken bool         // leave out hosts that another app has claimed; else they are a Conflict

	// Opens reports whether secrets that were sealed with the master key of that id can be
	// opened here; others are left out. nil: none can.
	Opens func(keyID string) bool
}

// Imported says what Import did.
type Imported struct {
	App     cloud.AppID    `json:"-"`
	Rows    map[string]int `json:"rows"`    // by table
	Skipped []string       `json:"skipped"` // what was left out, and why
}

// NewID is the id that the app of a file gets: its own if that is free, which makes a moved
// app's addresses stay what they were, else another.
func NewID(rx *db.Rx, f *File) (cloud.AppID, error) {
	var taken bool
	if err := rx.QueryRow("SELECT EXISTS (SELECT 1 FROM apps WHERE id = ?)", f.App).Scan(&taken); err != nil {
		return cloud.AppID{}, fmt.Errorf("look for the app: %w", err)
	}
	if taken {
		return cloud.NewID[cloud.AppID](), nil
	}
	return f.App, nil
}

// Import puts the app of a file into the database as app, whose row is there and which has
// nothing else. It is one part of a transaction: an error means that all of it must be undone.
func Import(tx *db.Tx, f *File, app cloud.AppID, o Options) (*Imported, error) {
	all, err := tables(f.snap.Rx)
	if err != nil {
		return nil, err
	}
	m := &remap{app: f.App, by: o.By}
	if app != f.App {
		o.Opens = nil // secrets are bound to the app's id
		m.nonce = make([]byte, 16)
		_, _ = rand.Read(m.nonce)
		if err := m.collect(f.snap.Rx, all); err != nil {
			return nil, err
		}
	}
	if err := m.meet(tx, f.snap.Rx); err != nil {
		return nil, err
	}
	in := &insertion{tx: tx, app: app, skip: o.SkipTaken, opens: o.Opens, done: &Imported{App: app, Rows: map[string]int{}, Skipped: []string{}}}
	for _, t := range all {
		if t.work && o.LeaveWork {
			continue
		}
		err := t.each(f.snap.Rx, f.App, func(r row) error {
			m.row(&t, r)
			if n := t.index("app_id"); n >= 0 {
				r[n] = app[:]
			}
			return in.put(&t, r)
		})
		if err != nil {
			return nil, err
		}
	}
	if o.Members {
		if err := m.members(tx, f, app); err != nil {
			return nil, err
		}
	}
	return in.done, checkTriggers(tx.Rx, app)
}

// meet finds the file's users among those of this instance, by name.
func (m *remap) meet(tx *db.Tx, file *db.Rx) (err error) {
	if m.people, err = readPeople(file); err != nil {
		return err
	}
	m.users = map[cloud.UserID]cloud.UserID{}
	for u, name := range m.people {
		here, err := local(tx.Rx, name)
		if err != nil {
			return err
		}
		if !here.IsZero() {
			m.users[u] = here
		}
	}
	return nil
}

func (m *remap) members(tx *db.Tx, f *File, app cloud.AppID) error {
	list, err := readMembers(f.snap.Rx, f.App)
	if err != nil {
		return err
	}
	for _, one := range list {
		here, ok := m.users[one.user]
		if !ok {
			continue
		}
		one.user = here
		if err := one.put(tx, app); err != nil {
			return err
		}
	}
	return nil
}

// insertion puts rows into the database.
type insertion struct {
	tx    *db.Tx
	app   cloud.AppID
	skip  bool // leave out what another app has
	opens func(keyID string) bool
	done  *Imported
}

func (in *insertion) put(t *table, r row) error {
	if err := check(t, r); err != nil {
		return err
	}
	skipped, err := in.leave(t, r)
	if skipped != "" {
		in.done.Skipped = append(in.done.Skipped, skipped)
	}
	if err != nil || skipped != "" {
		return err
	}
	if err := t.put(in.tx, r); err != nil {
		return err
	}
	in.done.Rows[t.name]++
	return nil
}

// leave says why a row is to be left out, "" for one that is to come along.
func (in *insertion) leave(t *table, r row) (string, error) {
	text := func(column string) string {
		s, _ := r[t.index(column)].(string)
		return s
	}
	switch t.name {
	case "secrets":
		if in.opens == nil || !in.opens(text("key_id")) {
			return "secret " + text("name") + ": it can't be opened here, set it again", nil
		}
	case "domains":
		host := text("host")
		taken, err := in.taken(host)
		if err != nil || !taken {
			return "", err
		}
		if !in.skip {
			return "", cloud.Errorf(cloud.Conflict, "another app has claimed the domain %s: give it back there, or leave out what is taken (skip_taken)", host)
		}
		return "domain " + host + ": another app has claimed it", nil
	}
	return "", nil
}

// taken reports that another app has claimed a host.
func (in *insertion) taken(host string) (taken bool, err error) {
	err = in.tx.QueryRow("SELECT EXISTS (SELECT 1 FROM domains WHERE host = ? AND app_id <> ?)", host, in.app).Scan(&taken)
	if err != nil {
		return false, fmt.Errorf("look for the owner of a host: %w", err)
	}
	return taken, nil
}
