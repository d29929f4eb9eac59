//go:build !linux

package executor

import "time"

func threadID() int { return 0 }

func threadTime(int) time.Duration { return 0 }

func processTime(int) time.Duration { return 0 }

func lowerThread(int) bool { return false }

func yieldThread() {}
