package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// wallClock is the wall clock of one process, which shows another time than the machine's.
// The process asks for the time in a page that the kernel gave it (the vDSO), so nothing else
// could show it another one: that page is changed, in this process alone, before its first
// instruction runs. Monotonic time is left as it is, as it is when somebody sets a clock.
type wallClock struct {
	pid   int
	ahead int64 // where the process finds by how many seconds its clock is ahead
}

// launch starts cmd with a clock that is ahead by d, or behind when d is negative.
func (c *wallClock) launch(cmd *exec.Cmd, d time.Duration) error {
	runtime.LockOSThread() // whom ptrace answers
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pid = cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(c.pid, &status, 0, nil); err != nil {
		return err
	}
	return errors.Join(c.install(d), syscall.PtraceDetach(c.pid))
}

// launcher is launch for an instance.
func (c *wallClock) launcher(d time.Duration) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error { return c.launch(cmd, d) }
}

// shifted is clock_gettime(2) by the system call, plus what lies behind it for the wall clock.
var shifted = []byte{
	0xb8, 228, 0, 0, 0, // mov eax, clock_gettime
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi: CLOCK_REALTIME?
	0x75, 10, // jnz ret
	0x4c, 0x8b, 0x05, 6, 0, 0, 0, // mov r8, [rip+6]
	0x4c, 0x01, 0x06, // add [rsi], r8
	0xc3, // ret
	0, 0, // up to a multiple of 8
	0, 0, 0, 0, 0, 0, 0, 0, // seconds
}

// install puts shifted behind the last instruction of the page, and a jump to it where
// clock_gettime begins.
func (c *wallClock) install(d time.Duration) error {
	from, to, err := vdso(c.pid)
	if err != nil {
		return err
	}
	page := make([]byte, to-from)
	if _, err := syscall.PtracePeekData(c.pid, uintptr(from), page); err != nil {
		return fmt.Errorf("read the vDSO: %w", err)
	}
	begin, err := symbol(page, "__vdso_clock_gettime")
	if err != nil {
		return err
	}
	at := len(page) - len(shifted)
	if !bytes.Equal(page[at:], make([]byte, len(shifted))) {
		return errors.New("no room behind the vDSO")
	}
	jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(at-int(begin)-5))
	c.ahead = from + int64(len(page)) - 8
	for where, what := range map[int64][]byte{from + int64(at): shifted, from + int64(begin): jump} {
		if _, err := syscall.PtracePokeData(c.pid, uintptr(where), what); err != nil {
			return fmt.Errorf("change the vDSO: %w", err)
		}
	}
	return c.set(d)
}

// set makes the clock jump: from now on it is ahead by d.
func (c *wallClock) set(d time.Duration) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = mem.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(int64(d/time.Second))), c.ahead)
	return errors.Join(err, mem.Close())
}

// vdso is where the kernel put the page.
func vdso(pid int) (from, to int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.SplitSeq(string(maps), "\n") {
		if !strings.HasSuffix(line, "[vdso]") {
			continue
		}
		a, b, _ := strings.Cut(line[:strings.IndexByte(line, ' ')], "-")
		from, err1 := strconv.ParseInt(a, 16, 64)
		to, err2 := strconv.ParseInt(b, 16, 64)
		return from, to, errors.Join(err1, err2)
	}
	return 0, 0, errors.New("the process has no vDSO")
}

// symbol is where a function begins in an image.
func symbol(image []byte, name string) (uint64, error) {
	f, err := elf.NewFile(io.NewSectionReader(bytes.NewReader(image), 0, int64(len(image))))
	if err != nil {
		return 0, fmt.Errorf("read the vDSO: %w", err)
	}
	all, err := f.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("read the vDSO: %w", err)
	}
	for _, s := range all {
		if s.Name == name {
			return s.Value, nil
		}
	}
	return 0, fmt.Errorf("the vDSO has no %s", name)
}
