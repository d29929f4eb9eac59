package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// register is one value that a single client writes, one write after the other: what it may hold
// is known.
type register struct {
	name     string
	possible []string // "" is: not there
}

// wrote notes a write. One that is unknown leaves what was, or makes what should be.
func (g *register) wrote(value string, o Outcome) {
	switch o {
	case Acknowledged:
		g.possible = []string{value}
	case Unknown:
		g.possible = append(g.possible, value)
	}
}

// some is what is read of a value that only shows that it is there.
const some = "some value"

// saw notes what was read. An unknown write is settled by that, as far as it shows: its process is
// gone.
func (g *register) saw(value string) *Violation {
	left := slices.DeleteFunc(slices.Clone(g.possible), func(p string) bool {
		return p != value && (value != some || p == "")
	})
	if len(left) == 0 {
		return &Violation{Promise: "what was acknowledged is there, and stays until it is written again", Found: fmt.Sprintf("%s is %q, but can only be one of %q", g.name, value, g.possible)}
	}
	g.possible = left
	return nil
}

// register writes, deletes or reads the client's own key.
func (c *client) register(ctx context.Context, rd *round, e *Entry) answer {
	path := rd.at(fmt.Sprintf("/kv/register/%d", c.n))
	if c.round != rd {
		c.round, c.cell.possible = rd, []string{""}
	}
	if start := c.t.in.starts.Load(); start != c.start || c.rng.IntN(3) == 0 {
		c.start = start
		return c.readRegister(ctx, path)
	}
	if c.rng.IntN(4) == 0 {
		got := c.t.api.admin(ctx, "DELETE", path, nil)
		if got.status != 404 { // it wasn't there
			c.cell.wrote("", got.outcome)
		}
		return got
	}
	got := c.t.api.admin(ctx, "PUT", path, object{"value": e.ID})
	c.cell.wrote(e.ID, got.outcome)
	return got
}

func (c *client) readRegister(ctx context.Context, path string) answer {
	got := c.t.api.admin(ctx, "GET", path, nil)
	var kept struct{ Value string }
	if got.status != 404 && json.Unmarshal(got.body, &kept) != nil || got.status == 0 {
		return got
	}
	if v := c.cell.saw(kept.Value); v != nil {
		c.t.broken(v)
	}
	return got
}
