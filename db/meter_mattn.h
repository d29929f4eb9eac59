#ifndef PICLOUD_METER_H
#define PICLOUD_METER_H

#include <stdint.h>

// What was written to one file; laid out like counter in meter.go.
struct picloud_counter {
	int64_t bytes, syncs;
};

// The counters of one database, kept by its path until the process ends.
struct picloud_meter {
	struct picloud_counter file, wal;
	struct picloud_meter *next;
	char path[];
};

// picloud_meter returns the counters of the database at path, NULL when there is no memory
// or SQLite refuses. Calls must not overlap.
struct picloud_meter *picloud_meter(const char *path);

#endif
