package web

import (
	"cmp"
	"context"

	"picloud/app/cloud"
	"picloud/app/outbox"
)

// triggerView is a trigger with the filter of its kind beside the common fields, and once
// more under details, where clients of the first PiCloud look for it.
type triggerView struct {
	cloud.Trigger
	filters
	Details triggerDetails `json:"details"`
}

type triggerDetails struct {
	Kind string `json:"kind"`
	filters
}

// filters are those of every kind; the one that a trigger has is set.
type filters struct {
	*cloud.KVFilter
	*cloud.DeadLetterFilter
	*cronView
	*cloud.PubSubFilter
	*cloud.QueueFilter
}

// cronView is a schedule with the times it stands for.
type cronView struct {
	cloud.CronFilter
	NextRuns []cloud.Time `json:"next_runs"` // none while the trigger is disabled
}

// nextRuns is how many a view shows.
const nextRuns = 5

func viewTrigger(t *cloud.Trigger) *triggerView {
	f := filters{KVFilter: t.KV, DeadLetterFilter: t.DeadLetter, PubSubFilter: t.PubSub, QueueFilter: t.Queue}
	if t.Cron != nil {
		f.cronView = &cronView{*t.Cron, outbox.NextRuns(t.Cron, nextRuns)}
	}
	return &triggerView{Trigger: *t, filters: f, Details: triggerDetails{t.Kind, f}}
}

type triggerList struct {
	Triggers []*triggerView `json:"triggers"`
	Next     *string        `json:"next_cursor"`
}

func (s *Server) triggers(ctx context.Context, q *request, in pageQuery) (triggerList, error) {
	page, err := in.page()
	if err != nil {
		return triggerList{}, err
	}
	found, next, err := s.Outbox.Triggers(ctx, q.appID, page)
	views := make([]*triggerView, len(found))
	for i, t := range found {
		views[i] = viewTrigger(t)
	}
	return triggerList{views, cursor(next)}, err
}

// triggerInput is what the inputs of all kinds share; each adds its filter.
type triggerInput struct {
	ScriptID         cloud.ScriptID `json:"script_id" required:"true"`
	DispatchMode     string         `json:"dispatch_mode"`
	Enabled          *bool          `json:"enabled"`
	RetryMaxAttempts *int           `json:"retry_max_attempts"`
	RetryBackoff     string         `json:"retry_backoff"`
	RetryBaseMS      *int           `json:"retry_base_ms"`
}

// trigger is a trigger of that kind without its filter. Zero means the instance's default to
// the outbox, so a zero that was asked for is judged here.
func (in *triggerInput) trigger(kind string) (*cloud.Trigger, error) {
	t := &cloud.Trigger{
		ScriptID: in.ScriptID, Kind: kind, Enabled: in.Enabled == nil || *in.Enabled,
		DispatchMode: cmp.Or(in.DispatchMode, cloud.DispatchAsync), RetryBackoff: in.RetryBackoff,
	}
	if in.RetryMaxAttempts != nil {
		if t.RetryMaxAttempts = *in.RetryMaxAttempts; t.RetryMaxAttempts < 1 {
			return nil, cloud.Errorf(cloud.Invalid, "retry_max_attempts: want 1 or more")
		}
	}
	if in.RetryBaseMS != nil {
		if t.RetryBaseMS = *in.RetryBaseMS; t.RetryBaseMS < 1 {
			return nil, cloud.Errorf(cloud.Invalid, "retry_base_ms: want 1 or more")
		}
	}
	return t, nil
}

// triggerMaker is the input of a kind: the body of POST /triggers/{kind}, and what a project
// that is deployed lists beside that kind.
type triggerMaker interface {
	make() (*cloud.Trigger, error)
}

type kvTriggerInput struct {
	triggerInput
	cloud.KVFilter
}

func (in kvTriggerInput) make() (*cloud.Trigger, error) {
	t, err := in.trigger(cloud.SourceKV)
	if err == nil {
		t.KV = &in.KVFilter
	}
	return t, err
}

func (s *Server) createKVTrigger(ctx context.Context, q *request, in kvTriggerInput) (*triggerView, error) {
	return s.createTrigger(ctx, q, in)
}

type cronTriggerInput struct {
	triggerInput
	cloud.CronFilter
}

func (in cronTriggerInput) make() (*cloud.Trigger, error) {
	t, err := in.trigger(cloud.SourceCron)
	if err == nil {
		t.Cron = &in.CronFilter
	}
	return t, err
}

func (s *Server) createCronTrigger(ctx context.Context, q *request, in cronTriggerInput) (*triggerView, error) {
	return s.createTrigger(ctx, q, in)
}

type pubsubTriggerInput struct {
	triggerInput
	cloud.PubSubFilter
}

func (in pubsubTriggerInput) make() (*cloud.Trigger, error) {
	t, err := in.trigger(cloud.SourcePubSub)
	if err == nil {
		t.PubSub = &in.PubSubFilter
	}
	return t, err
}

func (s *Server) createPubSubTrigger(ctx context.Context, q *request, in pubsubTriggerInput) (*triggerView, error) {
	return s.createTrigger(ctx, q, in)
}

// deadLetterTriggerInput has no retry policy: handlers of dead letters run once.
type deadLetterTriggerInput struct {
	ScriptID cloud.ScriptID `json:"script_id" required:"true"`
	Enabled  *bool          `json:"enabled"`
	cloud.DeadLetterFilter
}

func (in deadLetterTriggerInput) make() (*cloud.Trigger, error) {
	t, err := (&triggerInput{ScriptID: in.ScriptID, Enabled: in.Enabled}).trigger(cloud.SourceDeadLetter)
	if err == nil {
		t.DeadLetter = &in.DeadLetterFilter
	}
	return t, err
}

func (s *Server) createDeadLetterTrigger(ctx context.Context, q *request, in deadLetterTriggerInput) (*triggerView, error) {
	return s.createTrigger(ctx, q, in)
}

type queueTriggerInput struct {
	triggerInput
	Queue                    string `json:"queue" required:"true"`
	BatchSize                *int   `json:"batch_size"`                 // most messages of one execution, 1-100; 1
	Concurrency              *int   `json:"concurrency"`                // most executions at once, 1-1024; 8
	VisibilityTimeoutSeconds int    `json:"visibility_timeout_seconds"` // the script's time limit and some grace
}

func (in queueTriggerInput) make() (*cloud.Trigger, error) {
	t, err := in.trigger(cloud.SourceQueue)
	if err != nil {
		return nil, err
	}
	t.Queue = &cloud.QueueFilter{Name: in.Queue, VisibilityTimeoutSeconds: in.VisibilityTimeoutSeconds}
	if in.BatchSize != nil {
		if t.Queue.BatchSize = *in.BatchSize; t.Queue.BatchSize < 1 {
			return nil, cloud.Errorf(cloud.Invalid, "batch_size: want 1 or more")
		}
	}
	if in.Concurrency != nil {
		if t.Queue.Concurrency = *in.Concurrency; t.Queue.Concurrency < 1 {
			return nil, cloud.Errorf(cloud.Invalid, "concurrency: want 1 or more")
		}
	}
	return t, nil
}

func (s *Server) createQueueTrigger(ctx context.Context, q *request, in queueTriggerInput) (*triggerView, error) {
	return s.createTrigger(ctx, q, in)
}

func (s *Server) createTrigger(ctx context.Context, q *request, in triggerMaker) (*triggerView, error) {
	t, err := in.make()
	if err != nil {
		return nil, err
	}
	if err := s.ownScript(ctx, q, t.ScriptID); err != nil {
		return nil, err
	}
	t.AppID, t.RegisteredByPrincipal = q.appID, q.who.User
	if err := s.Outbox.CreateTrigger(ctx, t); err != nil {
		return nil, err
	}
	q.note(t.ID, "%s", t.Kind)
	return viewTrigger(t), nil
}

func (s *Server) trigger(ctx context.Context, q *request, _ none) (*triggerView, error) {
	id, err := pathID[cloud.Trigger](q, "id")
	if err != nil {
		return nil, err
	}
	t, err := s.Outbox.Trigger(ctx, q.appID, id)
	if err != nil {
		return nil, err
	}
	return viewTrigger(t), nil
}

func (s *Server) updateTrigger(ctx context.Context, q *request, in outbox.TriggerPatch) (*triggerView, error) {
	id, err := pathID[cloud.Trigger](q, "id")
	if err != nil {
		return nil, err
	}
	if in.ScriptID != nil {
		if err := s.ownScript(ctx, q, *in.ScriptID); err != nil {
			return nil, err
		}
	}
	t, err := s.Outbox.UpdateTrigger(ctx, q.appID, id, in)
	if err != nil {
		return nil, err
	}
	q.note(id, "%s", changed(in))
	return viewTrigger(t), nil
}

// runTrigger answers as an async route does.
func (s *Server) runTrigger(ctx context.Context, q *request, _ none) (accepted, error) {
	id, err := pathID[cloud.Trigger](q, "id")
	if err != nil {
		return accepted{}, err
	}
	event, err := s.Outbox.RunTrigger(ctx, q.appID, id, q.who.User)
	if err != nil {
		return accepted{}, err
	}
	q.note(id, "%s", event)
	return s.accepted(event), nil
}

func (s *Server) deleteTrigger(ctx context.Context, q *request, _ none) (none, error) {
	id, err := pathID[cloud.Trigger](q, "id")
	if err != nil {
		return none{}, err
	}
	return none{}, s.Outbox.DeleteTrigger(ctx, q.appID, id)
}
