package data

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

// BenchmarkHotKey has clients read and write one key, each commit one execution.
func BenchmarkHotKey(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			benchmark(b, clients, func(_ int, u *tunit) error {
				_, err := u.Increment(u.ctx, "c", "hot", 1)
				return err
			})
		})
	}
}

// BenchmarkOwnKeys is the same without conflicts.
func BenchmarkOwnKeys(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			benchmark(b, clients, func(client int, u *tunit) error {
				_, err := u.Increment(u.ctx, "c", fmt.Sprint(client), 1)
				return err
			})
		})
	}
}

func benchmark(b *testing.B, clients int, f func(int, *tunit) error) {
	r := newRig(b, Options{})
	r.out = nil
	r.Store.out = silent{}
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	var all sync.WaitGroup
	var mu sync.Mutex
	total := 0
	b.ResetTimer()
	for client := range clients {
		all.Go(func() {
			for range work {
				reruns, err := r.do(b.Context(), func(u *tunit) error { return f(client, u) })
				if err != nil {
					b.Error(err)
				}
				mu.Lock()
				total += reruns
				mu.Unlock()
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(total)/float64(b.N), "reruns/op")
}

type silent struct{}

func (silent) Emit(context.Context, *db.Tx, cloud.Origin, cloud.Event) error { return nil }
