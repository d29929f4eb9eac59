package executor

import (
	"testing"

	"golang.org/x/sys/unix"

	"picloud/app/cloud"
)

// An execution that computes for long goes on at the lowest priority, and says so; one that
// doesn't leaves its thread as it was.
func TestOverrun(t *testing.T) {
	m := newMachine(t, Options{Isolation: InProcess})
	short := m.scripts.save(cloud.Script{Source: `export default () => 1`})
	long := m.scripts.save(cloud.Script{TimeoutSeconds: 300, Source: `export default () => { let n = 0; for (let i = 0; i < 1e6; i++) n += i; return n }`})
	done := make(chan struct{})
	go func() {
		defer close(done) // with it the thread ends
		if res := m.call(short); res.Err != nil || res.Overran {
			t.Errorf("a short one: %v, overran %v", res.Err, res.Overran)
		}
		if nice := priority(t); nice != 0 {
			t.Logf("the test itself runs at %d, which can only grow", nice)
			return
		}
		if res := m.call(long); res.Err != nil || !res.Overran {
			t.Errorf("a long one: %v, overran %v", res.Err, res.Overran)
		}
		if nice := priority(t); nice != overrunNice {
			t.Errorf("its thread is at %d, want %d", nice, overrunNice)
		}
	}()
	<-done
}

// priority is the nice value of the calling thread.
func priority(t *testing.T) int {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()) // 20 less the nice value
	if err != nil {
		t.Error(err)
	}
	return 20 - raw
}
