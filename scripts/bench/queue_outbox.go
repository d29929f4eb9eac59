package main

import "errors"

func openOutbox(dir, synchronous string, done func(string)) (queue, error) {
	return nil, errors.New("not here yet")
}
