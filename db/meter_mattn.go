//go:build mattn

package db

// The functions of SQLite that the C file calls are in the driver's package: the first link,
// of this package alone, doesn't find them.

// #cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-in-object-files
// #cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
// #include <stdlib.h>
// #include "meter_mattn.h"
import "C"

import (
	"errors"
	"sync"
	"unsafe"
)

var metersMu sync.Mutex // guards the list in C

// openMeter returns the counters of the database at path, which is to be opened afterwards.
// They are kept until the process ends: this driver serves tests.
func openMeter(path string) (m meter, free func(), err error) {
	metersMu.Lock()
	defer metersMu.Unlock()
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	c := C.picloud_meter(name)
	if c == nil {
		return meter{}, nil, errors.New("count SQLite's writes: out of memory")
	}
	return meter{
		file: (*counter)(unsafe.Pointer(&c.file)),
		wal:  (*counter)(unsafe.Pointer(&c.wal)),
	}, func() {}, nil
}
