// Command picloud is PiCloud Edge: the server and its command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"picloud/app/cli"
	"picloud/app/executor"
)

func main() {
	executor.Worker() // before anything else: a worker has nothing to do with the rest
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal stops at once: the first puts the default behaviour back.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
