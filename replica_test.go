package main

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
)

// bucketServer is an S3 server with the bucket "backup", which can be made to fail.
type bucketServer struct {
	handler http.Handler
	mode    atomic.Value // of type string: ok, down, silent, denied
	release chan struct{}
}

func (b *bucketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch b.mode.Load() {
	case "down":
		panic(http.ErrAbortHandler)
	case "silent":
		select {
		case <-r.Context().Done():
		case <-b.release:
		}
	case "denied":
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`<?xml version="1.0"?><Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>`))
	default:
		b.handler.ServeHTTP(w, r)
	}
}

type s3Key struct{}

// s3Cmd is: s3 [MODE]. The first starts an S3 server, whose address is $S3 then. A mode makes
// it down (connections break), silent (nothing is answered), denied (wrong key), or ok again.
func s3Cmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: s3 [ok|down|silent|denied]")
	}
	b, _ := ts.Value(s3Key{}).(*sync.Map)
	if b == nil {
		ts.Fatalf("no place for the server")
	}
	v, running := b.Load("server")
	if !running {
		backend := s3mem.New()
		ts.Check(backend.CreateBucket("backup"))
		s := &bucketServer{handler: gofakes3.New(backend).Server(), release: make(chan struct{})}
		s.mode.Store("ok")
		h := httptest.NewServer(s)
		ts.Defer(func() {
			close(s.release)
			h.CloseClientConnections()
			h.Close()
		})
		b.Store("server", s)
		ts.Setenv("S3", h.URL)
		v = s
	}
	if len(args) == 1 {
		v.(*bucketServer).mode.Store(args[0])
	}
}
