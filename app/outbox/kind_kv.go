package outbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
)

// kindKV fires when an entry of a collection is inserted, updated or deleted.
var kindKV = &kind{
	name:  cloud.SourceKV,
	check: checkKV,
	patch: patchKV,
	store: storeKV,
	load:  loadKV,
	match: func(t *cloud.Trigger, ev *event) bool {
		return (len(t.KV.Ops) == 0 || slices.Contains(t.KV.Ops, ev.Op)) && matchGlob(t.KV.CollectionGlob, ev.Match)
	},
}

var kvOps = []string{"insert", "update", "delete"}

// maxGlob is the longest glob: the longest name of a collection or a topic, and a star.
const maxGlob = 129

func checkKV(t *cloud.Trigger) error {
	f := t.KV
	if f == nil {
		return cloud.Errorf(cloud.Invalid, "a kv trigger needs a collection_glob")
	}
	if err := checkGlob("collection_glob", f.CollectionGlob); err != nil {
		return err
	}
	ops := []string{}
	for _, op := range f.Ops {
		if !slices.Contains(kvOps, op) {
			return cloud.Errorf(cloud.Invalid, "ops has %q: write insert, update or delete", op)
		}
		if !slices.Contains(ops, op) {
			ops = append(ops, op)
		}
	}
	t.KV = &cloud.KVFilter{CollectionGlob: f.CollectionGlob, Ops: ops}
	return nil
}

// checkGlob tells what is wrong with "*", "prefix*" or a name.
func checkGlob(field, glob string) error {
	switch star := strings.IndexByte(glob, '*'); {
	case glob == "":
		return cloud.Errorf(cloud.Invalid, `%s is empty: write "*" for all`, field)
	case len(glob) > maxGlob:
		return cloud.Errorf(cloud.Invalid, "%s has %d bytes: at most %d are allowed", field, len(glob), maxGlob)
	case star >= 0 && star < len(glob)-1:
		return cloud.Errorf(cloud.Invalid, `%s %q: a "*" may stand at the end only`, field, glob)
	}
	return nil
}

// matchGlob matches a name against "*", "prefix*" or the name itself.
func matchGlob(glob, name string) bool {
	prefix, open := strings.CutSuffix(glob, "*")
	if open {
		return strings.HasPrefix(name, prefix)
	}
	return glob == name
}

// KVPatch changes a KVFilter.
type KVPatch struct {
	CollectionGlob *string   `json:"collection_glob"`
	Ops            *[]string `json:"ops"`
}

func patchKV(t *cloud.Trigger, p *FilterPatch) {
	f, own := *t.KV, take(&p.KVPatch)
	set(&f.CollectionGlob, own.CollectionGlob)
	set(&f.Ops, own.Ops)
	t.KV = &f
}

func storeKV(tx *db.Tx, t *cloud.Trigger) error {
	ops, err := json.Marshal(t.KV.Ops)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`
		INSERT INTO kv_trigger_details (trigger_id, collection_glob, ops) VALUES (?, ?, ?)
		ON CONFLICT (trigger_id) DO UPDATE SET collection_glob = excluded.collection_glob, ops = excluded.ops`,
		t.ID, t.KV.CollectionGlob, string(ops))
	if err != nil {
		return fmt.Errorf("store kv trigger: %w", err)
	}
	return nil
}

func loadKV(rx *db.Rx, t *cloud.Trigger) error {
	f := &cloud.KVFilter{}
	var ops []byte
	err := rx.QueryRow(`SELECT collection_glob, ops FROM kv_trigger_details WHERE trigger_id = ?`, t.ID).Scan(&f.CollectionGlob, &ops)
	if err == nil {
		err = json.Unmarshal(ops, &f.Ops)
	}
	if err != nil {
		return fmt.Errorf("load kv trigger %s: %w", t.ID, err)
	}
	t.KV = f
	return nil
}
