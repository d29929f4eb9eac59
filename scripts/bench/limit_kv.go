package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/db"
	"picloud/schema"
)

// stored is PiCloud's database with one app and the store on it, without anything above.
type stored struct {
	dir   string
	db    *db.DB
	store *data.Store
	app   cloud.AppID

	commits, closures atomic.Int64
}

func openStore(durability db.Durability) (*stored, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &stored{dir: dir, app: cloud.NewID[cloud.AppID]()}
	ctx := context.Background()
	s.db, err = db.Open(ctx, filepath.Join(dir, "picloud.db"), db.Options{Schema: schema.State, Durability: durability, Observe: s.observe})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	err = s.db.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, 'bench', 'bench', 0, 0)", s.app)
		return err
	})
	s.store = data.New(s.db, noEvents{}, data.Options{})
	return s, errors.Join(err, s.fill())
}

func (s *stored) observe(c db.CommitStats) {
	s.commits.Add(1)
	s.closures.Add(int64(c.Batch))
}

// group is how many closures a commit had on average since the last call.
func (s *stored) group() int {
	n, c := s.closures.Swap(0), s.commits.Swap(0)
	return int(max(1, (n+c/2)/max(1, c)))
}

func (s *stored) close() {
	s.db.Close()
	os.RemoveAll(s.dir)
}

const benchValue = `{"n":1,"name":"bench","tags":["a","b"]}`

// key is one of those that are there.
func key() string { return strconv.Itoa(rand.IntN(loadKeys)) }

func (s *stored) unit() *data.Unit {
	return s.store.Begin(&cloud.Invocation{ID: cloud.NewID[cloud.ExecutionID](), App: s.app}, cloud.Limits{}, nil)
}

func (s *stored) fill() error {
	for i := 0; i < loadKeys; i += 500 {
		u := s.unit()
		for k := range 500 {
			if err := u.Set(context.Background(), "load", strconv.Itoa(i+k), json.RawMessage(benchValue), 0); err != nil {
				return err
			}
		}
		if err := s.db.Update(context.Background(), u.Apply); err != nil {
			return err
		}
		u.Close()
	}
	return nil
}

func (s *stored) read(int) error {
	u := s.unit()
	defer u.Close()
	_, ok, err := u.Get(context.Background(), "load", key())
	if err == nil && !ok {
		return errors.New("the key is gone")
	}
	return err
}

func (s *stored) write(int) error {
	u := s.unit()
	defer u.Close()
	if err := u.Set(context.Background(), "load", key(), json.RawMessage(benchValue), 0); err != nil {
		return err
	}
	return s.db.Update(context.Background(), u.Apply)
}

type noEvents struct{}

func (noEvents) Emit(context.Context, *db.Tx, cloud.Origin, cloud.Event) error { return nil }

// bareSQLite is C SQLite on a file with PiCloud's schema and one app with the same keys.
type bareSQLite struct {
	dir   string
	pool  *sql.DB
	conn  *sql.Conn
	app   cloud.AppID
	stmts map[string]*sql.Stmt
}

func openBare(durability db.Durability) (*bareSQLite, error) {
	s, err := openStore(db.Relaxed) // makes the file
	if err != nil {
		return nil, err
	}
	if err := s.db.Close(); err != nil {
		return nil, err
	}
	b := &bareSQLite{dir: s.dir, app: s.app, stmts: map[string]*sql.Stmt{}}
	synchronous := "NORMAL"
	if durability == db.Full {
		synchronous = "FULL"
	}
	b.pool, err = sql.Open("sqlite3", "file:"+filepath.Join(s.dir, "picloud.db")+"?_busy_timeout=5000&_journal_mode=WAL&_foreign_keys=1&_mutex=no&_cache_size=-16000&_synchronous="+synchronous)
	if err != nil {
		return nil, err
	}
	if b.conn, err = b.pool.Conn(context.Background()); err != nil {
		return nil, fmt.Errorf("C SQLite (it needs cgo): %w", err)
	}
	return b, nil
}

func (b *bareSQLite) close() {
	b.conn.Close()
	b.pool.Close()
	os.RemoveAll(b.dir)
}

// stmt is prepared once.
func (b *bareSQLite) stmt(query string) *sql.Stmt {
	s := b.stmts[query]
	if s == nil {
		s, _ = b.conn.PrepareContext(context.Background(), query) // a nil one panics: the queries are ours
		b.stmts[query] = s
	}
	return s
}

func (b *bareSQLite) exec(query string, args ...any) error {
	_, err := b.stmt(query).Exec(args...)
	return err
}

const (
	bareSelect = `SELECT value, created_at, updated_at, COALESCE(expires_at, 0) FROM kv_entries WHERE app_id = ? AND collection = ? AND key = ?`
	bareUpsert = `INSERT INTO kv_entries (app_id, collection, key, value, created_at, updated_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app_id, collection, key) DO UPDATE SET
			value = excluded.value, updated_at = excluded.updated_at, expires_at = excluded.expires_at`
)

func (b *bareSQLite) find(key string) error {
	var value []byte
	var created, updated, expires int64
	return b.stmt(bareSelect).QueryRow(b.app, "load", key).Scan(&value, &created, &updated, &expires)
}

// read is one key in a transaction, as an execution reads.
func (b *bareSQLite) read(int) error {
	return errors.Join(b.exec("BEGIN"), b.find(key()), b.exec("ROLLBACK"))
}

// writeGroup is a run of commits of so many writes, each of the statements that ours has: the
// old value for the event, and the new one.
func (b *bareSQLite) writeGroup(group func() int) func(time.Duration) (int, error) {
	return func(d time.Duration) (int, error) {
		n := group()
		commits, err := repeated(1, func(int) error {
			if err := b.exec("BEGIN IMMEDIATE"); err != nil {
				return err
			}
			now := time.Now().UnixMilli()
			for range n {
				k := key()
				if err := errors.Join(b.find(k), b.exec(bareUpsert, b.app, "load", k, benchValue, now, now, nil)); err != nil {
					return err
				}
			}
			return b.exec("COMMIT")
		})(d)
		return commits * n, err
	}
}

// limitKV compares one read and one write of a key, each an execution's unit of work without
// the JavaScript around it, with C SQLite.
func limitKV(limitOptions) (rows []comparison, cleanup func(), err error) {
	var closers []func()
	cleanup = func() {
		for _, c := range closers {
			c()
		}
	}
	for _, durability := range []db.Durability{db.Relaxed, db.Full} {
		s, err := openStore(durability)
		if err != nil {
			return nil, cleanup, err
		}
		closers = append(closers, s.close)
		b, err := openBare(durability)
		if err != nil {
			return nil, cleanup, err
		}
		closers = append(closers, b.close)
		if durability == db.Relaxed {
			rows = append(rows, comparison{
				work: "read of a key in a transaction",
				ours: side{run: repeated(1, s.read)},
				bare: []side{{name: "C SQLite", run: repeated(1, b.read)}},
			})
		}
		for _, writers := range []int{1, 64} {
			rows = append(rows, comparison{
				work: fmt.Sprintf("write of a key, %s, %d writers", durability, writers),
				ours: side{run: repeated(writers, s.write)},
				bare: []side{{name: "C SQLite, commits of as many", run: b.writeGroup(s.group)}},
			})
		}
	}
	return rows, cleanup, nil
}
