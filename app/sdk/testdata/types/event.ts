const handler: Handler = async (ctx) => {
  if (!("event" in ctx)) return { statusCode: 400, headers: { "set-cookie": ["a=1", "b=2"] }, body: null };
  const e = ctx.event;
  if (e.source === "dead_letter") {
    const id: string = e.dead_letter.id;
    deadLetters.resolve(id, "seen");
    const open = deadLetters.list({ unresolved: true, limit: 5 });
    for (const letter of open.dead_letters) deadLetters.replay(letter.id);
    return;
  }
  if (e.source === "cron") return e.cron.late_ms > 0 && e.cron.scheduled_at;
  if (e.source === "queue") {
    for (const m of e.queue.messages) queue.enqueue("next", m.body, { key: m.key, dedupId: m.id, delaySeconds: m.attempt });
    return { failed: e.queue.messages.map((m): string => m.id) };
  }
  if (e.source !== "kv") return;
  const key: string = e.kv.key;
  const stamp: string = time.addSeconds("2026-01-01T00:00:00Z", 5);
  const later: number = time.addSeconds(0, 5) + time.parse(stamp) + time.diffSeconds(stamp, time.nowMs());
  const bytes: number[] = base64.decode(base64.encode(random.bytes(4)), "bytes");
  const text: string = hex.decode(hex.encode("a")) + base64.decodeUrl(base64.encodeUrl("b")) + random.string(3) + random.uuid();
  const found = regex.captures("(?P<year>\\d+)-(\\d+)", time.format(later, "%Y-%m"));
  const year: string | null | undefined = found?.groups.year ?? found?.[2];
  const same: boolean = crypto.timingSafeEqual(crypto.hmacSha256("key", bytes), crypto.sha256(text));
  const all: string[] = [...regex.findAll("a", key), ...regex.split(",", key, 2), regex.replaceAll("a", key, "$0"), regex.replace("a", key, "b")];
  return json.parse(json.stringifyPretty([json.stringify(year), same, all, random.int(1, 6) + random.float(), regex.isMatch("a", "b"), regex.find("a", "b"),
    url.encode(key), url.decode(key), url.encodeQuery({ a: [1, "b"], c: null }), url.parse("http://a/").query, hex.decode("00", "bytes")]));
};
export default handler;
