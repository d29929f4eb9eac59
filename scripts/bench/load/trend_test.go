package load

import (
	"math"
	"testing"
)

func TestTrend(t *testing.T) {
	tests := []struct {
		name string
		x, y []float64
		want float64
	}{
		{"nothing", nil, nil, 0},
		{"one point", []float64{1}, []float64{5}, 0},
		{"one x", []float64{1, 1}, []float64{5, 7}, 0},
		{"flat", []float64{0, 10, 20}, []float64{3, 3, 3}, 0},
		{"a line", []float64{0, 10, 20}, []float64{1, 6, 11}, .5},
		{"falling", []float64{10, 20, 40}, []float64{4, 2, -2}, -.2},
		{"saw", []float64{0, 1, 2, 3}, []float64{0, 2, 0, 2}, .4},
	}
	for _, tt := range tests {
		if got := Trend(tt.x, tt.y); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
