//go:build !linux && !mattn

package db

const hasDatasync = false

func datasync(uintptr) int32 { panic("no fdatasync") }
