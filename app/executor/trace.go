package executor

import (
	"strconv"
	"strings"
)

// withoutPrelude drops the frames of the SDK's own code from a stack.
func withoutPrelude(stack string) string {
	if !strings.Contains(stack, "picloud.js") {
		return stack
	}
	var b strings.Builder
	for l := range strings.Lines(stack) {
		if !strings.Contains(l, "picloud.js:") {
			b.WriteString(l)
		}
	}
	return b.String()
}

// moveColumns adds by to the column after each occurrence of mark ("file.js:1:") in a stack.
func moveColumns(stack, mark string, by int) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(stack, mark)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(mark)
		end := 0
		for end < len(after) && after[end] >= '0' && after[end] <= '9' {
			end++
		}
		n, _ := strconv.Atoi(after[:end])
		b.WriteString(strconv.Itoa(max(n+by, 1)))
		stack = after[end:]
	}
}
