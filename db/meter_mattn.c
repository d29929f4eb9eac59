//go:build mattn

// The layer of meter_modernc.go for SQLite in C: it counts writes and fsyncs of the files
// that have a meter, and passes everything on.

#include "meter_mattn.h"

#include <stdlib.h>
#include <string.h>

// SQLite's interface to the operating system, as far as it is used here; its layout never
// changes (https://sqlite.org/c3ref/vfs.html, https://sqlite.org/c3ref/io_methods.html).
// The driver's package has the functions.
typedef struct sqlite3_file sqlite3_file;
typedef struct sqlite3_vfs sqlite3_vfs;
typedef struct sqlite3_io_methods sqlite3_io_methods;

struct sqlite3_file {
	const sqlite3_io_methods *methods;
};

struct sqlite3_io_methods {
	int version;
	int (*close)(sqlite3_file *);
	void *read;
	int (*write)(sqlite3_file *, const void *, int, int64_t);
	void *truncate;
	int (*sync)(sqlite3_file *, int);
	void *others[13];
};

struct sqlite3_vfs {
	int version, file_size, max_path;
	sqlite3_vfs *next;
	const char *name;
	void *data;
	int (*open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
	void *others[15];
};

sqlite3_vfs *sqlite3_vfs_find(const char *);
int sqlite3_vfs_register(sqlite3_vfs *, int);

enum { OK = 0, NO_MEMORY = 7, OPEN_MAIN_DB = 0x100, OPEN_WAL = 0x80000 };

// What the layer keeps behind the memory of each file that it counts.
struct tail {
	struct picloud_counter *counter;
	const sqlite3_io_methods *base;
	sqlite3_io_methods counting;
};

static sqlite3_vfs *base, shim;
static struct picloud_meter *meters; // new ones come first; read without a lock

static struct tail *tail_of(sqlite3_file *f) { return (struct tail *)((char *)f + shim.file_size - sizeof(struct tail)); }

static int metered_write(sqlite3_file *f, const void *buf, int n, int64_t offset) {
	struct tail *t = tail_of(f);
	int rc = t->base->write(f, buf, n, offset);
	if (rc == OK) __atomic_add_fetch(&t->counter->bytes, n, __ATOMIC_RELAXED);
	return rc;
}

static int metered_sync(sqlite3_file *f, int flags) {
	struct tail *t = tail_of(f);
	__atomic_add_fetch(&t->counter->syncs, 1, __ATOMIC_RELAXED);
	return t->base->sync(f, flags);
}

static struct picloud_counter *counter_of(const char *name) {
	for (struct picloud_meter *m = __atomic_load_n(&meters, __ATOMIC_ACQUIRE); m; m = m->next) {
		size_t n = strlen(m->path);
		if (strncmp(name, m->path, n) != 0) continue;
		if (name[n] == 0) return &m->file;
		if (strcmp(name + n, "-wal") == 0) return &m->wal;
	}
	return NULL;
}

static int metered_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out) {
	int rc = base->open(base, name, f, flags, out);
	struct picloud_counter *c = NULL;
	if (rc == OK && name && flags & (OPEN_MAIN_DB | OPEN_WAL)) c = counter_of(name);
	if (c) {
		struct tail *t = tail_of(f);
		t->counter = c;
		t->base = f->methods;
		t->counting = *f->methods;
		t->counting.write = metered_write;
		t->counting.sync = metered_sync;
		f->methods = &t->counting;
	}
	return rc;
}

static int install(void) {
	if (base) return OK;
	sqlite3_vfs *os = sqlite3_vfs_find(NULL);
	if (!os) return NO_MEMORY;
	shim = *os;
	shim.file_size = (os->file_size + 15) / 16 * 16 + sizeof(struct tail);
	shim.next = NULL;
	shim.name = "picloud";
	shim.open = metered_open;
	base = os;
	return sqlite3_vfs_register(&shim, 1);
}

struct picloud_meter *picloud_meter(const char *path) {
	if (install() != OK) return NULL;
	for (struct picloud_meter *m = meters; m; m = m->next)
		if (strcmp(m->path, path) == 0) return m;
	struct picloud_meter *m = calloc(1, sizeof *m + strlen(path) + 1);
	if (!m) return NULL;
	strcpy(m->path, path);
	m->next = meters;
	__atomic_store_n(&meters, m, __ATOMIC_RELEASE);
	return m;
}
