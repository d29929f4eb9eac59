//go:build !linux

package outbox

// yieldThread does nothing: priorities of single threads are Linux's own.
func yieldThread() {}
