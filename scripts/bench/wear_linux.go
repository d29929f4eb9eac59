package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// writtenBy is how many bytes of pages a process has made dirty, as the kernel accounts it.
func writtenBy(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			return strconv.ParseFloat(strings.TrimSpace(n), 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/io has no write_bytes", pid)
}

// deviceOf is where the kernel counts the device that holds dir.
func deviceOf(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)), nil
}

// writtenTo is how many bytes a device was given, once everything of dir is on it.
func writtenTo(device, dir string) (float64, error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return 0, err
	}
	b, err := os.ReadFile(device)
	if err != nil {
		return 0, err
	}
	sectors, err := strconv.ParseFloat(strings.Fields(string(b))[6], 64)
	return sectors * 512, err
}

// mountExt4 makes an ext4 in a file and mounts it.
func mountExt4() (dir string, unmount func(), err error) {
	base, err := os.MkdirTemp("", "wear")
	if err != nil {
		return "", nil, err
	}
	image, dir := filepath.Join(base, "image"), filepath.Join(base, "mount")
	for _, c := range [][]string{
		{"mkdir", dir}, {"truncate", "-s", "2G", image}, {"mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image}, {"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			os.RemoveAll(base)
			return "", nil, fmt.Errorf("%s: %w: %s", c[0], err, out)
		}
	}
	return dir, func() {
		if exec.Command("umount", dir).Run() == nil {
			os.RemoveAll(base)
		}
	}, nil
}

// childOf is the one child of a process.
func childOf(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// syscalls counts the writes and fsyncs of the databases with strace.
type syscalls struct {
	file   string
	offset int64
	begun  map[string]bool // threads in a call of interest that hasn't ended
	sum    called
}

type called struct{ bytes, fsyncs float64 }

// wrap makes a program that runs picloud under strace.
func (s *syscalls) wrap() string {
	s.begun = map[string]bool{}
	name := s.file + ".sh"
	text := fmt.Sprintf("#!/bin/sh\nexec strace -f --seccomp-bpf -qq -y -s 0 -e trace=pwrite64,fsync,fdatasync -o %s \"$PICLOUD_TRACED\" \"$@\"\n", s.file)
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		panic(err)
	}
	return name
}

// read adds what was traced since the last call.
func (s *syscalls) read() (called, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return called{}, err
	}
	defer f.Close()
	if _, err := f.Seek(s.offset, 0); err != nil {
		return called{}, err
	}
	for in := bufio.NewScanner(f); in.Scan(); {
		s.offset += int64(len(in.Bytes())) + 1
		s.line(in.Text())
	}
	return s.sum, nil
}

// line is "PID call(FD</path>, …) = RESULT", or its two halves when threads take turns.
func (s *syscalls) line(line string) {
	pid, call, _ := strings.Cut(line, " ")
	call = strings.TrimSpace(call)
	ours := strings.Contains(call, ".db>") || strings.Contains(call, ".db-wal>")
	switch {
	case strings.HasSuffix(call, "<unfinished ...>"):
		s.begun[pid] = ours
		return
	case strings.HasPrefix(call, "<..."):
		ours = s.begun[pid]
	}
	if !ours {
		return
	}
	if !strings.Contains(call, "pwrite64") {
		s.sum.fsyncs++
		return
	}
	_, result, _ := strings.Cut(call, ") = ")
	if n, err := strconv.ParseFloat(strings.TrimSpace(result), 64); err == nil {
		s.sum.bytes += n
	}
}
