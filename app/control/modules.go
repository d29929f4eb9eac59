package control

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
)

// Scripts import modules of their app: import x from "app:name". The table script_imports is
// the graph; names become ids at save, when a missing module and a cycle are refused. A script
// that is asked for comes with all that it imports, read in one snapshot (cloud.Linked), and
// is kept in memory with it; saving a module drops all of that.

// imported are all modules that ? imports, directly or through others.
const imported = `WITH RECURSIVE deps(id) AS (
	SELECT module_id FROM script_imports WHERE script_id = ?
	UNION SELECT i.module_id FROM script_imports i JOIN deps d ON i.script_id = d.id) `

// linked reads what a script imports; nil when that is nothing.
func linked(rx *db.Rx, id cloud.ScriptID) (*cloud.Linked, error) {
	rows, err := rx.Query(imported+"SELECT "+scriptColumns+" WHERE s.id IN (SELECT id FROM deps) ORDER BY s.id", id)
	if err != nil {
		return nil, fmt.Errorf("read modules: %w", err)
	}
	modules, err := all(rows, func(r *sql.Rows) (*cloud.Script, error) { return scanScript(r) })
	if err != nil || len(modules) == 0 {
		return nil, err
	}
	l := &cloud.Linked{Modules: modules}
	h := fnv.New64a()
	for _, m := range modules {
		h.Write(m.ID[:])
		_ = binary.Write(h, binary.BigEndian, int64(m.Version))
		l.At = max(l.At, m.UpdatedAt)
	}
	l.Key = h.Sum64()
	return l, nil
}

const unlinkScript = "DELETE FROM script_imports WHERE script_id = ?"

// linkScript stores what s imports, by s.Imports, which the compiler filled in.
func linkScript(tx *db.Tx, s *cloud.Script) error {
	if _, err := tx.Exec(unlinkScript, s.ID); err != nil {
		return fmt.Errorf("forget imports: %w", err)
	}
	for name := range strings.FieldsFuncSeq(s.Imports, func(r rune) bool { return r == '\n' }) {
		id, err := importedModule(tx, s, name)
		if err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO script_imports (script_id, module_id) VALUES (?, ?) ON CONFLICT DO NOTHING", s.ID, id); err != nil {
			return fmt.Errorf("store import: %w", err)
		}
		if s.Kind != cloud.KindModule {
			continue
		}
		var back bool
		if err := tx.QueryRow(imported+"SELECT EXISTS (SELECT 1 FROM deps WHERE id = ?)", s.ID, s.ID).Scan(&back); err != nil {
			return fmt.Errorf("look for cycles: %w", err)
		}
		if back {
			return importError(s, name, "which imports "+s.Name+" in turn: modules can't import each other in a circle")
		}
	}
	return nil
}

func importedModule(tx *db.Tx, s *cloud.Script, name string) (id cloud.ScriptID, err error) {
	var kind string
	err = tx.QueryRow("SELECT id, kind FROM scripts WHERE app_id = ? AND name = ?", s.AppID, name).Scan(&id, &kind)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return id, importError(s, name, "but the app has no such module")
	case err != nil:
		return id, fmt.Errorf("find module: %w", err)
	case kind != cloud.KindModule:
		return id, importError(s, name, "which is a function: only a script of kind module can be imported")
	}
	return id, nil
}

// importError names the line where the module is imported, as far as it can be found.
func importError(s *cloud.Script, name, why string) error {
	line := 1
	for text := range strings.Lines(s.Source) {
		if strings.Contains(text, `"app:`+name+`"`) || strings.Contains(text, `'app:`+name+`'`) {
			return cloud.Errorf(cloud.Invalid, "%s.js does not compile: line %d: it imports app:%s, %s", s.Name, line, name, why)
		}
		line++
	}
	return cloud.Errorf(cloud.Invalid, "%s.js does not compile: it imports app:%s, %s", s.Name, name, why)
}

// maxNamed bounds how many scripts an error names.
const maxNamed = 10

// checkFreeToGo refuses to take a module away, or its name, while others import it.
func checkFreeToGo(tx *db.Tx, s *cloud.Script) error {
	if s.Kind != cloud.KindModule {
		return nil
	}
	rows, err := tx.Query("SELECT s.name FROM script_imports i JOIN scripts s ON s.id = i.script_id WHERE i.module_id = ? ORDER BY s.name LIMIT ?", s.ID, maxNamed)
	if err != nil {
		return fmt.Errorf("find importers: %w", err)
	}
	names, err := all(rows, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil || len(names) == 0 {
		return err
	}
	return cloud.Errorf(cloud.Conflict, "the module %s is imported by %s: change that first", s.Name, strings.Join(names, ", "))
}

// errModuleRuns is for what would make a module handle something.
func errModuleRuns(s *cloud.Script) error {
	return cloud.Errorf(cloud.Invalid, "%s is a module, which others import: it handles nothing itself", s.Name)
}

// dropScript forgets a script that changed, and those that it may be linked into.
func (c *Control) dropScript(id cloud.ScriptID, kind string) {
	if kind == cloud.KindModule {
		c.scripts.clear()
		return
	}
	c.scripts.drop(id)
}

func weighScript(s *cloud.Script) int {
	n := len(s.Source) + 1024
	if s.Linked != nil {
		for _, m := range s.Linked.Modules {
			n += len(m.Source) + 1024
		}
	}
	return n
}
