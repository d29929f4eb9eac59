package control

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// ScriptPatch changes what isn't nil.
type ScriptPatch struct {
	Name           *string       `json:"name"`
	Description    *string       `json:"description"`
	Source         *string       `json:"source"`
	Kind           *string       `json:"kind"` // can't be changed
	Engine         *string       `json:"engine"`
	Isolation      *string       `json:"isolation"`
	TimeoutSeconds *int          `json:"timeout_seconds"`
	Limits         *cloud.Limits `json:"limits"`
}

const (
	maxSource      = 1 << 20 // bytes
	maxTimeout     = 300     // seconds
	defaultTimeout = 30
)

var errNoScript = cloud.Errorf(cloud.NotFound, "no such script")

// checkScript fills in defaults and checks everything but the source's syntax.
func checkScript(s *cloud.Script) error {
	if s.Kind == "" {
		s.Kind = cloud.KindFunction
	}
	if s.Engine == "" {
		s.Engine = cloud.EngineQuickJS
	}
	if s.Isolation == "" {
		s.Isolation = cloud.IsolationWarm
	}
	if s.TimeoutSeconds == 0 {
		s.TimeoutSeconds = defaultTimeout
	}
	if err := errors.Join(checkName("name", s.Name), checkDescription(s.Description)); err != nil {
		return err
	}
	switch {
	case len(s.Source) > maxSource:
		return cloud.Errorf(cloud.TooLarge, "source: is longer than %d bytes", maxSource)
	case !utf8.ValidString(s.Source):
		return cloud.Errorf(cloud.Invalid, "source: is not UTF-8")
	case s.Source == "":
		return cloud.Errorf(cloud.Invalid, "source: is empty")
	case s.Kind != cloud.KindFunction && s.Kind != cloud.KindModule:
		return cloud.Errorf(cloud.Invalid, "kind: %q is unknown: it is %q or %q", s.Kind, cloud.KindFunction, cloud.KindModule)
	case s.Kind == cloud.KindModule && s.Engine != cloud.EngineQuickJS:
		return cloud.Errorf(cloud.Invalid, "engine: modules are for %q alone", cloud.EngineQuickJS)
	case s.Engine != cloud.EngineQuickJS && s.Engine != cloud.EngineOtto:
		return cloud.Errorf(cloud.Invalid, "engine: %q is unknown: it is %q or %q", s.Engine, cloud.EngineQuickJS, cloud.EngineOtto)
	case s.Isolation != cloud.IsolationWarm && s.Isolation != cloud.IsolationFresh:
		return cloud.Errorf(cloud.Invalid, "isolation: %q is unknown: it is %q or %q", s.Isolation, cloud.IsolationWarm, cloud.IsolationFresh)
	case s.TimeoutSeconds < 1 || s.TimeoutSeconds > maxTimeout:
		return cloud.Errorf(cloud.Invalid, "timeout_seconds: must be 1 to %d", maxTimeout)
	}
	return checkLimits(s.Limits)
}

func checkLimits(l cloud.Limits) error {
	for name, n := range map[string]int64{
		"operations": l.Operations, "memory_bytes": l.MemoryBytes, "stack_bytes": l.StackBytes, "output_bytes": l.OutputBytes,
		"log_bytes": l.LogBytes, "log_lines": l.LogLines, "writes": l.Writes, "write_bytes": l.WriteBytes,
	} {
		if n < 0 {
			return cloud.Errorf(cloud.Invalid, "limits.%s: can't be negative; leave it out for the instance's default", name)
		}
	}
	return nil
}

// compileScript checks the source outside of any transaction.
func (c *Control) compileScript(ctx context.Context, s *cloud.Script) error {
	if c.o.Compiler == nil {
		return errors.New("compile script: no compiler is set")
	}
	return c.o.Compiler.Check(ctx, s)
}

const scriptColumns = `s.id, s.app_id, s.name, s.description, s.source, s.kind, s.engine, s.isolation, s.timeout_seconds, s.limits, s.version, s.created_at, s.updated_at, a.slug
	FROM scripts s JOIN apps a ON a.id = s.app_id`

func scanScript(row interface{ Scan(...any) error }) (*cloud.Script, error) {
	var s cloud.Script
	var limits string
	err := row.Scan(&s.ID, &s.AppID, &s.Name, &s.Description, &s.Source, &s.Kind, &s.Engine, &s.Isolation, &s.TimeoutSeconds, &limits, &s.Version, &s.CreatedAt, &s.UpdatedAt, &s.AppSlug)
	if err != nil {
		return nil, err
	}
	return &s, json.Unmarshal([]byte(limits), &s.Limits)
}

func scriptByID(rx *db.Rx, id cloud.ScriptID) (*cloud.Script, error) {
	s, err := scanScript(rx.QueryRow("SELECT "+scriptColumns+" WHERE s.id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoScript
	}
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	return s, nil
}

// Script finds a script as it is now; NotFound when it is gone. It is shared: don't change
// it.
func (c *Control) Script(ctx context.Context, id cloud.ScriptID) (*cloud.Script, error) {
	return c.scripts.get(id, func() (s *cloud.Script, err error) {
		err = c.db.View(ctx, func(ctx context.Context, rx *db.Rx) error {
			if s, err = scriptByID(rx, id); err == nil {
				s.Linked, err = linked(rx, id)
			}
			return err
		})
		return s, err
	})
}

// ScriptTx is Script inside a transaction. A script that isn't in memory is read as the
// transaction sees it, without the modules that it imports.
func (c *Control) ScriptTx(rx *db.Rx, id cloud.ScriptID) (*cloud.Script, error) {
	if s, ok := c.scripts.peek(id); ok {
		return s, nil
	}
	return scriptByID(rx, id)
}

type scriptName struct {
	app  cloud.AppID
	name string
}

// ScriptNamed finds a script by its name; NotFound when the app has none of that name.
func (c *Control) ScriptNamed(ctx context.Context, app cloud.AppID, name string) (*cloud.Script, error) {
	id, err := c.named.get(scriptName{app, name}, func() (id cloud.ScriptID, err error) {
		err = c.db.View(ctx, func(ctx context.Context, rx *db.Rx) error {
			return rx.QueryRow("SELECT id FROM scripts WHERE app_id = ? AND name = ?", app, name).Scan(&id)
		})
		if errors.Is(err, sql.ErrNoRows) {
			return id, errNoScript
		}
		return id, err
	})
	if err != nil {
		return nil, err
	}
	return c.Script(ctx, id)
}

// Scripts lists an app's scripts with their sources. A page ends early when those are large.
func (c *Control) Scripts(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Script, string, error) {
	return lister[*cloud.Script]{
		query: "SELECT " + scriptColumns + " WHERE s.app_id = ? AND s.id > ? ORDER BY s.id LIMIT ?",
		args:  []any{app},
		scan:  func(r *sql.Rows) (*cloud.Script, error) { return scanScript(r) },
		at:    func(s *cloud.Script) position { return position(s.ID) },
		bytes: func(s *cloud.Script) int { return len(s.Source) },
	}.page(ctx, c.db, p)
}

// CreateScript stores a script of the app s.AppID. It fills in id, version, times and
// defaults. A source that doesn't compile is Invalid, with line and column.
func (c *Control) CreateScript(ctx context.Context, by *cloud.Principal, s *cloud.Script) error {
	a := c.live.app(s.AppID)
	if a == nil {
		return errNoApp
	}
	made := *s
	made.ID, made.Version, made.AppSlug = cloud.NewID[cloud.ScriptID](), 1, a.Slug
	if err := checkScript(&made); err != nil {
		return err
	}
	if err := c.compileScript(ctx, &made); err != nil {
		return err
	}
	err := c.db.UpdateFor(ctx, db.Cause{App: made.AppID}, func(ctx context.Context, tx *db.Tx) error {
		made.CreatedAt = cloud.TimeOf(tx.Now)
		made.UpdatedAt = made.CreatedAt
		if err := insertScript(tx, by, &made); err != nil {
			return err
		}
		return linkScript(tx, &made)
	})
	if err != nil {
		return err
	}
	*s = made
	return nil
}

func insertScript(tx *db.Tx, by *cloud.Principal, s *cloud.Script) error {
	limits, err := json.Marshal(s.Limits)
	if err != nil {
		return fmt.Errorf("encode limits: %w", err)
	}
	_, err = tx.Exec(`INSERT INTO scripts (id, app_id, name, description, source, kind, engine, isolation, timeout_seconds, limits, version, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		s.ID, s.AppID, s.Name, s.Description, s.Source, s.Kind, s.Engine, s.Isolation, s.TimeoutSeconds, string(limits), s.Version, s.CreatedAt, s.UpdatedAt)
	if db.IsForeignKey(err) {
		return errNoApp
	}
	if err != nil {
		return storeScript(err, s.Name)
	}
	return insertVersion(tx, by, s)
}

func storeScript(err error, name string) error {
	if db.IsUnique(err) {
		return cloud.Errorf(cloud.Conflict, "name: the app has a script %q already", name)
	}
	return fmt.Errorf("store script: %w", err)
}

// UpdateScript saves a script: what differs is compiled, stored as the next version, and
// used by executions that begin from then on. A patch that changes nothing makes no version.
func (c *Control) UpdateScript(ctx context.Context, by *cloud.Principal, id cloud.ScriptID, p ScriptPatch) (*cloud.Script, error) {
	for {
		old, err := c.Script(ctx, id)
		if err != nil {
			return nil, err
		}
		s := p.apply(*old)
		if err := checkScript(&s); err != nil {
			return nil, err
		}
		if s == *old {
			return &s, nil
		}
		if err := c.compileScript(ctx, &s); err != nil {
			return nil, err
		}
		err = c.db.UpdateFor(ctx, db.Cause{App: s.AppID}, func(ctx context.Context, tx *db.Tx) error {
			if err := c.updateScript(tx, by, &s, old.Version); err != nil {
				return err
			}
			return linkScript(tx, &s)
		})
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &s, nil
	}
}

// errOvertaken: somebody else saved the script while this save was being compiled.
var errOvertaken = errors.New("the script has a later version")

func (p ScriptPatch) apply(s cloud.Script) cloud.Script {
	s.Name, s.Description, s.Source = orOld(p.Name, s.Name), orOld(p.Description, s.Description), orOld(p.Source, s.Source)
	s.Kind = orOld(p.Kind, s.Kind)
	s.Engine, s.Isolation = orOld(p.Engine, s.Engine), orOld(p.Isolation, s.Isolation)
	s.TimeoutSeconds, s.Limits = orOld(p.TimeoutSeconds, s.TimeoutSeconds), orOld(p.Limits, s.Limits)
	return s
}

// updateScript stores s as the version after the one that it was made from.
func (c *Control) updateScript(tx *db.Tx, by *cloud.Principal, s *cloud.Script, from int) error {
	now, err := scriptByID(tx.Rx, s.ID)
	if err != nil {
		return err
	}
	if now.Version != from {
		return errOvertaken
	}
	if s.Kind != now.Kind {
		return cloud.Errorf(cloud.Invalid, "kind: %s is a %s and stays one: make a new script", now.Name, now.Kind)
	}
	if s.Name != now.Name {
		if err := checkFreeToGo(tx, now); err != nil {
			return err
		}
	}
	s.Version, s.UpdatedAt, s.AppSlug = from+1, cloud.TimeOf(tx.Now), now.AppSlug
	limits, err := json.Marshal(s.Limits)
	if err != nil {
		return fmt.Errorf("encode limits: %w", err)
	}
	_, err = tx.Exec(`UPDATE scripts SET name = ?, description = ?, source = ?, engine = ?, isolation = ?, timeout_seconds = ?, limits = ?, version = ?, updated_at = ?
		WHERE id = ?`, s.Name, s.Description, s.Source, s.Engine, s.Isolation, s.TimeoutSeconds, string(limits), s.Version, s.UpdatedAt, s.ID)
	if err != nil {
		return storeScript(err, s.Name)
	}
	tx.AfterCommit(func() {
		c.dropScript(s.ID, s.Kind)
		if s.Name != now.Name {
			c.named.clear()
		}
	})
	return insertVersion(tx, by, s)
}

// DeleteScript deletes a script with its versions, routes and triggers.
func (c *Control) DeleteScript(ctx context.Context, id cloud.ScriptID) error {
	err := c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error { return c.deleteScript(tx, id) })
	c.live.publish()
	return err
}

func (c *Control) deleteScript(tx *db.Tx, id cloud.ScriptID) error {
	s, err := scriptByID(tx.Rx, id)
	if err != nil {
		return err
	}
	tx.CountFor(db.Cause{App: s.AppID}, 1)
	if err := checkFreeToGo(tx, s); err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM scripts WHERE id = ?", id); err != nil {
		return fmt.Errorf("delete script: %w", err)
	}
	tx.AfterCommit(func() {
		c.live.dropRoutes(func(r *cloud.Route) bool { return r.ScriptID == id })
		c.dropScript(id, s.Kind)
		c.named.clear()
		c.o.OnDelete(s.AppID, id)
	})
	return nil
}
