// Package schema holds the SQL that makes the databases: numbered migrations, embedded.
package schema

import "embed"

// State is picloud.db and Logs is logs.db: files named NNNN_what.sql, applied in order,
// never edited once released.
var (
	//go:embed state/*.sql
	State embed.FS
	//go:embed logs/*.sql
	Logs embed.FS
)
