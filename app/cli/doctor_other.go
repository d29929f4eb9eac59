//go:build !linux

package cli

import "errors"

func kernelClock() (synced, known bool) { return false, false }

func statfs(string) (volume, error) {
	return volume{}, errors.New("this system doesn't tell")
}
