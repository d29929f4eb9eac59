package cli

import "golang.org/x/sys/unix"

// kernelClock asks the kernel whether something keeps its clock right.
func kernelClock() (synced, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, true
}

func statfs(path string) (volume, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return volume{}, err
	}
	return volume{
		free: int64(s.Bavail) * int64(s.Bsize), size: int64(s.Blocks) * int64(s.Bsize),
		freeFiles: s.Ffree, files: s.Files, readOnly: s.Flags&unix.ST_RDONLY != 0,
	}, nil
}
