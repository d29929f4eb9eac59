//go:build !linux

package cli

import "io"

// hideTyping does nothing here: use a pipe where somebody may look over the shoulder.
func hideTyping(io.Reader) (show func()) { return func() {} }
