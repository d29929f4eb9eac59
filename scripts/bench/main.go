// Command bench compares PiCloud with its peers on one machine in one run.
//
//	go run . http  -picloud BIN -pocketbase BIN   hello and insert over HTTP
//	go run . queue                                jobs per second and pick-up latency
//	go run . backlog -picloud BIN                 what one app's backlog costs the others
//	go run . hostile -picloud BIN                 what two hostile apps cost a third
//	go run . knee    -picloud BIN                 the highest open-loop rate, and latency at half of it
//	go run . limit   -picloud BIN                 beside each figure, the same work bare
//	go run . scale   -picloud BIN                 what much data, many apps, routes, triggers cost
//	go run . soak    -picloud BIN -d 30m          leaks under a mixed load
//	go run . wear    -picloud BIN                 bytes and fsyncs of each kind of request
package main

import (
	"fmt"
	"os"
)

var benches = map[string]func(args []string) error{
	"http":    httpBench,
	"queue":   queueBench,
	"backlog": backlogBench,
	"hostile": hostileBench,
	"knee":    kneeBench,
	"scale":   scaleBench,
	"soak":    soakBench,
	"limit":   limitBench,
	"bare":    bareServer, // of limit, which starts it itself
	"wear":    wearBench,
}

func main() {
	if len(os.Args) < 2 || benches[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench http|queue|backlog|hostile|knee|limit|scale|soak|wear [flags]")
		os.Exit(2)
	}
	if err := benches[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
