package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// listen subscribes to the topic of the present round, again after every kill.
func (t *torture) listen(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		base, err := t.in.address(ctx)
		rd := t.round.Load()
		if err != nil || rd == nil || rd.subscribe(ctx, client, base) != nil {
			_ = sleep(ctx, 5*time.Millisecond)
		}
	}
}

// subscribe notes what it is sent until the stream breaks.
func (rd *round) subscribe(ctx context.Context, client *http.Client, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+rd.path("/realtime/topics/news"), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var m struct{ Message string }
		if ok && json.Unmarshal([]byte(data), &m) == nil && m.Message != "" {
			rd.mu.Lock()
			rd.live = append(rd.live, m.Message)
			rd.mu.Unlock()
		}
	}
	return lines.Err()
}

func (rd *round) heardLive() []string {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	return slices.Clone(rd.live)
}
