//go:build !(386 || arm)

package executor

import (
	"unsafe"

	lib "modernc.org/libquickjs"
)

const valueSize = unsafe.Sizeof(lib.TJSValue{})

var jsException = lib.TJSValue{Ftag: lib.EJS_TAG_EXCEPTION}
var jsUndefined = lib.TJSValue{Ftag: lib.EJS_TAG_UNDEFINED}

func tagOf(v lib.TJSValue) int32       { return int32(v.Ftag) }
func pointerOf(v lib.TJSValue) uintptr { return *(*uintptr)(unsafe.Pointer(&v)) }
func int32Of(v lib.TJSValue) int32     { return int32(*(*uint64)(unsafe.Pointer(&v))) }
func float64Of(v lib.TJSValue) float64 { return *(*float64)(unsafe.Pointer(&v)) }
