package sdk

import (
	"context"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/db"
)

// queueModule sends messages to the app's queues, as a part of the execution's own commit.
var queueModule = Module{
	Name:  "queue",
	Funcs: map[string]Func{"queue.enqueue": queueEnqueue},
	JS: `
var read = options, known = oneOf(["delaySeconds", "key", "dedupId"]);
expose("queue", {
  enqueue: function enqueue(name, message, options) {
    var o = read(options, known, "enqueue", "{ delaySeconds: 60 }");
    return call("queue.enqueue", "[" + arg(name, 1) + "," + arg(o.delaySeconds, 3) + "," + arg(o.key, 3) + "," + arg(o.dedupId, 3) + "," + json(message, "the message") + "]");
  }
});`,
	Types: `
/** How a message is sent. */
interface QueueOptions {
  /** How long until it may be received, up to a year; 0 when left out. */
  delaySeconds?: number;
  /** Messages with one key (up to 256 bytes) are received in the order in which they were sent, one at a time. */
  key?: string;
  /** A second message with it (up to 256 bytes) is not stored, for 5 minutes unless the operator changed that. */
  dedupId?: string;
}

/** One message, as its receiver sees it. */
interface QueueMessage<T = any> {
  /** The same for every attempt: what to hand on as idempotency key. */
  id: string;
  body: T;
  /** 1 for the first. */
  attempt: number;
  enqueued_at: string;
  key?: string;
}

/** ctx.event of the script that receives a queue's messages. Returning acknowledges all of them, a throw none; {failed: [ids]} all but those. */
interface QueueEvent<T = any> {
  source: "queue";
  op: "receive";
  queue: { name: string; messages: QueueMessage<T>[] };
}

/** The app's queues. Messages wait until a trigger receives them. */
declare const queue: {
  /**
   * Puts a message (up to 256 KiB as JSON) into the queue of that name (1 to 128 bytes) when this execution commits, and answers its
   * id; the queue need not exist. With a dedupId that is known, it answers the id of the first message and stores nothing.
   */
  enqueue(name: string, message: any, options?: QueueOptions): string;
};`,
}

func queueEnqueue(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	m := outbox.QueueInput{ID: cloud.NewID[cloud.RowID](), Queue: a.label("the queue's name")}
	seconds := a.number("delaySeconds", 0)
	m.Key, m.DeduplicationID = a.optionalLabel("key"), a.optionalLabel("dedupId")
	if a.err == nil && !(seconds >= 0 && seconds <= outbox.MaxDelay.Seconds()) {
		a.err = invalid("delaySeconds is a number of seconds from 0 to %.0f", outbox.MaxDelay.Seconds())
	}
	m.Delay = time.Duration(seconds * float64(time.Second))
	if m.Body = a.tail(); a.err == nil {
		a.err = m.Check()
	}
	if a.err == nil {
		a.err = c.allow(cloud.QueueWrite)
	}
	if a.err != nil {
		return nil, a.err
	}
	id, err := c.enqueue(m)
	if err != nil {
		return nil, err
	}
	return appendString(nil, id.String()), nil
}

// enqueue makes the message an effect. What the window knows at the commit counts; what it
// knows now is asked so that the script gets the right id.
func (c *Call) enqueue(m outbox.QueueInput) (cloud.RowID, error) {
	from := c.Unit.Origin()
	if err := c.services.Outbox.CheckDepth(from); err != nil {
		return m.ID, err
	}
	sent := sentMessage{m.Queue, m.DeduplicationID}
	if m.DeduplicationID != "" {
		if id, ok := c.sent[sent]; ok {
			return id, nil
		}
		if id, ok, err := c.services.Outbox.Duplicate(c.Ctx, from.App, m.Queue, m.DeduplicationID); err != nil || ok {
			return id, err
		}
	}
	err := c.Unit.DeferBytes(len(m.Queue)+len(m.Key)+len(m.DeduplicationID)+len(m.Body), func(_ context.Context, tx *db.Tx) error {
		_, _, err := c.services.Outbox.SendTx(tx, from, m)
		return err
	})
	if err == nil && m.DeduplicationID != "" {
		if c.sent == nil {
			c.sent = map[sentMessage]cloud.RowID{}
		}
		c.sent[sent] = m.ID
	}
	return m.ID, err
}

// sentMessage is a queue and a deduplication id.
type sentMessage struct{ queue, dedupID string }
