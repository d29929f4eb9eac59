package torture

// script is a function of a round's app.
type script struct {
	name, source string
	route, mode  string // path and dispatch mode, when it has a route
	triggers     []object
}

// attempts of events that must happen: each kill may break one.
const attempts = 100

// stumble makes the first attempt of every fourth event throw, after it has written what must
// not remain.
const stumble = `
const stumble = (ctx, id) => {
  if (ctx.attempt > 1 || Number(id.slice(id.lastIndexOf("-") + 1)) % 4) return;
  kv.collection("leak").set(id, 1);
  throw new Error("the first attempt");
};
`

// scripts are what a round's app holds. What they count is in marks of Entry.
func scripts(receiver string) []script {
	return []script{
		{name: "write", route: "/write", mode: "sync", source: `export default (ctx) => {
			const { id } = ctx.request.body;
			for (const c of ["a", "b", "chain"]) kv.collection(c).increment(id);
			kv.collection("sum").add("a");
			pubsub.publishDurable("news", id);
			queue.enqueue("plain", { id });
			invoke.later("tail", { id }, { delaySeconds: 0.05 });
		}`},
		{name: "half", route: "/half", mode: "sync", source: `export default (ctx) => {
			const { id, how } = ctx.request.body;
			kv.collection("half").set(id, 1);
			kv.collection("chain").set(id, 1);
			queue.enqueue("plain", { id });
			pubsub.publishDurable("news", id);
			if (how === "http") throw new HttpError(418, "no");
			throw new Error("half way");
		}`},
		{name: "count", route: "/count", mode: "sync", source: `export default (ctx) => {
			const c = kv.collection("count"), n = (c.get("n") ?? 0) + 1;
			c.set("n", n);
			kv.collection("counted").set(ctx.request.body.id, n);
			return n;
		}`},
		{name: "chain1", source: stumble + `export default (ctx) => {
			const { key } = ctx.event.kv;
			kv.collection("chain1").increment(key);
			stumble(ctx, key);
		}`, triggers: []object{{"kind": "kv", "collection_glob": "chain", "ops": []string{"insert"}, "retry_max_attempts": attempts}}},
		{name: "chain2", source: `export default (ctx) => { kv.collection("chain2").increment(ctx.event.kv.key); }`,
			triggers: []object{{"kind": "kv", "collection_glob": "chain1*", "retry_max_attempts": attempts}}},
		{name: "tail", source: stumble + `export default (ctx) => {
			kv.collection("tail").increment(ctx.args.id);
			stumble(ctx, ctx.args.id);
		}`},
		{name: "heard", source: stumble + `export default (ctx) => {
			const id = ctx.event.pubsub.message;
			kv.collection("heard").increment(id);
			stumble(ctx, id);
		}`, triggers: []object{{"kind": "pubsub", "topic": "news", "retry_max_attempts": attempts}}},
		{name: "heard2", source: `export default (ctx) => { kv.collection("heard2").increment(ctx.event.pubsub.message); }`,
			triggers: []object{{"kind": "pubsub", "topic": "ne*", "retry_max_attempts": attempts}}},
		// Gives every fifth message back once; a batch whose first message stumbles is tried again whole.
		{name: "plain", source: stumble + `export default (ctx) => {
			const failed = [], got = kv.collection("plain");
			for (const m of ctx.event.queue.messages) {
				if (m.attempt === 1 && m.body.id.endsWith("5")) failed.push(m.id);
				else got.increment(m.body.id);
			}
			stumble(ctx, ctx.event.queue.messages[0].body.id);
			return { failed };
		}`, triggers: []object{{"kind": "queue", "queue": "plain", "batch_size": 5, "retry_max_attempts": attempts}}},
		{name: "keyed", source: stumble + `export default (ctx) => {
			const got = kv.collection("keyed"), last = kv.collection("last");
			for (const m of ctx.event.queue.messages) {
				got.increment(m.body.id);
				if ((last.get(m.key) ?? 0) >= m.body.n) kv.collection("disorder").set(m.body.id, last.get(m.key));
				last.set(m.key, m.body.n);
			}
			stumble(ctx, ctx.event.queue.messages[0].body.id);
		}`, triggers: []object{{"kind": "queue", "queue": "keyed", "batch_size": 3, "retry_max_attempts": attempts}}},
		// Dies when it is told to fail as often as it may try, until its event is cured.
		{name: "accept", route: "/accept", mode: "async", source: `export default (ctx) => {
			const { id, fail } = ctx.request.body;
			kv.collection("accepted").increment(id);
			if (ctx.attempt <= fail && !kv.collection("cure").has(id)) throw new Error("attempt " + ctx.attempt);
		}`},
		{name: "job", source: `export default (ctx) => {
			const { key, value } = ctx.event.kv;
			kv.collection("done").increment(key);
			if (ctx.attempt <= value && !kv.collection("cure").has(key)) throw new Error("attempt " + ctx.attempt);
		}`, triggers: []object{{"kind": "kv", "collection_glob": "jobs", "ops": []string{"insert"}, "retry_max_attempts": 2}}},
		{name: "doom", source: `export default () => { throw new Error("always"); }`,
			triggers: []object{{"kind": "kv", "collection_glob": "doomed", "retry_max_attempts": 1}}},
		// Mourns the doomed; of jobs it cures every second one and replays it in the same commit.
		{name: "mourn", source: `export default (ctx) => {
			const { id, original } = ctx.event.dead_letter, { collection, key } = original.kv;
			if (collection === "doomed") { kv.collection("mourned").increment(key); return; }
			if (Number(key.slice(key.lastIndexOf("-") + 1)) % 2) throw new Error("not this one");
			kv.collection("cure").set(key, 1);
			deadLetters.replay(id);
		}`, triggers: []object{{"kind": "dead_letter", "source_filter": "kv"}}},
		{name: "send", route: "/send", mode: "sync", source: `export default (ctx) => {
			const { id } = ctx.request.body;
			kv.collection("sent").increment(id);
			http.later({ method: "POST", url: "` + receiver + `", json: ctx.request.body });
		}`},
		{name: "tick", source: `export default (ctx) => { kv.collection("ticks").increment(ctx.event.cron.scheduled_at); }`,
			triggers: []object{{"kind": "cron", "schedule": "* * * * * *", "catch_up": "all", "retry_max_attempts": attempts}}},
		{name: "dump", route: "/dump", mode: "sync", source: `export default (ctx) => kv.collection(ctx.request.query.c).entries({ cursor: ctx.request.query.cursor || undefined, limit: 1000 });`},
		{name: "look", route: "/look", mode: "sync", source: `export default (ctx) => {
			const { collections, ids } = ctx.request.body, out = {};
			for (const c of collections) out[c] = kv.collection(c).getMany(ids);
			return out;
		}`},
	}
}

// project is the deployment that makes a round's app.
func project(receiver string) object {
	var functions []object
	for _, s := range scripts(receiver) {
		f := object{"name": s.name, "source": s.source, "triggers": s.triggers, "timeout_seconds": 30}
		if s.triggers == nil {
			f["triggers"] = []object{}
		}
		if s.route != "" {
			f["routes"] = []object{{"path": s.route, "dispatch_mode": s.mode}}
		}
		functions = append(functions, f)
	}
	return object{"functions": functions, "note": "torture"}
}
