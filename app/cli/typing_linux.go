package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// hideTyping stops a terminal from showing what is typed, until the returned function is
// called. Anything else than a terminal is left alone.
func hideTyping(in io.Reader) (show func()) {
	f, ok := in.(*os.File)
	if !ok {
		return func() {}
	}
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }
}
