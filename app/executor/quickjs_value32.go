//go:build 386 || arm

package executor

import (
	"math"
	"unsafe"

	lib "modernc.org/libquickjs"
)

// On 32-bit machines QuickJS boxes values into the NaNs of a float64.
const (
	valueSize   = unsafe.Sizeof(lib.TJSValue(0))
	floatAddend = 0x7ff80000 - lib.EJS_TAG_FIRST + 1
)

var jsException = lib.TJSValue(lib.EJS_TAG_EXCEPTION) << 32
var jsUndefined = lib.TJSValue(lib.EJS_TAG_UNDEFINED) << 32

func tagOf(v lib.TJSValue) int32 {
	t := int32(v >> 32)
	if uint32(t-lib.EJS_TAG_FIRST) >= lib.EJS_TAG_FLOAT64-lib.EJS_TAG_FIRST {
		return lib.EJS_TAG_FLOAT64
	}
	return t
}

func pointerOf(v lib.TJSValue) uintptr { return uintptr(uint32(v)) }
func int32Of(v lib.TJSValue) int32     { return int32(v) }
func float64Of(v lib.TJSValue) float64 { return math.Float64frombits(v + floatAddend<<32) }
