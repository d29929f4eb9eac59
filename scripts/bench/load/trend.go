package load

// Trend is the slope of the least-squares line through points: how much y changes while x grows
// by one. It is 0 for fewer than two different x.
func Trend(x, y []float64) (slope float64) {
	n := float64(len(x))
	var sx, sy float64
	for i := range x {
		sx += x[i]
		sy += y[i]
	}
	var above, below float64
	for i := range x {
		dx := x[i] - sx/n
		above += dx * (y[i] - sy/n)
		below += dx * dx
	}
	if below == 0 {
		return 0
	}
	return above / below
}
