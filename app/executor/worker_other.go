//go:build !linux

package executor

import (
	"os"

	"picloud/app/cloud"
)

var errNoIsolation = cloud.Errorf(cloud.Invalid, "PICLOUD_ISOLATION=process needs Linux: leave it at inprocess here")

func isolated() error { return errNoIsolation }

func (p *workers) starter() { <-p.quit }

func (p *workers) start(cloud.AppID) (*worker, error) { return nil, errNoIsolation }

func endOf(*os.ProcessState, string) string { return endFault }

func (w *worker) filtered() bool { return false }

func lockUp(int64) error { return errNoIsolation }
