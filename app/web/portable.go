package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"picloud/app/cloud"
	"picloud/app/portable"
)

// Portable is what export, import and rewinding of one app need of the whole machine.
type Portable struct {
	// Export writes an app to a file, which only the caller has.
	Export func(context.Context, cloud.AppID) (*os.File, error)
	// Import makes an app of what body holds. source is the slug or id of the app in it, ""
	// for the only one.
	Import func(ctx context.Context, body io.Reader, source string, o portable.Options) (*cloud.App, *portable.Imported, error)
	// Rewind compares an app with what it was, and puts that in its place when apply is set.
	Rewind func(ctx context.Context, app cloud.AppID, from RewindFrom, apply, skipTaken bool) (*Rewound, error)
	// MaxBytes bounds the files that are sent.
	MaxBytes int64
}

// RewindFrom is where the former state comes from: the second copy at a time, or a file.
type RewindFrom struct {
	At   time.Time
	File io.Reader // an export of the app, or a copy of the database
}

// Rewound says what differs between an app and what it was, and whether that was put in its
// place.
type Rewound struct {
	StateOf cloud.Time             `json:"state_of"` // the moment that the second copy had; null for a file
	Applied bool                   `json:"applied"`
	Changes []portable.TableChange `json:"changes"`
	Skipped []string               `json:"skipped"` // what was left out, and why
}

// noPortable is the Portable of a server that was given none.
var noPortable = &Portable{
	Export: func(context.Context, cloud.AppID) (*os.File, error) { return nil, errNoPortable },
	Import: func(context.Context, io.Reader, string, portable.Options) (*cloud.App, *portable.Imported, error) {
		return nil, nil, errNoPortable
	},
	Rewind: func(context.Context, cloud.AppID, RewindFrom, bool, bool) (*Rewound, error) {
		return nil, errNoPortable
	},
}

var errNoPortable = cloud.Errorf(cloud.Conflict, "this instance moves no apps")

const exportMedia = "application/vnd.sqlite3"

// exportApp streams an app as one file.
func (s *Server) exportApp(ctx context.Context, q *request, _ none) error {
	if q.r.Method == http.MethodHead { // making the file to tell its size is not worth it
		secure(q.w.Header())
		q.w.Header().Set("Content-Type", exportMedia)
		return nil
	}
	f, err := s.Portable.Export(ctx, q.appID)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := q.w.Header()
	secure(h)
	h.Set("Content-Type", exportMedia)
	h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	h.Set("Content-Disposition", `attachment; filename="`+q.app.Slug+"-"+s.Now().UTC().Format("20060102T150405Z")+`.picloud"`)
	q.w.WriteHeader(http.StatusOK)
	if err := sendFile(q.w, f); err != nil {
		s.log.Warn("a download of an app was broken off", "app", q.appID, "err", err)
	}
	return nil
}

// uploaded is the body of a request that brings a file: bounded, and given up when nothing
// comes for a while.
func (s *Server) uploaded(q *request) io.Reader {
	control := http.NewResponseController(q.w)
	body := http.MaxBytesReader(q.w, q.r.Body, s.Portable.MaxBytes)
	return readerFunc(func(b []byte) (int, error) {
		_ = control.SetReadDeadline(time.Now().Add(patience))
		n, err := body.Read(b)
		if errors.As(err, new(*http.MaxBytesError)) {
			err = cloud.Errorf(cloud.TooLarge, "the file has more than %d bytes: an operator can raise PICLOUD_MAX_IMPORT_BYTES", s.Portable.MaxBytes)
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type importQuery struct {
	Slug      string `json:"slug"`       // that of the file when left out
	Name      string `json:"name"`       // likewise
	Source    string `json:"source"`     // which app of the file; the only one when left out
	Members   bool   `json:"members"`    // give users of the same name the roles that they had
	LeaveWork bool   `json:"leave_work"` // leave out what waited to run
	SkipTaken bool   `json:"skip_taken"` // leave out routes and domains that another app has
}

// importAnswer is the app that was made, and what became of the file's rows.
type importAnswer struct {
	App *appView `json:"app"`
	portable.Imported
}

func (s *Server) importApp(ctx context.Context, q *request, in importQuery) (*importAnswer, error) {
	o := portable.Options{By: q.who.User, Slug: in.Slug, Name: in.Name, Members: in.Members, LeaveWork: in.LeaveWork, SkipTaken: in.SkipTaken}
	a, done, err := s.Portable.Import(ctx, s.uploaded(q), in.Source, o)
	if err != nil {
		return nil, err
	}
	q.appID = a.ID
	q.note(a.ID, "%s", a.Slug)
	n, err := s.Outbox.CountUnresolved(ctx, a.ID)
	return &importAnswer{s.view(q, a, n), *done}, err
}

type rewindQuery struct {
	Timestamp cloud.Time `json:"timestamp" required:"true"`
}

// planRewind says what a rewind would do.
func (s *Server) planRewind(ctx context.Context, q *request, in rewindQuery) (*Rewound, error) {
	if in.Timestamp == 0 {
		return nil, cloud.Errorf(cloud.BadRequest, "timestamp: say when, such as 2026-01-31T12:00:00Z")
	}
	return s.Portable.Rewind(ctx, q.appID, RewindFrom{At: in.Timestamp.Time()}, false, false)
}

type rewindInput struct {
	Timestamp cloud.Time `json:"timestamp" required:"true"`
	SkipTaken bool       `json:"skip_taken"` // leave out routes and domains that another app has now
}

func (s *Server) rewind(ctx context.Context, q *request, in rewindInput) (*Rewound, error) {
	q.note(q.appID, "to %s", in.Timestamp)
	return s.Portable.Rewind(ctx, q.appID, RewindFrom{At: in.Timestamp.Time()}, true, in.SkipTaken)
}

type rewindFileQuery struct {
	Apply     bool `json:"apply"` // otherwise only say what it would do
	SkipTaken bool `json:"skip_taken"`
}

func (s *Server) rewindFile(ctx context.Context, q *request, in rewindFileQuery) (*Rewound, error) {
	q.note(q.appID, "to a file, applied: %v", in.Apply)
	return s.Portable.Rewind(ctx, q.appID, RewindFrom{File: s.uploaded(q)}, in.Apply, in.SkipTaken)
}
