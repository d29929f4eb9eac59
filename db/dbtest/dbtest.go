// Package dbtest opens real databases for tests.
package dbtest

import (
	"testing"

	"picloud/db"
)

// Open opens a migrated picloud.db in tb.TempDir and closes it when the test ends.
func Open(tb testing.TB, o ...func(*db.Options)) *db.DB { panic("not written yet") }

// OpenLogs does so for logs.db.
func OpenLogs(tb testing.TB, o ...func(*db.Options)) *db.DB { panic("not written yet") }
