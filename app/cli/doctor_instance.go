package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"picloud/app/cloud"
)

// version is the product's version of an instance, "" for what is none.
func (c *client) version(ctx context.Context) string {
	resp, err := c.request(ctx, http.MethodGet, "/version", http.NoBody, "")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var v struct {
		Product string `json:"product"`
		Schema  int    `json:"schema"`
	}
	if err != nil || json.Unmarshal(b, &v) != nil || v.Schema == 0 {
		return ""
	}
	return v.Product
}

// checkInstance asks an instance how it is.
func checkInstance(r *remote) []finding {
	const name = "instance"
	if err := r.ready(); err != nil {
		return []finding{fail(name, "see whether it runs (systemctl status picloud) and what it logged (journalctl -u picloud)", "%s: %v", r.base, err)}
	}
	s, err := r.ask(http.MethodGet, "/system", nil)
	switch kind := cloud.KindOf(err); {
	case kind == cloud.Forbidden, kind == cloud.Unauthenticated:
		return []finding{ok(name, "%s is ready", r.base), warn(name, "use a key of an administrator with instance:admin to see more", "this key may not see how it is")}
	case err != nil:
		return []finding{fail(name, "see what it logged (journalctl -u picloud)", "%s: %v", r.base, err)}
	}
	found := []finding{ok(name, "%s is ready, version %s", r.base, textOf(fieldOf(s, "version.product"), false))}
	found = append(found, checkReplica(s)...)
	found = append(found, checkWork(s)...)
	warnings, _ := s["warnings"].([]any)
	for _, w := range warnings {
		found = append(found, warn(name, "see docs/limits.md and the system page", "%s", textOf(w, false)))
	}
	return found
}

// ready asks for /readyz, and compares the clocks on the way.
func (r *remote) ready() error {
	ctx, cancel := context.WithTimeout(r.cmd.Context(), answerTimeout)
	defer cancel()
	resp, err := r.request(ctx, http.MethodGet, "/readyz", http.NoBody, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return r.refused(resp, b)
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		if skew := time.Since(at).Abs(); skew > maxSkew {
			return fmt.Errorf("its clock and this one are %s apart", skew.Round(time.Second))
		}
	}
	return nil
}

// maxSkew is how far two sound clocks can be apart.
const maxSkew = time.Minute

// checkReplica tells how the second copy is.
func checkReplica(s object) []finding {
	const name = "second copy"
	lag, target := textOf(fieldOf(s, "replication.lag_seconds"), false), textOf(fieldOf(s, "replication.target"), false)
	why := textOf(fieldOf(s, "replication.last_error"), false)
	switch state := textOf(fieldOf(s, "replication.state"), false); state {
	case "ok":
		return []finding{ok(name, "%s is up to date", target)}
	case "outside":
		return []finding{ok(name, "another process makes it")}
	case "behind":
		return []finding{warn(name, "see whether the network is there; it catches up by itself", "%s is %s s behind", target, lag)}
	case "off":
		return []finding{warn(name, "write a litestream.yml: without a second copy a broken disk loses everything", "there is none")}
	default:
		return []finding{fail(name, "picloud backup status tells more; see docs/backup.md", "%s: %s, %s s behind: %s", target, state, lag, why)}
	}
}

// oldWork is how many seconds due work may wait on a machine that keeps up.
const oldWork = 60

// checkWork tells whether events wait or failed.
func checkWork(s object) (found []finding) {
	if n := textOf(fieldOf(s, "outbox.unresolved_dead_letters"), false); n != "" && n != "0" {
		found = append(found, warn("dead letters", "picloud dlq list --app APP, then replay or resolve them", "%s events used up their attempts", n))
	}
	if n, isNumber := fieldOf(s, "outbox.oldest_due_seconds").(json.Number); isNumber {
		if seconds, err := n.Float64(); err == nil && seconds > oldWork {
			found = append(found, warn("outbox", "see picloud outbox list and the quotas; the machine may be too slow for what it is asked to do", "due work has waited for %.0f s", seconds))
		}
	}
	return found
}
