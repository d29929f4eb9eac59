package sdk

import (
	_ "embed"
	"strings"
)

// Types is picloud.d.ts: the whole surface for editors and for tsc, as `picloud types`
// prints it.
var Types string

//go:embed core.d.ts
var coreTypes string

// assembleTypes puts the modules' declarations behind the common ones.
func assembleTypes() string {
	var b strings.Builder
	b.WriteString("// picloud.d.ts: what PiCloud scripts can reach, SDK " + Version + ".\n")
	b.WriteString(coreTypes)
	for _, m := range Modules {
		b.WriteString("\n" + strings.TrimSpace(m.Types) + "\n")
	}
	return b.String()
}
