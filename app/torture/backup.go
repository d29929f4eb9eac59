package torture

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"picloud/schema"
)

// copyEvery is how often a copy of the database is downloaded.
const copyEvery = 3 * time.Second

// download takes copies of the database while it is written and killed. One that arrived whole
// must be sound; what one that was cut leaves on the disk is looked for by leftovers.
func (t *torture) download(ctx context.Context) {
	for sleep(ctx, copyEvery) == nil {
		t.gate.RLock()
		if err := t.downloadOne(ctx); err != nil && ctx.Err() == nil {
			t.stop(err)
		}
		t.gate.RUnlock()
	}
}

func (t *torture) downloadOne(ctx context.Context) error {
	base, err := t.in.address(ctx)
	if err != nil {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/admin/backup", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.api.key)
	resp, err := t.api.client.Do(req)
	if err != nil {
		return nil // it was killed
	}
	defer resp.Body.Close()
	dir, err := os.MkdirTemp(t.o.Dir, "backup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "picloud.db")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return nil
	}
	t.report.copied()
	return inspect(ctx, name, schema.State, always)
}
