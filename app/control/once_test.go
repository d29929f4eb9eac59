package control

import (
	"errors"
	"testing"

	"picloud/app/cloud"
)

func TestOnceRunsUntilItSucceeded(t *testing.T) {
	c := open(t)
	broken := errors.New("broken")
	for i, tt := range []struct {
		err  error
		want error
		runs bool
	}{
		{broken, broken, true},
		{cloud.Errorf(cloud.Conflict, "there already"), nil, true},
		{broken, nil, false},
	} {
		ran := false
		err := c.Once(ctx(), "starter", func() error { ran = true; return tt.err })
		if !errors.Is(err, tt.want) || ran != tt.runs {
			t.Errorf("call %d: got %v, ran %v; want %v, %v", i, err, ran, tt.want, tt.runs)
		}
	}
}
