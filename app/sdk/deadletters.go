package sdk

import (
	"context"
	"encoding/json"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/db"
)

// deadLettersModule closes or replays dead letters, as a part of the execution's own commit.
// It needs a principal who may manage them, so a public request never does.
var deadLettersModule = Module{
	Name: "deadLetters",
	Funcs: map[string]Func{
		"deadLetters.replay":  deadLetterReplay,
		"deadLetters.resolve": deadLetterResolve,
		"deadLetters.list":    deadLetterList,
	},
	Types: `
/** An event that used up its attempts, with the history of all of them. */
interface DeadLetter {
  id: string;
  app_id: string;
  source: string;
  op: string;
  trigger_id: string | null;
  script_id: string | null;
  payload: any;
  attempt_count: number;
  attempts: { at: string; execution_id: string; duration_ms: number; error: string }[];
  first_attempt_at: string;
  last_attempt_at: string;
  last_error: string;
  created_at: string;
  /** Null while it is open. */
  resolved_at: string | null;
  resolution?: "replayed" | "ignored" | "handled_by_script" | "handler_failed";
}

/** The app's dead letters. Needs a principal with app:admin; for public HTTP everything is "forbidden". */
declare const deadLetters: {
  /** Puts the original event back into the outbox when this execution commits. */
  replay(id: string): void;
  /** Closes the letter when this execution commits; the reason is kept with it. */
  resolve(id: string, reason?: string): void;
  /** A page of letters, newest first; next_cursor is null on the last one. limit is 1 to 200, 50 when left out; large letters make a page shorter. */
  list(filter?: { unresolved?: boolean; source?: string; limit?: number; cursor?: string | null }): {
    dead_letters: DeadLetter[];
    next_cursor: string | null;
  };
};`,
}

func deadLetterReplay(c *Call, in []byte) ([]byte, error) {
	id, err := c.openLetter(readArgs(in))
	if err != nil {
		return nil, err
	}
	c.Unit.Defer(func(ctx context.Context, tx *db.Tx) error {
		return c.services.Outbox.ReplayTx(ctx, tx, c.Inv.App, id)
	})
	return nil, nil
}

func deadLetterResolve(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	text := a.raw()
	reason := a.optionalText("the reason")
	if a.err == nil && len(reason) > outbox.MaxReason {
		a.err = invalid("the reason has %d bytes, %d are allowed", len(reason), outbox.MaxReason)
	}
	if a.err != nil {
		return nil, a.err
	}
	id, err := c.openLetter(&args{rest: text})
	if err != nil {
		return nil, err
	}
	resolution := outbox.HandledByScript
	if reason == outbox.Ignored {
		resolution = outbox.Ignored
	}
	c.Unit.Defer(func(ctx context.Context, tx *db.Tx) error {
		return c.services.Outbox.ResolveTx(ctx, tx, c.Inv.App, id, resolution, reason)
	})
	return nil, nil
}

// openLetter takes a letter's id and checks that the caller may close it and that it is
// still open, so that a mistake shows where it was made and not at the commit.
func (c *Call) openLetter(a *args) (cloud.DeadLetterID, error) {
	text := a.text("the id")
	if err := c.allowDeadLetters(); err != nil {
		return cloud.DeadLetterID{}, err
	}
	if a.err != nil {
		return cloud.DeadLetterID{}, a.err
	}
	id, err := cloud.ParseID[cloud.DeadLetterID](text)
	if err != nil {
		return id, err
	}
	letter, err := c.services.Outbox.DeadLetter(c.Ctx, c.Inv.App, id)
	if err != nil {
		return id, err
	}
	if !letter.ResolvedAt.IsZero() || c.settled[id] {
		return id, cloud.Errorf(cloud.Conflict, "this dead letter is resolved already")
	}
	if c.settled == nil {
		c.settled = map[cloud.DeadLetterID]bool{}
	}
	c.settled[id] = true
	return id, nil
}

// allowDeadLetters is stricter than allow: the public has no right here at all.
func (c *Call) allowDeadLetters() error {
	if c.Inv.Principal == nil {
		return cloud.Errorf(cloud.Forbidden, "dead letters need somebody with app:admin: a public request is nobody, so do it in a trigger's script or an authenticated call")
	}
	return c.allow(cloud.DeadLetterManage)
}

func deadLetterList(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	var f struct {
		Unresolved bool
		Source     string
		Limit      *int
		Cursor     string
	}
	a.object("the filter", &f)
	if a.err == nil {
		a.err = c.allowDeadLetters()
	}
	page := cloud.Page{Cursor: f.Cursor}
	if f.Limit != nil {
		page.Limit = *f.Limit
		if a.err == nil && (page.Limit < 1 || page.Limit > cloud.MaxPage) {
			a.err = invalid("limit is a whole number from 1 to %d", cloud.MaxPage)
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return c.appendLetters([]byte(`{"dead_letters":[`), outbox.DeadLetterFilter{Unresolved: f.Unresolved, Source: f.Source}, page)
}

// A page of letters may be of any size, since each has its payload. So they are fetched a few
// at a time, and a page ends early when it has grown large.
const (
	lettersAtOnce   = 10
	maxLettersBytes = 4 << 20
)

func (c *Call) appendLetters(b []byte, f outbox.DeadLetterFilter, p cloud.Page) ([]byte, error) {
	for left := p.Clamp(); ; {
		p.Limit = min(left, lettersAtOnce)
		letters, next, err := c.services.Outbox.DeadLetters(c.Ctx, c.Inv.App, f, p)
		if cloud.KindOf(err) == cloud.BadRequest { // for scripts a wrong cursor is what any wrong argument is
			err = invalid("%s", cloud.Message(err))
		}
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			text, err := json.Marshal(l)
			if err != nil {
				return nil, err
			}
			if b[len(b)-1] != '[' {
				b = append(b, ',')
			}
			b = append(b, text...)
		}
		left -= len(letters)
		if next == "" || left <= 0 || len(b) > maxLettersBytes {
			return appendNext(append(b, ']'), next), nil
		}
		p.Cursor = next
	}
}
