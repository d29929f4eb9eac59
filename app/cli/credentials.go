package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"picloud/app/cloud"
	"picloud/durable"
)

// credential is the key that a login made.
type credential struct {
	Username string      `json:"username"`
	KeyID    cloud.KeyID `json:"key_id"`
	Key      string      `json:"key"`
}

// credentials are what is known of instances, by their address.
type credentials struct {
	Instances map[string]credential `json:"instances"`
}

// credentialsPath is picloud/credentials.json in the user's configuration directory.
func credentialsPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the configuration directory (set HOME or XDG_CONFIG_HOME): %w", err)
	}
	return filepath.Join(dir, "picloud", "credentials.json"), nil
}

// readCredentials reads the file; a missing one is empty. One that others may read is
// refused: what it holds may be known already.
func readCredentials(path string) (*credentials, error) {
	c := &credentials{Instances: map[string]credential{}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the stored keys: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %o): delete its keys in the dashboard if somebody may have, and run chmod 600 on it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the stored keys: %w", err)
	}
	if err := json.Unmarshal(b, c); err != nil || c.Instances == nil {
		return nil, fmt.Errorf("%s is not what picloud login wrote: move it away and log in again", path)
	}
	return c, nil
}

// write replaces the file at once or not at all. Only its owner may read it and its directory.
func (c *credentials) write(path string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the keys: %w", err)
	}
	if err := durable.MakeDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("store the key: %w", err)
	}
	if err := durable.Replace(path, append(b, '\n')); err != nil {
		return fmt.Errorf("store the key: %w", err)
	}
	return nil
}
