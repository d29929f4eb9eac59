package data

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestBytesWrittenAreCountedWhenCommitted(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	reg := prometheus.NewPedanticRegistry()
	for _, c := range r.Collectors() {
		reg.MustRegister(c)
	}
	r.put("k", `12`) // c, k and two digits
	u := r.begin1()
	u.set("c", "lost", `1`)
	u.Close()
	u = r.begin1()
	u.delete("c", "k")
	r.mustCommit(u)
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("got %v, %v", families, err)
	}
	m := families[0].GetMetric()[0]
	if got := m.GetCounter().GetValue(); families[0].GetName() != "picloud_bytes_written_total" || got != 4 {
		t.Errorf("%s is %v, want 4", families[0].GetName(), got)
	}
	if l := m.GetLabel()[0]; l.GetName() != "app" || l.GetValue() != r.app.String() {
		t.Errorf("labels %v", m.GetLabel())
	}
}
