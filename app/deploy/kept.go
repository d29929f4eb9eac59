package deploy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"picloud/app/cloud"
	"picloud/db"
)

// Deployment is one that is kept.
type Deployment struct {
	Number    int          `json:"number"`
	Restores  int          `json:"restores"` // number of the deployment whose state this is: its own, but for a rollback
	Note      string       `json:"note"`
	UserID    cloud.UserID `json:"user_id"`
	Username  string       `json:"username"`
	CreatedAt cloud.Time   `json:"created_at"`
	Functions []string     `json:"functions"`
}

// kept is a deployment with its state. A nil one is that before the first.
type kept struct {
	Deployment
	state []byte // JSON of []*stored
	has   []*stored
}

// stored is a function as the table keeps it: without its source, and without what only says
// when and how often it was saved.
type stored struct {
	File     string           `json:"file"`
	Script   cloud.Script     `json:"script"`
	Source   string           `json:"source"` // SHA-256, in hexadecimal: the key of deployed_sources
	Routes   []cloud.Route    `json:"routes"`
	Triggers []*storedTrigger `json:"triggers"`
}

// storedTrigger keeps the filter of any kind under the name of its field in cloud.Trigger.
type storedTrigger struct {
	cloud.Trigger
	Filters map[string]json.RawMessage `json:"filters"`
}

// owned are the ids of the scripts, routes and triggers that are a project's.
type owned map[[16]byte]bool

func ownedBy(functions []*Function) owned {
	ids := owned{}
	for _, f := range functions {
		ids[[16]byte(f.Script.ID)] = true
		for _, r := range f.Routes {
			ids[[16]byte(r.ID)] = true
		}
		for _, t := range f.Triggers {
			ids[[16]byte(t.ID)] = true
		}
	}
	return ids
}

func (k *kept) owned() owned {
	ids := owned{}
	if k == nil {
		return ids
	}
	for _, f := range k.has {
		ids[[16]byte(f.Script.ID)] = true
		for _, r := range f.Routes {
			ids[[16]byte(r.ID)] = true
		}
		for _, t := range f.Triggers {
			ids[[16]byte(t.ID)] = true
		}
	}
	return ids
}

func (k *kept) number() int {
	if k == nil {
		return 0
	}
	return k.Number
}

// file is where the author of a script has it.
func (k *kept) file(id cloud.ScriptID) string {
	if k == nil {
		return ""
	}
	for _, f := range k.has {
		if f.Script.ID == id {
			return f.File
		}
	}
	return ""
}

// encode writes functions in an order of its own, so that the same state is the same text.
func encode(functions []*Function) ([]byte, error) {
	all := make([]*stored, 0, len(functions))
	for _, f := range functions {
		s, err := store(f)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stored) int { return cmp.Compare(a.Script.Name, b.Script.Name) })
	return json.Marshal(all)
}

func store(f *Function) (*stored, error) {
	s := &stored{File: f.File, Script: *f.Script, Source: hash(f.Script.Source), Routes: []cloud.Route{}, Triggers: []*storedTrigger{}}
	s.Script.Source, s.Script.Version, s.Script.CreatedAt, s.Script.UpdatedAt = "", 0, 0, 0
	for _, r := range f.Routes {
		route := *r
		route.CreatedAt = 0
		s.Routes = append(s.Routes, route)
	}
	for _, t := range f.Triggers {
		st := &storedTrigger{Trigger: *t, Filters: map[string]json.RawMessage{}}
		st.CreatedAt, st.UpdatedAt = 0, 0
		for name, filter := range filters(t) {
			if filter.IsNil() {
				continue
			}
			b, err := json.Marshal(filter.Interface())
			if err != nil {
				return nil, fmt.Errorf("encode the filter of a trigger: %w", err)
			}
			st.Filters[name] = b
		}
		s.Triggers = append(s.Triggers, st)
	}
	slices.SortFunc(s.Routes, func(a, b cloud.Route) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	slices.SortFunc(s.Triggers, func(a, b *storedTrigger) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return s, nil
}

// restore is the function that store was given, but for its source.
func (s *stored) restore(source string) (*Function, error) {
	script := s.Script
	script.Source = source
	f := &Function{File: s.File, Script: &script}
	for _, r := range s.Routes {
		f.Routes = append(f.Routes, &r)
	}
	for _, st := range s.Triggers {
		t := st.Trigger
		to := filters(&t)
		for name, raw := range st.Filters {
			if !to[name].IsValid() {
				return nil, fmt.Errorf("a trigger of the kind %q has a filter that this version doesn't know", t.Kind)
			}
			if err := json.Unmarshal(raw, to[name].Addr().Interface()); err != nil {
				return nil, fmt.Errorf("decode the filter of a trigger: %w", err)
			}
		}
		f.Triggers = append(f.Triggers, &t)
	}
	return f, nil
}

func hash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:])
}

const keptColumns = "number, restores, note, user_id, username, created_at, state"

func scanKept(row interface{ Scan(...any) error }) (*kept, error) {
	var k kept
	if err := row.Scan(&k.Number, &k.Restores, &k.Note, &k.UserID, &k.Username, &k.CreatedAt, &k.state); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(k.state, &k.has); err != nil {
		return nil, fmt.Errorf("decode deployment %d: %w", k.Number, err)
	}
	k.Functions = []string{}
	for _, f := range k.has {
		k.Functions = append(k.Functions, f.Script.Name)
	}
	return &k, nil
}

// newest is the state that is in force, nil before the first deployment.
func newest(rx *db.Rx, app cloud.AppID) (*kept, error) {
	k, err := scanKept(rx.QueryRow("SELECT "+keptColumns+" FROM deployments WHERE app_id = ? ORDER BY number DESC LIMIT 1", app))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return k, err
}

// Deployments lists those that are kept, newest first.
func (d *Deployer) Deployments(ctx context.Context, app cloud.AppID) (found []*Deployment, err error) {
	err = d.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query("SELECT "+keptColumns+" FROM deployments WHERE app_id = ? ORDER BY number DESC", app)
		if err != nil {
			return fmt.Errorf("list deployments: %w", err)
		}
		defer rows.Close()
		found = []*Deployment{}
		for rows.Next() {
			k, err := scanKept(rows)
			if err != nil {
				return err
			}
			found = append(found, &k.Deployment)
		}
		return rows.Err()
	})
	return found, err
}

// keep stores the state that was just applied and answers its number. What was there before
// and was not what the deployment before had left, because people had their hands on it, is
// kept first: so a rollback brings that back, too.
func (d *Deployer) keep(tx *db.Tx, by *cloud.Principal, p *plan, note string, restores int) (int, error) {
	found, err := encode(p.found)
	if err != nil {
		return 0, err
	}
	number := p.before.last.number() + 1
	if len(p.found) > 0 && (p.before.last == nil || !bytes.Equal(found, p.before.last.state)) {
		if err := insert(tx, p, &kept{Deployment: Deployment{Number: number, Restores: number, Note: "as it was found"}, state: found}, p.found); err != nil {
			return 0, err
		}
		number++
	}
	k := &kept{Deployment: Deployment{Number: number, Restores: cmp.Or(restores, number), Note: note}}
	if by != nil {
		k.UserID, k.Username = by.User, by.Username
	}
	if k.state, err = encode(p.functions); err != nil {
		return 0, err
	}
	if err := insert(tx, p, k, p.functions); err != nil {
		return 0, err
	}
	return number, trim(tx, p.app, number)
}

func insert(tx *db.Tx, p *plan, k *kept, functions []*Function) error {
	_, err := tx.Exec("INSERT INTO deployments (app_id, "+keptColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		p.app, k.Number, k.Restores, k.Note, k.UserID, k.Username, cloud.TimeOf(tx.Now), string(k.state))
	if err != nil {
		return fmt.Errorf("keep the deployment: %w", err)
	}
	for _, f := range functions {
		_, err := tx.Exec("INSERT INTO deployed_sources (app_id, hash, source) VALUES (?, ?, ?) ON CONFLICT (app_id, hash) DO NOTHING",
			p.app, hash(f.Script.Source), f.Script.Source)
		if err != nil {
			return fmt.Errorf("keep a source: %w", err)
		}
	}
	return nil
}

// trim forgets deployments that are too old, and the sources that no other has.
func trim(tx *db.Tx, app cloud.AppID, number int) error {
	res, err := tx.Exec("DELETE FROM deployments WHERE app_id = ? AND number <= ?", app, number-Kept)
	if err != nil {
		return fmt.Errorf("delete old deployments: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.Exec(`DELETE FROM deployed_sources WHERE app_id = ? AND hash NOT IN (
		SELECT f.value ->> 'source' FROM deployments d, json_each(d.state) f WHERE d.app_id = ?)`, app, app)
	if err != nil {
		return fmt.Errorf("delete old sources: %w", err)
	}
	return nil
}

// sources are those that a state names.
func (k *kept) sources(rx *db.Rx, app cloud.AppID) (map[string]string, error) {
	found := map[string]string{}
	for _, f := range k.has {
		var source string
		if err := rx.QueryRow("SELECT source FROM deployed_sources WHERE app_id = ? AND hash = ?", app, f.Source).Scan(&source); err != nil {
			return nil, fmt.Errorf("read a deployed source: %w", err)
		}
		found[f.Source] = source
	}
	return found, nil
}
