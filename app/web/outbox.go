package web

import (
	"context"

	"picloud/app/cloud"
	"picloud/app/outbox"
)

type deadLetterQuery struct {
	pageQuery
	Unresolved bool            `json:"unresolved"`
	Source     string          `json:"source"`
	TriggerID  cloud.TriggerID `json:"trigger_id"`
	ScriptID   cloud.ScriptID  `json:"script_id"`
}

type deadLetterList struct {
	DeadLetters []*cloud.DeadLetter `json:"dead_letters"`
	Next        *string             `json:"next_cursor"`
}

func (s *Server) deadLetters(ctx context.Context, q *request, in deadLetterQuery) (deadLetterList, error) {
	page, err := in.page()
	if err != nil {
		return deadLetterList{}, err
	}
	f := outbox.DeadLetterFilter{Unresolved: in.Unresolved, Source: in.Source, TriggerID: in.TriggerID, ScriptID: in.ScriptID}
	found, next, err := s.Outbox.DeadLetters(ctx, q.appID, f, page)
	return deadLetterList{nonNil(found), cursor(next)}, err
}

type deadLetterCount struct {
	Unresolved int `json:"unresolved"`
}

func (s *Server) countDeadLetters(ctx context.Context, q *request, _ none) (deadLetterCount, error) {
	n, err := s.Outbox.CountUnresolved(ctx, q.appID)
	return deadLetterCount{n}, err
}

func (s *Server) deadLetter(ctx context.Context, q *request, _ none) (*cloud.DeadLetter, error) {
	id, err := pathID[cloud.DeadLetter](q, "id")
	if err != nil {
		return nil, err
	}
	return s.Outbox.DeadLetter(ctx, q.appID, id)
}

func (s *Server) replay(ctx context.Context, q *request, _ none) (none, error) {
	id, err := pathID[cloud.DeadLetter](q, "id")
	if err != nil {
		return none{}, err
	}
	return none{}, s.Outbox.Replay(ctx, q.appID, id)
}

type reasonInput struct {
	Reason string `json:"reason"`
}

func (s *Server) resolve(ctx context.Context, q *request, in reasonInput) (none, error) {
	id, err := pathID[cloud.DeadLetter](q, "id")
	if err != nil {
		return none{}, err
	}
	return none{}, s.Outbox.Resolve(ctx, q.appID, id, in.Reason)
}

// deadLetterFilter selects open letters: only those can be replayed or resolved.
type deadLetterFilter struct {
	Unresolved *bool                `json:"unresolved"`
	Source     string               `json:"source"`
	TriggerID  cloud.TriggerID      `json:"trigger_id"`
	ScriptID   cloud.ScriptID       `json:"script_id"`
	IDs        []cloud.DeadLetterID `json:"ids"`
}

func (in deadLetterFilter) filter() (outbox.DeadLetterFilter, error) {
	f := outbox.DeadLetterFilter{Unresolved: true, Source: in.Source, TriggerID: in.TriggerID, ScriptID: in.ScriptID, IDs: in.IDs}
	if in.Unresolved != nil && !*in.Unresolved {
		return f, cloud.Errorf(cloud.Invalid, "filter.unresolved: want true, or leave it out: a letter that is resolved stays as it is")
	}
	return f, nil
}

type replayManyInput struct {
	Filter deadLetterFilter `json:"filter"`
}

type count struct {
	Count int `json:"count"`
}

func (s *Server) replayMany(ctx context.Context, q *request, in replayManyInput) (count, error) {
	f, err := in.Filter.filter()
	if err != nil {
		return count{}, err
	}
	n, err := s.Outbox.ReplayMany(ctx, q.appID, f)
	q.note(q.appID, "%d letters", n)
	return count{n}, err
}

type resolveManyInput struct {
	Filter deadLetterFilter `json:"filter"`
	Reason string           `json:"reason"`
}

func (s *Server) resolveMany(ctx context.Context, q *request, in resolveManyInput) (count, error) {
	f, err := in.Filter.filter()
	if err != nil {
		return count{}, err
	}
	n, err := s.Outbox.ResolveMany(ctx, q.appID, f, in.Reason)
	q.note(q.appID, "%d letters", n)
	return count{n}, err
}

func (s *Server) rows(ctx context.Context, q *request, in pageQuery) (list[*cloud.Row], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Row]{}, err
	}
	return listOf(s.Outbox.Rows(ctx, q.appID, page))
}

func (s *Server) cancel(ctx context.Context, q *request, _ none) (none, error) {
	id, err := pathID[cloud.Row](q, "id")
	if err != nil {
		return none{}, err
	}
	return none{}, s.Outbox.Cancel(ctx, q.appID, id)
}
