//go:build !linux

package mdns

import (
	"context"
	"errors"
)

// changes can't be seen here.
func changes(context.Context) (<-chan struct{}, error) { return nil, errors.ErrUnsupported }
