//go:build !mattn

package db

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// meters are the counters of the databases that are open, by path.
var meters = struct {
	sync.Mutex
	m map[string]*sharedMeter
}{m: map[string]*sharedMeter{}}

type sharedMeter struct {
	meter
	users int
}

// openMeter returns the counters of the database at path, which is to be opened afterwards.
// The caller calls free once it has closed the database.
func openMeter(path string) (m meter, free func(), err error) {
	if err := install(); err != nil {
		return meter{}, nil, err
	}
	meters.Lock()
	defer meters.Unlock()
	s := meters.m[path]
	if s == nil {
		s = &sharedMeter{meter: meter{file: &counter{}, wal: &counter{}}}
		meters.m[path] = s
	}
	s.users++
	return s.meter, sync.OnceFunc(func() { freeMeter(path, s) }), nil
}

func freeMeter(path string, s *sharedMeter) {
	meters.Lock()
	defer meters.Unlock()
	if s.users--; s.users == 0 {
		delete(meters.m, path)
	}
}

// counterOf returns the counter of a file that SQLite opens, nil for one that isn't metered.
func counterOf(path string) *counter {
	base, isLog := strings.CutSuffix(path, walSuffix)
	meters.Lock()
	defer meters.Unlock()
	switch s := meters.m[base]; {
	case s == nil:
		return nil
	case isLog:
		return s.wal
	default:
		return s.file
	}
}

// install puts a layer between SQLite and its access to the operating system, as SQLite's
// default, once: https://sqlite.org/vfs.html, "VFS shims". It passes everything on and counts
// writes and fsyncs of metered files. The tables that SQLite calls through are C structures,
// so they are in memory that the garbage collector doesn't know; what is in them lives as
// long as the process.
var install = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	base := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if base == 0 {
		return fmt.Errorf("SQLite has no access to the operating system")
	}
	osOpen = at[sqlite3.Tsqlite3_vfs](base).FxOpen
	shim, err := clone[sqlite3.Tsqlite3_vfs](tls, base)
	if err != nil {
		return err
	}
	name, err := libc.CString("picloud")
	if err != nil {
		return err
	}
	v := at[sqlite3.Tsqlite3_vfs](shim)
	v.FzName, v.FpNext = name, 0
	*(*openFunc)(unsafe.Pointer(&v.FxOpen)) = meteredOpen
	if rc := sqlite3.Xsqlite3_vfs_register(tls, shim, 1); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("count SQLite's writes: result %d", rc)
	}
	return nil
})

// The functions that the layer replaces, as SQLite's C declares them.
type (
	openFunc  = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	closeFunc = func(tls *libc.TLS, file uintptr) int32
	writeFunc = func(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32
	syncFunc  = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// metered is an open file whose writes are counted.
type metered struct {
	*counter
	methods *sqlite3.Tsqlite3_io_methods // the original ones
	synced  bool                         // once: its name is on the disk, too
}

var (
	osOpen uintptr  // the original xOpen
	files  sync.Map // uintptr of a sqlite3_file -> *metered
	tables sync.Map // uintptr of the original methods -> uintptr of their copy that counts
)

func meteredOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := call[openFunc](osOpen)(tls, vfs, name, file, flags, outFlags)
	if rc != sqlite3.SQLITE_OK || name == 0 || flags&(sqlite3.SQLITE_OPEN_MAIN_DB|sqlite3.SQLITE_OPEN_WAL) == 0 {
		return rc
	}
	c := counterOf(libc.GoString(name))
	if c == nil {
		return rc
	}
	f := at[sqlite3.Tsqlite3_file](file)
	if table := counting(tls, f.FpMethods); table != 0 { // else memory is short: the file works, uncounted
		files.Store(file, &metered{counter: c, methods: at[sqlite3.Tsqlite3_io_methods](f.FpMethods)})
		f.FpMethods = table
	}
	return rc
}

// counting returns the copy of a table of methods that counts.
func counting(tls *libc.TLS, methods uintptr) uintptr {
	if t, ok := tables.Load(methods); ok {
		return t.(uintptr)
	}
	table, err := clone[sqlite3.Tsqlite3_io_methods](tls, methods)
	if err != nil {
		return 0
	}
	m := at[sqlite3.Tsqlite3_io_methods](table)
	*(*closeFunc)(unsafe.Pointer(&m.FxClose)) = meteredClose
	*(*writeFunc)(unsafe.Pointer(&m.FxWrite)) = meteredWrite
	*(*syncFunc)(unsafe.Pointer(&m.FxSync)) = meteredSync
	first, _ := tables.LoadOrStore(methods, table) // a second copy is never used, nor freed
	return first.(uintptr)
}

func meteredFile(file uintptr) *metered {
	f, _ := files.Load(file)
	return f.(*metered)
}

func meteredClose(tls *libc.TLS, file uintptr) int32 {
	f := meteredFile(file)
	files.Delete(file)
	return call[closeFunc](f.methods.FxClose)(tls, file)
}

func meteredWrite(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	f := meteredFile(file)
	rc := call[writeFunc](f.methods.FxWrite)(tls, file, buf, n, offset)
	if rc == sqlite3.SQLITE_OK {
		f.bytes.Add(int64(n))
	}
	return rc
}

// meteredSync leaves the first fsync of a file to SQLite, which then syncs the directory of
// one that it created. The others are fdatasync where the system has it, as in SQLite's own
// builds for Linux: it spares the file system's journal an entry for the time of the change,
// which would wear the card more than the change.
func meteredSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := meteredFile(file)
	f.syncs.Add(1)
	if f.synced && hasDatasync {
		return datasync(file)
	}
	rc := call[syncFunc](f.methods.FxSync)(tls, file, flags)
	f.synced = rc == sqlite3.SQLITE_OK
	return rc
}

// at is the C structure at an address.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// call is the function that a C pointer to one stands for.
func call[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

// clone copies a C structure into C memory of its own, which is never freed.
func clone[T any](tls *libc.TLS, p uintptr) (uintptr, error) {
	c := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*at[T](p))))
	if c == 0 {
		return 0, fmt.Errorf("count SQLite's writes: out of memory")
	}
	*at[T](c) = *at[T](p)
	return c, nil
}
