package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"picloud/scripts/faultfs/disk"
)

type faults []*disk.Fault

func (f *faults) String() string { return "" }

func (f *faults) Set(spec string) error {
	fault, err := disk.ParseFault(spec)
	*f = append(*f, fault)
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "faultfs:", err)
		os.Exit(1)
	}
}

func run() error {
	var o disk.Options
	var control string
	var fs faults
	flag.StringVar(&o.Backing, "backing", "", "folder that holds the files")
	flag.StringVar(&o.Dir, "mount", "", "where to mount it")
	flag.StringVar(&o.Record, "record", "", "file that gets every change")
	flag.StringVar(&control, "control", "", "unix socket that takes commands")
	flag.Var(&fs, "fault", "fault in force from the start, as in the command of that name; may be repeated")
	flag.Parse()
	if flag.Arg(0) == "send" && control != "" {
		return send(control, strings.Join(flag.Args()[1:], " "))
	}
	if o.Backing == "" || o.Dir == "" || flag.NArg() > 0 {
		return errors.New("give -backing and -mount, or -control and send 'COMMAND' (see doc.go)")
	}
	return serve(o, control, fs)
}

func send(socket, command string) error {
	c, err := disk.Dial(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.Do(command)
	if err != nil {
		return err
	}
	fmt.Println(answer)
	return nil
}

func serve(o disk.Options, control string, fs faults) (err error) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	d, err := disk.Mount(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Unmount()) }()
	for _, f := range fs {
		d.AddFault(f)
	}
	if control != "" {
		l, err := net.Listen("unix", control)
		if err != nil {
			return err
		}
		defer l.Close()
		go d.Control(l)
	}
	fmt.Println("ready")
	<-stop
	return nil
}
