// Package schema holds the SQL that makes the databases: numbered migrations, embedded.
package schema

import (
	"embed"
	"io/fs"
)

// State is picloud.db and Logs is logs.db: files named NNNN_what.sql, applied in order,
// never edited once released.
var (
	//go:embed state/*.sql
	State embed.FS
	//go:embed logs/*.sql
	Logs embed.FS
)

// Version is the number of the newest migration: what a file has that is up to date.
func Version(migrations fs.FS) int {
	names, err := fs.Glob(migrations, "*/*.sql")
	if err != nil {
		panic(err) // only a bad pattern
	}
	return len(names)
}
