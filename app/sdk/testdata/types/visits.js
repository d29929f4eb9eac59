// The example of the contract, with every part of the surface in use.
/** @param {Context} ctx */
export default function (ctx) {
  const visits = kv.collection("visits");
  const n = visits.increment(ctx.request.params.page ?? "home");
  visits.set("last", { at: time.now(), by: ctx.principal?.username ?? null }, { ttl: 60 });
  visits.add("all", 2);
  const { keys, next_cursor } = visits.list({ prefix: "h", limit: 10, reverse: true });
  for (const e of visits.entries(next_cursor, 5).entries) log.info(e.key, { value: e.value });
  console.log("keys", keys.length, visits.has("x"), visits.delete("x"), visits.getMany(["a"]).a);
  if (n > 1e6) throw new HttpError(429, { retry: true });
  ctx.commit();
  return { visits: n };
}
