package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"picloud/app/replica"
)

// honoVersion is the one that scripts/hono/package.json names.
const honoVersion = "4.13.19"

// honoModules is a node_modules with Hono in it, which npm fills once in the user's cache.
func honoModules() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "picloud", "hono-"+honoVersion, "node_modules")
}

// installHono reports whether Hono is there, after an attempt to install it.
var installHono = sync.OnceValue(func() bool {
	modules := honoModules()
	if _, err := os.Stat(filepath.Join(modules, "hono", "package.json")); err == nil {
		return true
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return false
	}
	out, err := exec.Command(npm, "install", "--prefix", filepath.Dir(modules), "--no-audit", "--no-fund", "--silent", "hono@"+honoVersion).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "npm can't install hono: %v\n%s\n", err, out)
	}
	return err == nil
})

// condition knows [hono]: the npm package is there, or could be installed; and [replicates]:
// this build may replicate inside the instance.
func condition(name string) (bool, error) {
	switch name {
	case "hono":
		return installHono(), nil
	case "replicates":
		return replica.Supported, nil
	}
	return false, fmt.Errorf("no condition %q", name)
}
