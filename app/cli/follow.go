package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"picloud/app/cloud"
)

// Bounds of following.
const (
	followSilence = 50 * time.Second // the instance sends something every 15 s: after this the connection is dead
	followWait    = 30 * time.Second // most between two tries to connect
	followSeen    = 4096             // executions remembered, so that none is printed twice
	followEvent   = 16 << 20         // bytes of one event
	longestRun    = 5 * time.Minute  // of a script
)

// cloudTime is how the API writes times, so that they compare as text.
const cloudTime = "2006-01-02T15:04:05.000Z"

// follower prints executions as they finish.
type follower struct {
	*remote
	path   string // of the app's executions
	filter url.Values
	print  func(object) error

	began bool     // the past is printed
	seen  []string // ids printed lately, oldest first
	until string   // when the last one printed finished, or following began
}

// follow prints the past that the flags ask for, and then executions as they finish, until
// the command is stopped or may not read them any more.
func (r *remote) follow(path string, filter url.Values, p *logPrinter) error {
	f := &follower{remote: r, path: path, filter: filter, print: p.print}
	ctx := r.cmd.Context()
	for wait := time.Second; ; wait = min(2*wait, followWait) {
		connected, err := f.once(ctx)
		if connected {
			wait = time.Second
		}
		switch {
		case ctx.Err() != nil:
			return nil // stopped by the user
		case f.began && !lasting(err):
		default:
			return err
		}
		fmt.Fprintf(r.cmd.ErrOrStderr(), "picloud: the connection is lost (%v): trying again in %s\n", err, wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// lasting reports whether trying again is of no use.
func lasting(err error) bool {
	var own *cloud.Error
	return errors.As(err, &own) && own.Kind != cloud.Overloaded && own.Kind != cloud.Internal && own.Kind != cloud.Timeout || errors.Is(err, errPrint)
}

// errPrint is that standard output takes nothing any more.
var errPrint = errors.New("print")

// once connects, prints what was missed and then what comes, until the connection ends.
func (f *follower) once(ctx context.Context) (connected bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(followSilence, func() { cancel(errors.New("the instance is silent")) })
	defer silence.Stop()
	resp, err := f.request(ctx, http.MethodGet, adminAPI+f.path+"/stream?"+f.filter.Encode(), http.NoBody, "")
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return false, f.refused(resp, b)
	}
	if err := f.catchUp(); err != nil {
		return true, err
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil && !f.began {
		f.until = max(f.until, at.Format(cloudTime))
	}
	f.began = true
	err = readEvents(resp.Body, func() { silence.Reset(followSilence) }, f.event)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return true, err
}

func (f *follower) event(name string, data []byte) error {
	switch name {
	case "execution":
		var x object
		if err := decodeAnswer(data, &x); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		return f.show(x)
	case "end":
		var end struct{ Reason string }
		_ = decodeAnswer(data, &end)
		return cloud.Errorf(cloud.Forbidden, "%s says: %s", f.base, end.Reason)
	}
	return nil
}

// show prints an execution that wasn't printed yet.
func (f *follower) show(x object) error {
	id := text(x, "id")
	if slices.Contains(f.seen, id) {
		return nil
	}
	if f.seen = append(f.seen, id); len(f.seen) > followSeen {
		f.seen = slices.Delete(f.seen, 0, followSeen/4)
	}
	f.until = max(f.until, text(x, "finished_at"))
	if err := f.print(x); err != nil {
		return fmt.Errorf("%w: %w", errPrint, err)
	}
	return nil
}

// catchUp prints the past at first, and later what finished while there was no connection.
func (f *follower) catchUp() error {
	query := url.Values{}
	for name, v := range f.filter {
		query[name] = v
	}
	most := 0
	if !f.began {
		n, _ := f.cmd.Flags().GetUint("limit")
		most = int(n)
	} else if at, err := time.Parse(time.RFC3339, f.until); err == nil {
		query.Set("since", at.Add(-longestRun-time.Second).UTC().Format(time.RFC3339))
	}
	missed, _, err := f.pages(f.path, query, "items", most)
	if err != nil {
		return err
	}
	slices.SortStableFunc(missed, func(a, b object) int { return strings.Compare(text(a, "finished_at"), text(b, "finished_at")) })
	before := f.until
	for _, x := range missed {
		if text(x, "finished_at") < before {
			continue
		}
		if err := f.show(x); err != nil {
			return err
		}
	}
	return nil
}

// readEvents reads server-sent events until the stream ends. Each line, a comment too, is a
// sign of life. It ends with io.ErrUnexpectedEOF when the stream simply stops.
func readEvents(from io.Reader, alive func(), event func(name string, data []byte) error) error {
	s := bufio.NewScanner(from)
	s.Buffer(nil, followEvent)
	name, data := "", []byte(nil)
	for s.Scan() {
		alive()
		line := s.Text()
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			if err := event(name, data[:len(data)-1]); err != nil {
				return err
			}
			name, data = "", nil
		case line == "":
			name = ""
		case field == "event":
			name = value
		case field == "data":
			data = append(append(data, value...), '\n')
		}
	}
	if err := s.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
