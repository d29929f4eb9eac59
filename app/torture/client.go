package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// pause is the longest that a client rests between two requests.
const pause = 20 * time.Millisecond

// client makes one request after the other, of all kinds.
type client struct {
	t     *torture
	n     int
	rng   *rand.Rand
	seq   int // number of its last request
	sums  int // of the weights
	cell  register
	round *round // that its register is in
	start int64  // that its register was last read in
}

func (t *torture) newClient(n int) *client {
	c := &client{t: t, n: n, rng: rand.New(rand.NewPCG(t.o.Seed, uint64(n)+1)), cell: register{name: fmt.Sprintf("register of client %d", n)}}
	for _, op := range ops {
		c.sums += op.weight
	}
	return c
}

// op is a kind of request.
type op struct {
	name   string
	weight int
	do     func(*client, context.Context, *round, *Entry) answer
	now    []string // see Entry
	later  []string
	never  []string
}

var ops = []op{
	{"write", 20, (*client).write, []string{"a", "b", "chain"}, []string{"chain1", "chain2", "heard", "heard2", "plain", "tail"}, nil},
	{"half", 5, (*client).half, nil, nil, []string{"half", "chain", "chain1", "heard", "heard2", "plain"}},
	{"count", 12, (*client).count, []string{"counted"}, nil, nil},
	{"accept", 12, (*client).accept, nil, []string{"accepted"}, nil},
	{"put", 6, (*client).put, []string{"chain"}, []string{"chain1", "chain2"}, nil},
	{"job", 6, (*client).job, []string{"jobs"}, []string{"done"}, nil},
	{"doom", 2, (*client).doom, []string{"doomed"}, []string{"mourned"}, nil},
	{"keyed", 12, (*client).keyed, nil, []string{"keyed"}, nil},
	{"dedup", 6, (*client).dedup, nil, []string{"plain"}, nil},
	{"publish", 6, (*client).publish, nil, []string{"heard", "heard2"}, nil},
	{"send", 3, (*client).send, []string{"sent"}, nil, nil},
	{"register", 8, (*client).register, nil, nil, nil},
}

// serve makes requests until ctx ends.
func (c *client) serve(ctx context.Context) {
	for ctx.Err() == nil {
		c.t.gate.RLock()
		c.step(ctx)
		c.t.gate.RUnlock()
		_ = sleep(ctx, time.Duration(c.rng.Int64N(int64(pause))))
	}
}

func (c *client) step(ctx context.Context) {
	if _, err := c.t.in.address(ctx); err != nil {
		return
	}
	op, rd := c.pick(), c.t.round.Load()
	c.seq++
	e := &Entry{ID: fmt.Sprintf("%d-c%d-%d", rd.n, c.n, c.seq), Op: op.name, Now: op.now, Later: op.later, Never: op.never}
	got := op.do(c, ctx, rd, e)
	if ctx.Err() != nil {
		return // the end, which may have cut it
	}
	e.Outcome, e.Answer, e.Start, e.At = got.outcome, got.String(), c.t.in.starts.Load(), time.Now()
	rd.book.add(e)
}

func (c *client) pick() *op {
	n := c.rng.IntN(c.sums)
	for i := range ops {
		if n -= ops[i].weight; n < 0 {
			return &ops[i]
		}
	}
	panic("the weights changed")
}

func (c *client) write(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.public(ctx, "POST", rd.path("/write"), object{"id": e.ID})
}

func (c *client) half(ctx context.Context, rd *round, e *Entry) answer {
	how := "throw"
	if c.rng.IntN(2) == 0 {
		how = "http"
	}
	return c.t.api.public(ctx, "POST", rd.path("/half"), object{"id": e.ID, "how": how})
}

func (c *client) count(ctx context.Context, rd *round, e *Entry) answer {
	got := c.t.api.public(ctx, "POST", rd.path("/count"), object{"id": e.ID})
	if got.outcome == Acknowledged && got.err == nil {
		e.Said = strings.TrimSpace(string(got.body))
	}
	return got
}

// accept is an async request whose first attempts fail, sometimes more than it has.
func (c *client) accept(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.public(ctx, "POST", rd.path("/accept"), object{"id": e.ID, "fail": max(0, c.rng.IntN(6)-2)})
}

func (c *client) put(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.admin(ctx, "PUT", rd.at("/kv/chain/"+e.ID), object{"value": 1})
}

func (c *client) job(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.admin(ctx, "PUT", rd.at("/kv/jobs/"+e.ID), object{"value": 1 + c.rng.IntN(2)})
}

func (c *client) doom(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.admin(ctx, "PUT", rd.at("/kv/doomed/"+e.ID), object{"value": 1})
}

func (c *client) keyed(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.admin(ctx, "POST", rd.at("/queues/keyed/messages"), object{"message": object{"id": e.ID, "n": c.seq}, "key": fmt.Sprint("k", c.n)})
}

// dedup sends a message again until it is acknowledged, as a careful client does.
func (c *client) dedup(ctx context.Context, rd *round, e *Entry) answer {
	first := Refused
	for {
		got := c.t.api.admin(ctx, "POST", rd.at("/queues/plain/messages"), object{"message": object{"id": e.ID}, "deduplication_id": e.ID})
		if got.outcome == Acknowledged || got.outcome == Refused && got.status != 0 || ctx.Err() != nil {
			got.outcome = max(got.outcome, first)
			return got
		}
		first = max(first, got.outcome)
	}
}

func (c *client) publish(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.admin(ctx, "POST", rd.at("/topics/news/messages"), object{"message": e.ID})
}

func (c *client) send(ctx context.Context, rd *round, e *Entry) answer {
	return c.t.api.public(ctx, "POST", rd.path("/send"), object{"id": e.ID, "round": rd.n, "client": c.n, "n": c.seq})
}
