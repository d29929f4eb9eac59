package executor

import (
	"testing"

	"picloud/app/cloud"
)

// BenchmarkLog is what one execution of an HTTP request costs the log: while it grows, and
// when it is full, so that each record written means one deleted.
func BenchmarkLog(b *testing.B) {
	for _, bb := range []struct {
		name string
		rows int64 // most that are kept
	}{{"growing", 1 << 40}, {"full", 10_000}} {
		b.Run(bb.name, func(b *testing.B) {
			l := testLog(b, LogOptions{MaxRows: bb.rows})
			app, script := cloud.NewID[cloud.AppID](), cloud.NewID[cloud.ScriptID]()
			write := func(n int) {
				for i := range n {
					inv := invocation(app)
					inv.Script = script
					inv.Request = &cloud.Request{Method: "GET", Host: "pi.local", Path: "/hello", Query: map[string]any{"name": "bench"},
						Headers: map[string]string{"accept": "*/*", "user-agent": "curl/8", "accept-encoding": "gzip", "accept-language": "en"}}
					l.Record(inv, &cloud.Result{StatusCode: 200, Body: []byte(`{"message":"Hello, bench!"}`), ScriptVersion: 1, DurationMS: .1})
					if i%logBatch == logBatch-1 || i == n-1 {
						l.flush(b.Context())
						l.trim(b.Context())
					}
				}
			}
			write(10_000)
			b.ReportAllocs()
			b.ResetTimer()
			write(b.N)
		})
	}
}
