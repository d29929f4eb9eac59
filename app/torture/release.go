package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// releaseApp is the app that is deployed again and again.
const releaseApp = "release"

// deployEvery is about how often it is.
const deployEvery = 300 * time.Millisecond

// releaser deploys functions that say which deployment they are of, and rolls them back.
type releaser struct {
	t       *torture
	rng     *rand.Rand
	next    int         // what the next deployment says
	what    register    // what the functions say
	numbers map[int]int // of deployments that were acknowledged: what they said
}

func (t *torture) newReleaser() *releaser {
	return &releaser{t: t, rng: rand.New(rand.NewPCG(t.o.Seed, 1<<33)), next: 1, numbers: map[int]int{}, what: register{name: "what the functions of " + releaseApp + " say", possible: []string{""}}}
}

func (r *releaser) serve(ctx context.Context) {
	for ctx.Err() == nil {
		r.t.gate.RLock()
		if v := r.step(ctx); v != nil && ctx.Err() == nil {
			r.t.broken(v)
		}
		r.t.gate.RUnlock()
		_ = sleep(ctx, time.Duration(r.rng.Int64N(int64(2*deployEvery))))
	}
}

func (r *releaser) step(ctx context.Context) *Violation {
	for _, path := range []string{"a", "b", "c"} {
		said, ok, v := r.ask(ctx, path)
		if v != nil || !ok {
			return v
		}
		if v := r.what.saw(said); v != nil {
			return v
		}
	}
	if len(r.numbers) > 3 && r.rng.IntN(4) == 0 {
		r.rollBack(ctx)
	} else {
		r.deploy(ctx)
	}
	return nil
}

// ask asks a function what it and the module that it imports say; ok is false when no answer came.
func (r *releaser) ask(ctx context.Context, path string) (said string, ok bool, v *Violation) {
	got := r.t.api.public(ctx, "GET", "/~"+releaseApp+"/"+path, nil)
	if got.status == 404 {
		return "", true, nil
	}
	var answer struct{ Own, Module int }
	if got.status != 200 || json.Unmarshal(got.body, &answer) != nil {
		return "", false, nil
	}
	if answer.Own != answer.Module {
		v = &Violation{Promise: "a deployment changes everything at once", Found: fmt.Sprintf("function %s is of deployment %d, its module of %d", path, answer.Own, answer.Module)}
	}
	return strconv.Itoa(answer.Own), true, v
}

func (r *releaser) deploy(ctx context.Context) {
	n := r.next
	r.next++
	functions := []object{{"name": "said", "kind": "module", "source": fmt.Sprintf("/* %d */ export const n = %d;", n, n)}}
	for _, name := range []string{"a", "b", "c"} {
		functions = append(functions, object{
			"name": name, "source": fmt.Sprintf("/* %d */ import { n } from 'app:said'; export default () => ({ own: %d, module: n });", n, n),
			"routes":   []object{{"path": "/" + name}},
			"triggers": []object{{"kind": "kv", "collection_glob": fmt.Sprint(name, n%3)}},
		})
	}
	got := r.t.api.admin(ctx, "POST", "/apps/"+releaseApp+"/deploy", object{"functions": functions})
	r.done(n, got)
}

func (r *releaser) rollBack(ctx context.Context) {
	numbers := make([]int, 0, len(r.numbers))
	for number := range r.numbers {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	number := numbers[len(numbers)-1-r.rng.IntN(min(len(numbers), 5))]
	n := r.numbers[number]
	got := r.t.api.admin(ctx, "POST", "/apps/"+releaseApp+"/rollback", object{"number": number})
	r.done(n, got)
}

// done notes what came of making the functions say n.
func (r *releaser) done(n int, got answer) {
	r.what.wrote(strconv.Itoa(n), got.outcome)
	if got.outcome != Acknowledged {
		return
	}
	r.t.report.deployed()
	var out struct{ Number int }
	if json.Unmarshal(got.body, &out) == nil && out.Number > 0 {
		r.numbers[out.Number] = n
		for number := range r.numbers {
			if number < out.Number-10 {
				delete(r.numbers, number) // it is forgotten before long
			}
		}
	}
}
