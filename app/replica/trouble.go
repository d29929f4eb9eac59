package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/benbjohnson/litestream"
)

// Where replication can be stuck.
const (
	atStage  = iota // from the database to local files
	atUpload        // from there to the target
	places
)

// repeatAfter is how long the same trouble is not logged again.
const repeatAfter = time.Hour

// trouble is what keeps replication from going on.
type trouble struct {
	mu     sync.Mutex // guards what follows
	errs   [places]error
	text   [places]string
	logged [places]time.Time
}

func (t *trouble) at(place int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.errs[place]
}

// any is the trouble there is, that of uploading first; nil when there is none.
func (t *trouble) any() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.errs[atUpload] != nil {
		return t.errs[atUpload]
	}
	return t.errs[atStage]
}

// report notes a failed attempt. It logs the first, a different one, and once an hour.
func (t *trouble) report(r *Replicator, place int, err error) {
	if local(err) {
		r.health.errs.Add(1) // the guard counts the others
	}
	err = explain(err)
	t.mu.Lock()
	first, text := t.errs[place] == nil, err.Error()
	log := text != t.text[place] || time.Since(t.logged[place]) > repeatAfter
	t.errs[place], t.text[place] = err, text
	if log {
		t.logged[place] = time.Now()
	}
	t.mu.Unlock()
	if log {
		r.log.Error("replication fails; the instance goes on, and so do the attempts", "target", r.target, "err", err)
	}
	if first {
		r.keepBehind(r.behindSince())
	}
}

// over notes a success, and reports whether there was trouble before.
func (t *trouble) over(r *Replicator, place int) bool {
	t.mu.Lock()
	was := t.errs[place] != nil
	t.errs[place], t.text[place] = nil, ""
	t.mu.Unlock()
	if was && place == atUpload {
		r.log.Info("replication goes on", "target", r.target)
	}
	if was && r.trouble.any() == nil {
		r.keepBehind(time.Time{})
	}
	return was
}

func (r *Replicator) keepBehind(t time.Time) {
	if err := r.notes.setBehind(t); err != nil {
		r.log.Debug("note the state of the replication", "err", err)
	}
}

// local reports whether err is of this machine and not of the target.
func local(err error) bool {
	var e *litestream.LTXError
	return errors.As(err, &e) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, litestream.ErrDiskFull)
}

// codes are the S3 errors that an operator can do something about.
var codes = map[string]string{
	"NoSuchBucket":                 "the bucket does not exist: create it, or mend its name in litestream.yml",
	"AccessDenied":                 "access is denied: the key needs to list, read, write and delete objects in the bucket",
	"Forbidden":                    "access is denied: the key needs to list, read, write and delete objects in the bucket",
	"InvalidAccessKeyId":           "the access key is not known there: check access-key-id in litestream.yml",
	"SignatureDoesNotMatch":        "the secret key is wrong: check secret-access-key in litestream.yml",
	"RequestTimeTooSkewed":         "the clock of this machine is wrong: set it, or connect to the network for NTP",
	"PermanentRedirect":            "the bucket is in another region: set region in litestream.yml",
	"AuthorizationHeaderMalformed": "the bucket is in another region: set region in litestream.yml",
	"InvalidObjectState":           "the object is in an archive: choose another storage class",
	"QuotaExceeded":                "the storage there is full",
}

// Problem is an error that tells an operator what is wrong and what to do.
type Problem struct {
	Text  string // without secrets and paths
	Cause error
}

func (p *Problem) Error() string { return p.Text }
func (p *Problem) Unwrap() error { return p.Cause }

// explain words err for an operator; it keeps what it can't say better.
func explain(err error) error {
	var done *Problem
	if err == nil || errors.As(err, &done) {
		return err
	}
	return &Problem{words(err), err}
}

func words(err error) string {
	var lease *LeaseError
	var dns *net.DNSError
	var op *net.OpError
	var path *fs.PathError
	switch text := codes[code(err)]; {
	case text != "":
		return text
	case errors.As(err, &lease):
		return lease.Error()
	case errors.Is(err, errNoAnswer), errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer.Error()
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, litestream.ErrDiskFull):
		return "the disk is full: make room, replication goes on by itself"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the target refuses the connection: is it running, and is the endpoint right?"
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s can't be resolved: is the network up, and is the endpoint right?", dns.Name)
	case errors.As(err, &op):
		return fmt.Sprintf("the target can't be reached: %v", op.Err)
	case errors.As(err, &path):
		return fmt.Sprintf("%s %s: %v", path.Op, filepath.Base(path.Path), path.Err)
	}
	return short(err.Error())
}

// maxText bounds an error's text, in bytes.
const maxText = 400

func short(s string) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
