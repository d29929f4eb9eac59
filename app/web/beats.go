package web

import (
	"sync"
	"time"
)

// topicHeartbeat keeps proxies from closing a stream on which nothing happens.
const topicHeartbeat = 25 * time.Second

// beats is one heartbeat for all streams of topics, however many there are; it rests when
// there are none.
type beats struct {
	mu      sync.Mutex // guards what follows
	streams int
	beat    chan struct{} // closed at the next beat
	timer   *time.Timer
}

func (b *beats) join() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.streams++; b.streams == 1 {
		b.beat = make(chan struct{})
		b.timer = time.AfterFunc(topicHeartbeat, b.strike)
	}
}

func (b *beats) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.streams--; b.streams == 0 {
		b.timer.Stop()
	}
}

func (b *beats) strike() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.streams == 0 {
		return
	}
	close(b.beat)
	b.beat = make(chan struct{})
	b.timer.Reset(topicHeartbeat)
}

// next is closed at the next beat. Only streams that have joined ask.
func (b *beats) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beat
}
