package web

import (
	"context"
	"net/http"
	"os"
	"strconv"

	"picloud/app/cloud"
)

// Backup is what the endpoints for copies of the database need of the whole machine.
type Backup struct {
	// Copy makes a consistent copy of the database, as a file that only the caller has.
	Copy func(context.Context) (*os.File, error)
	// Sync returns when the second copy has everything that was committed before the call.
	Sync func(context.Context) error
	// Verify begins a trial of the second copy; the system page shows its result.
	Verify func(context.Context) error
	// Points lists what can be restored, newest first, from before a transaction on.
	Points func(ctx context.Context, before string, limit int) ([]RestorePoint, error)
	// Status is the state of the second copy.
	Status func() SystemReplication
}

// RestorePoint is a state of the database that the second copy can restore.
type RestorePoint struct {
	TXID  string     `json:"txid"`
	At    cloud.Time `json:"at"`    // of its upload, where the target keeps no better time
	Level int        `json:"level"` // 0: a second or so; higher: joined with those before it; 9: a snapshot
	Bytes int64      `json:"bytes"`
}

// noBackup is the Backup of a server that was given none.
var noBackup = &Backup{
	Copy:   func(context.Context) (*os.File, error) { return nil, errNoBackup },
	Sync:   func(context.Context) error { return errNoBackup },
	Verify: func(context.Context) error { return errNoBackup },
	Points: func(context.Context, string, int) ([]RestorePoint, error) { return nil, nil },
	Status: func() SystemReplication { return SystemReplication{State: "off"} },
}

var errNoBackup = cloud.Errorf(cloud.Conflict, "this instance makes no copies")

// downloads bounds the copies that are made at once: each takes the room of the database.
const downloads = 1

func (s *Server) backupStatus(_ context.Context, _ *request, _ none) (SystemReplication, error) {
	return s.Backup.Status(), nil
}

func (s *Server) backupSync(ctx context.Context, _ *request, _ none) (SystemReplication, error) {
	if err := s.Backup.Sync(ctx); err != nil {
		return SystemReplication{}, err
	}
	return s.Backup.Status(), nil
}

func (s *Server) backupVerify(ctx context.Context, _ *request, _ none) (SystemReplication, error) {
	if err := s.Backup.Verify(ctx); err != nil {
		return SystemReplication{}, err
	}
	return s.Backup.Status(), nil
}

func (s *Server) backupPoints(ctx context.Context, _ *request, in pageQuery) (list[RestorePoint], error) {
	page, err := in.page()
	if err != nil {
		return list[RestorePoint]{}, err
	}
	limit := page.Clamp()
	points, err := s.Backup.Points(ctx, page.Cursor, limit+1)
	if err != nil || len(points) <= limit {
		return listOf(points, "", err)
	}
	return listOf(points[:limit], points[limit-1].TXID, nil)
}

// backupCopy streams a copy. The database goes on meanwhile: the copy is that of the moment
// at which it began.
func (s *Server) backupCopy(ctx context.Context, q *request, _ none) error {
	select {
	case s.copies <- struct{}{}:
	default:
		return cloud.Errorf(cloud.Overloaded, "another copy is being downloaded: try again when it is done")
	}
	defer func() { <-s.copies }()
	f, err := s.Backup.Copy(ctx)
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
	h.Set("Content-Type", "application/vnd.sqlite3")
	h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	h.Set("Content-Disposition", `attachment; filename="picloud-`+s.Now().UTC().Format("20060102T150405Z")+`.db"`)
	q.w.WriteHeader(http.StatusOK)
	if q.r.Method == http.MethodHead {
		return nil
	}
	if err := sendFile(q.w, f); err != nil {
		s.log.Warn("a download of the database was broken off", "err", err)
	}
	return nil
}
