package data

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
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
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "picloud_bytes_written_total" })
	if err != nil || i < 0 || len(families[i].GetMetric()) != 1 {
		t.Fatalf("got %v, %v", families, err)
	}
	m := families[i].GetMetric()[0]
	if got := m.GetCounter().GetValue(); got != 4 {
		t.Errorf("got %v bytes, want 4", got)
	}
	if l := m.GetLabel()[0]; l.GetName() != "app" || l.GetValue() != r.app.String() {
		t.Errorf("labels %v", m.GetLabel())
	}
}
