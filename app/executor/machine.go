package executor

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// machineMemory is how many bytes this process may count on: what the machine has, or the
// limit of the cgroup when that is less. 1 GiB when nothing tells.
func machineMemory() int64 {
	total := int64(1 << 30)
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer f.Close()
		if kib := memTotal(bufio.NewScanner(f)); kib > 0 {
			total = kib << 10
		}
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
			total = min(total, n)
		}
	}
	return total
}

func memTotal(s *bufio.Scanner) (kib int64) {
	for s.Scan() {
		if rest, ok := strings.CutPrefix(s.Text(), "MemTotal:"); ok {
			kib, _ = strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			break
		}
	}
	return kib
}
