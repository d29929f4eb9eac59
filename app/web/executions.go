package web

import (
	"context"
	"slices"

	"picloud/app/cloud"
	"picloud/app/executor"
	"picloud/app/outbox"
)

type executionQuery struct {
	pageQuery
	ScriptID cloud.ScriptID `json:"script_id"`
	Status   cloud.Status   `json:"status"`
	Source   string         `json:"source"`
	Since    cloud.Time     `json:"since"`
}

func (s *Server) executions(ctx context.Context, q *request, in executionQuery) (list[*cloud.Execution], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Execution]{}, err
	}
	if !slices.Contains(statuses, in.Status) {
		return list[*cloud.Execution]{}, cloud.Errorf(cloud.BadRequest, "status: want one of %v", statuses[1:])
	}
	if isLive(in.Status) {
		query := outbox.EventQuery{ScriptID: in.ScriptID, Status: in.Status, Source: in.Source, Since: in.Since}
		return listOf(s.Outbox.Events(ctx, q.appID, query, page))
	}
	query := executor.Query{ScriptID: in.ScriptID, Status: in.Status, Source: in.Source, Since: in.Since}
	found, next, err := s.Log.Executions(ctx, q.appID, query, page)
	for i, x := range found {
		found[i] = complete(x)
	}
	return listOf(found, next, err)
}

func (s *Server) getExecution(_ context.Context, q *request, _ none) (*cloud.Execution, error) {
	return q.execution, nil
}

// findExecution is what is known under an id: an execution's or, after a 202, an event's. An
// event is told by its outbox row or dead letter while there is one, and else by its last
// attempt.
func (s *Server) findExecution(ctx context.Context, id cloud.ExecutionID) (*cloud.Execution, error) {
	x, err := s.Log.Execution(ctx, id)
	if err == nil {
		return complete(x), nil
	}
	if cloud.KindOf(err) != cloud.NotFound {
		return nil, err
	}
	live, err := s.Outbox.Event(ctx, cloud.RowID(id))
	if err != nil && cloud.KindOf(err) != cloud.NotFound {
		return nil, err
	}
	// Asked in this order: a row that finishes in between is in the log.
	attempts, logErr := s.Log.Attempts(ctx, cloud.RowID(id))
	if logErr != nil {
		return nil, logErr
	}
	switch {
	case err == nil:
		return withAttempts(live, attempts), nil
	case len(attempts) == 0:
		return nil, notFound("execution")
	}
	last := complete(attempts[len(attempts)-1])
	last.ID, last.EventID = id, cloud.RowID(id) // the id of the event stays the answer's
	return last, nil
}

// withAttempts adds to the state of an event what its last attempt left in the log.
func withAttempts(live *cloud.Execution, attempts []*cloud.Execution) *cloud.Execution {
	x := complete(live)
	if len(attempts) == 0 {
		return x
	}
	last := complete(attempts[len(attempts)-1])
	x.Logs, x.Error = last.Logs, last.Error
	x.Request, x.ResponseSummary = last.Request, last.ResponseSummary
	x.ScriptVersion, x.StatusCode, x.DurationMS = last.ScriptVersion, last.StatusCode, last.DurationMS
	if x.StartedAt == 0 {
		x.StartedAt = last.StartedAt
	}
	if x.Status == cloud.StatusDead && x.FinishedAt == 0 {
		x.FinishedAt = last.FinishedAt
	}
	return x
}

// complete is a copy of x whose lists are never null.
func complete(x *cloud.Execution) *cloud.Execution {
	c := *x
	c.Logs = nonNil(c.Logs)
	return &c
}

func (s *Server) abandoned(ctx context.Context, q *request, in pageQuery) (list[*cloud.Abandoned], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Abandoned]{}, err
	}
	return listOf(s.Outbox.Abandoned(ctx, q.appID, page))
}

// isLive reports that events of a status are in the outbox or among the dead letters: the
// log has only attempts that ended.
func isLive(s cloud.Status) bool {
	return s == cloud.StatusQueued || s == cloud.StatusRunning || s == cloud.StatusDead
}

// statuses are what the list can be asked for; the first asks for all attempts that ended.
var statuses = []cloud.Status{"", cloud.StatusSuccess, cloud.StatusError, cloud.StatusTimeout, cloud.StatusBudget, cloud.StatusConflict, cloud.StatusQueued, cloud.StatusRunning, cloud.StatusDead}
