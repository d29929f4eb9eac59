package web

import (
	"context"
	"encoding/json"
	"time"

	"picloud/app/cloud"
	"picloud/app/data"
)

func (s *Server) collections(ctx context.Context, q *request, in pageQuery) (list[data.Collection], error) {
	page, err := in.page()
	if err != nil {
		return list[data.Collection]{}, err
	}
	return listOf(s.Data.Collections(ctx, q.appID, page))
}

type keysQuery struct {
	pageQuery
	Prefix string `json:"prefix"`
}

func (s *Server) kvKeys(ctx context.Context, q *request, in keysQuery) (list[data.Item], error) {
	page, err := in.page()
	if err != nil {
		return list[data.Item]{}, err
	}
	return listOf(s.Data.Keys(ctx, q.appID, q.param("collection"), in.Prefix, page))
}

func (s *Server) kvGet(ctx context.Context, q *request, _ none) (*data.Record, error) {
	if q.param("key") == "" {
		return nil, notFound("key")
	}
	return s.Data.Get(ctx, q.appID, q.param("collection"), q.param("key"))
}

type kvInput struct {
	Value      json.RawMessage `json:"value" required:"true"`
	TTLSeconds *float64        `json:"ttl_seconds"` // for ever when left out
}

// maxTTL keeps a time to live within what a time.Duration holds.
const maxTTL = 100 * 365 * 24 * 3600

func (s *Server) kvPut(ctx context.Context, q *request, in kvInput) (*data.Record, error) {
	var ttl time.Duration
	if in.TTLSeconds != nil {
		if *in.TTLSeconds < 0.001 || *in.TTLSeconds > maxTTL {
			return nil, cloud.Errorf(cloud.Invalid, "ttl_seconds: want more than 0 and at most %d", int64(maxTTL))
		}
		ttl = time.Duration(*in.TTLSeconds * float64(time.Second))
	}
	q.noteKey()
	return s.Data.Put(ctx, q.origin(), q.param("collection"), q.param("key"), in.Value, ttl)
}

func (s *Server) kvDelete(ctx context.Context, q *request, _ none) (none, error) {
	q.noteKey()
	return none{}, s.Data.Delete(ctx, q.origin(), q.param("collection"), q.param("key"))
}

// origin makes the events of a person's writes start a chain of their own.
func (q *request) origin() cloud.Origin { return cloud.Origin{App: q.appID, Principal: q.who.User} }

func (q *request) noteKey() {
	q.resource = q.param("collection") + "/" + q.param("key")
}
