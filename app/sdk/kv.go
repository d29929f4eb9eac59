package sdk

import (
	"encoding/json"
	"time"

	"picloud/app/cloud"
	"picloud/app/data"
)

// kvModule is the key-value store. Which app's is never an argument: it comes from the
// execution.
var kvModule = Module{
	Name: "kv",
	Funcs: map[string]Func{
		"kv.collection": kvCollection,
		"kv.get":        kvGet,
		"kv.set":        kvSet,
		"kv.has":        kvHas,
		"kv.delete":     kvDelete,
		"kv.increment":  kvIncrement,
		"kv.add":        kvAdd,
		"kv.getMany":    kvGetMany,
		"kv.list":       kvList,
		"kv.entries":    kvEntries,
	},
	JS: `
function Collection(name) { own(this, "name", name, true, true); }
function at(c) {
  if (!(c instanceof Collection)) { throw fault("invalid", "call it on a collection, as in kv.collection(\"visits\").get(key)"); }
  return "[" + arg(c.name, 1) + ",";
}
var read = options, ofSet = oneOf(["ttl"]), ofPage = oneOf(["prefix", "cursor", "limit", "reverse"]);
// step is by as an argument, which is 1 only when it is left out.
function step(by) {
  if (by === null) { throw fault("invalid", "by must be a number, not null"); }
  return arg(by, 2);
}
function method(name, f) { own(Collection.prototype, name, freeze(f), true, true); }
method("get", function get(key) { return call("kv.get", at(this) + arg(key, 1) + "]"); });
method("set", function set(key, value, options) {
  call("kv.set", at(this) + arg(key, 1) + "," + arg(read(options, ofSet, "set", "{ ttl: 60 }").ttl, 3) + "," + json(value, "the value") + "]");
});
method("has", function has(key) { return call("kv.has", at(this) + arg(key, 1) + "]"); });
own(Collection.prototype, "delete", freeze(function (key) { return call("kv.delete", at(this) + arg(key, 1) + "]"); }), true, true);
method("increment", function increment(key, by) { return call("kv.increment", at(this) + arg(key, 1) + "," + step(by) + "]"); });
method("add", function add(key, by) { call("kv.add", at(this) + arg(key, 1) + "," + step(by) + "]"); });
method("getMany", function getMany(keys) { return call("kv.getMany", at(this) + arg(keys, 1) + "]"); });
function page(op, c, a, b) {
  var o = typeof a === "object" && a !== null ? read(a, ofPage, cut(op, 3), "{ prefix: \"a\", limit: 10 }") : { cursor: a, limit: b };
  return call(op, at(c) + arg(o.prefix, 1) + "," + arg(o.cursor, 1) + "," + arg(o.limit, 2) + "," + arg(o.reverse, 1) + "]");
}
method("list", function list(a, b) { return page("kv.list", this, a, b); });
method("entries", function entries(a, b) { return page("kv.entries", this, a, b); });
freeze(Collection.prototype);
expose("kv", {
  collection: function collection(name) {
    // A short name can only be wrong by being empty; the host knows the rule for the rest.
    if (typeof name !== "string" || name === "" || name.length > 32) { call("kv.collection", "[" + arg(name, 1) + "]"); }
    return new Collection(name);
  }
});`,
	Types: `
/** Which keys list() and entries() answer. */
interface KvListOptions {
  /** Only keys that begin with this. */
  prefix?: string;
  /** Where to go on: next_cursor of the page before. */
  cursor?: string | null;
  /** How many keys at most, 1 to 1000; 100 when left out. */
  limit?: number;
  /** From the last key to the first. */
  reverse?: boolean;
}

/**
 * A collection of the app's key-value store. Reads see one snapshot plus this execution's own
 * writes; writes are seen by everyone when the execution commits at its end, all or none. Keys
 * are 1 to 1024 bytes, values up to 1 MiB as JSON.
 */
interface KvCollection<T = any> {
  readonly name: string;
  /** The value of key, undefined when it is absent. */
  get(key: string): T | undefined;
  /** Stores value; with ttl (seconds, 0 for ever) the key goes away by itself. */
  set(key: string, value: T, options?: { ttl?: number }): void;
  has(key: string): boolean;
  /** Removes key; true when it was there. */
  delete(key: string): boolean;
  /** Adds by (1) to the number at key (0 when absent) and answers the new value. A read and a write: it may make a re-run necessary. */
  increment(key: string, by?: number): number;
  /** Adds by (1) when the execution commits, without an answer: for hot counters, never a reason for a re-run. */
  add(key: string, by?: number): void;
  /** The values of those keys (at most 1000) that are there, by key. */
  getMany(keys: string[]): { [key: string]: T };
  /** A page of keys in order of their bytes; next_cursor is null on the last one. */
  list(options?: KvListOptions): { keys: string[]; next_cursor: string | null };
  list(cursor: string | null | undefined, limit?: number): { keys: string[]; next_cursor: string | null };
  /** A page of keys with their values. */
  entries(options?: KvListOptions): { entries: { key: string; value: T }[]; next_cursor: string | null };
  entries(cursor: string | null | undefined, limit?: number): { entries: { key: string; value: T }[]; next_cursor: string | null };
}

/** The app's key-value store. */
declare const kv: {
  /** The collection of that name (1 to 128 bytes); it need not exist. */
  collection<T = any>(name: string): KvCollection<T>;
};`,
}

// kvCollection checks a name that the prelude can't judge.
func kvCollection(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	name := a.label("the collection's name")
	if a.err != nil {
		return nil, a.err
	}
	return nil, checkCollection(name)
}

func checkCollection(name string) error {
	if name == "" || len(name) > data.MaxCollection {
		return invalid("a collection's name has 1 to %d bytes, not %d", data.MaxCollection, len(name))
	}
	return nil
}

// kvKey opens a kv call: it takes the collection and the key and checks the right to what.
func (c *Call) kvKey(in []byte, what cloud.Capability) (a *args, collection, key string) {
	a = readArgs(in)
	collection, key = a.label("the collection's name"), a.label("the key")
	if a.err == nil {
		a.err = c.allow(what)
	}
	return a, collection, key
}

func kvGet(c *Call, in []byte) ([]byte, error) {
	a, collection, key := c.kvKey(in, cloud.KVRead)
	if a.err != nil {
		return nil, a.err
	}
	v, ok, err := c.Unit.Get(c.Ctx, collection, key)
	if err != nil || !ok {
		return nil, err
	}
	return v, nil
}

// maxTTL is the longest life a key can be given: 100 years.
const maxTTL = 100 * 365 * 24 * time.Hour

func kvSet(c *Call, in []byte) ([]byte, error) {
	a, collection, key := c.kvKey(in, cloud.KVWrite)
	seconds := a.number("ttl", 0)
	if a.err == nil && (seconds < 0 || seconds > 0 && seconds < 0.001 || seconds > maxTTL.Seconds()) {
		a.err = invalid("ttl is a number of seconds from 0.001 to %.0f, or 0 to keep the key", maxTTL.Seconds())
	}
	value := a.tail()
	if a.err != nil {
		return nil, a.err
	}
	return nil, c.Unit.Set(c.Ctx, collection, key, value, time.Duration(seconds*float64(time.Second)))
}

func kvHas(c *Call, in []byte) ([]byte, error) {
	a, collection, key := c.kvKey(in, cloud.KVRead)
	if a.err != nil {
		return nil, a.err
	}
	there, err := c.Unit.Has(c.Ctx, collection, key)
	return truthOut(there), err
}

func kvDelete(c *Call, in []byte) ([]byte, error) {
	a, collection, key := c.kvKey(in, cloud.KVWrite)
	if a.err != nil {
		return nil, a.err
	}
	there, err := c.Unit.Delete(c.Ctx, collection, key)
	return truthOut(there), err
}

// kvIncrement answers what it found, so it needs the right to read as well.
func kvIncrement(c *Call, in []byte) ([]byte, error) {
	a, collection, key := c.kvKey(in, cloud.KVWrite)
	by := a.number("by", 1)
	if a.err == nil {
		a.err = c.allow(cloud.KVRead)
	}
	if a.err != nil {
		return nil, a.err
	}
	sum, err := c.Unit.Increment(c.Ctx, collection, key, by)
	return numberOut(sum), err
}

func kvAdd(c *Call, in []byte) ([]byte, error) {
	a, collection, key := c.kvKey(in, cloud.KVWrite)
	by := a.number("by", 1)
	if a.err != nil {
		return nil, a.err
	}
	return nil, c.Unit.Add(c.Ctx, collection, key, by)
}

func kvGetMany(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	collection, keys := a.label("the collection's name"), a.texts("the list of keys", data.MaxList)
	if a.err == nil {
		a.err = c.allow(cloud.KVRead)
	}
	if a.err != nil {
		return nil, a.err
	}
	found, err := c.Unit.GetMany(c.Ctx, collection, keys)
	if err != nil {
		return nil, err
	}
	return appendFound(nil, keys, found), nil
}

// appendFound appends the keys that were found, each once, in the order they were asked for.
func appendFound(b []byte, keys []string, found map[string]json.RawMessage) []byte {
	b = append(b, '{')
	done := make(map[string]bool, len(found))
	for _, key := range keys {
		v, ok := found[key]
		if !ok || done[key] {
			continue
		}
		if len(done) > 0 {
			b = append(b, ',')
		}
		done[key] = true
		b = append(appendString(b, key), ':')
		b = append(b, v...)
	}
	return append(b, '}')
}

// kvPage reads the arguments of list and entries.
func (c *Call) kvPage(in []byte) (collection string, o data.ListOptions, err error) {
	a := readArgs(in)
	collection = a.label("the collection's name")
	o.Prefix, o.Cursor = a.optionalLabel("prefix"), a.optionalText("cursor")
	limit := a.number("limit", data.DefaultList)
	o.Reverse = a.truth("reverse")
	if a.err == nil && (limit < 1 || limit > data.MaxList || limit != float64(int(limit))) {
		a.err = invalid("limit is a whole number from 1 to %d", data.MaxList)
	}
	if a.err == nil {
		a.err = c.allow(cloud.KVRead)
	}
	o.Limit = int(limit)
	return collection, o, a.err
}

func kvList(c *Call, in []byte) ([]byte, error) {
	collection, o, err := c.kvPage(in)
	if err != nil {
		return nil, err
	}
	keys, next, err := c.Unit.List(c.Ctx, collection, o)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, 64+32*len(keys)), `{"keys":`...)
	return appendNext(appendStrings(b, keys), next), nil
}

func kvEntries(c *Call, in []byte) ([]byte, error) {
	collection, o, err := c.kvPage(in)
	if err != nil {
		return nil, err
	}
	entries, next, err := c.Unit.Entries(c.Ctx, collection, o)
	if err != nil {
		return nil, err
	}
	b := []byte(`{"entries":[`)
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(append(b, `{"key":`...), e.Key), `,"value":`...)
		b = append(append(b, e.Value...), '}')
	}
	return appendNext(append(b, ']'), next), nil
}

// appendNext ends a page: next_cursor is null when there is no more.
func appendNext(b []byte, next string) []byte {
	b = append(b, `,"next_cursor":`...)
	if next == "" {
		return append(b, "null}"...)
	}
	return append(appendString(b, next), '}')
}
